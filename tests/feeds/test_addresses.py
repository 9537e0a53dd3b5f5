"""Where a token may go."""

from __future__ import annotations

import pytest

from rxfeed.errors import AddressRefused
from rxfeed.feeds.addresses import address, origin, origins_of, shown


@pytest.mark.parametrize(
    "url",
    [
        "https://api.topstepx.com/api", "wss://rtc.topstepx.com/hubs/market", "http://127.0.0.1:5170", "ws://127.0.0.1:5170/hubs/user",
        "http://localhost:1", "http://[::1]:5170/api", "http://127.8.9.10/", "HTTPS://API.TOPSTEPX.COM",
    ],
)  # fmt: skip
def test_allowed(url: str) -> None:
    assert address(url).host


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://api.topstepx.com", "to this machine only"),
        ("ws://rtc.topstepx.com", "to this machine only"),
        ("http://127.0.0.1.evil.com", "to this machine only"),
        ("http://localhost.evil.com", "to this machine only"),
        ("http://sim.test", "to this machine only"),
        ("http://10.0.0.1", "to this machine only"),
        ("http://0.0.0.0", "to this machine only"),
        ("https://user@api.topstepx.com", "must not hold a user"),
        ("https://user:secret-word@api.topstepx.com", "must not hold a user"),
        ("https://api.topstepx.com/#x", "must not have a fragment"),
        ("https://api.topstepx.com\\@evil.com", "must look like"),
        ("https://api.topstepx.com ", "must look like"),
        ("ftp://127.0.0.1", "must look like"),
        ("file:///etc/passwd", "must look like"),
        ("https://", "must look like"),
        ("https:///x", "must look like"),
        ("//api.topstepx.com", "must look like"),
        ("api.topstepx.com", "must look like"),
        ("https://[::1", "must look like"),
        ("https://x:99999", "must look like"),
        ("https://x:0", "must look like"),
        ("", "must look like"),
    ],
)
def test_refused(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why) as caught:
        address(url)
    assert "secret-word" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_simulated_network_is_this_machine() -> None:
    assert address("ws://sim.test/hubs/market", memory=True).host == "sim.test"
    with pytest.raises(AddressRefused):
        address("http://simtest", memory=True)


def test_origins() -> None:
    assert origins_of(["https://a.com/api", "wss://a.com/hub", "http://[::1]:8", "ws://LOCALHOST:80"]) == {
        "https://a.com:443", "http://[::1]:8", "http://localhost:80",
    }  # fmt: skip
    assert origin(address("wss://rtc.topstepx.com/hubs/user")) == "https://rtc.topstepx.com:443"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a.com/hub?access_token=x#y", "https://a.com/hub"),
        ("https://u:p@a.com?x", "https://a.com"),
        ("u:p@a.com/x@y", "y"),
        ("https://a.com/x@y", "https://a.com/x@y"),
    ],
)
def test_what_is_shown(url: str, told: str) -> None:
    assert shown(url) == told
