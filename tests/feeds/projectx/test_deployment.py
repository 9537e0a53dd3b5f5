"""Which gateway is meant."""

from __future__ import annotations

import msgspec
import pytest

from rxfeed.errors import AddressRefused
from rxfeed.feeds.projectx.deployment import DEMO, TOPSTEPX, Deployment, deployment, deployment_from


def test_the_ones_that_are_known() -> None:
    assert deployment("topstepx") is TOPSTEPX
    assert deployment("demo") is DEMO
    assert TOPSTEPX.origins == {"https://api.topstepx.com:443", "https://rtc.topstepx.com:443"}
    assert (TOPSTEPX.place, TOPSTEPX.negotiate, TOPSTEPX.simulated, DEMO.simulated) == ("query", False, False, False)
    assert str(DEMO) == "demo (gateway-api-demo.s2f.projectx.com)"
    assert str(deployment("http://127.0.0.1:5170")) == "127.0.0.1:5170"


@pytest.mark.parametrize("text", ["http://127.0.0.1:5170", "http://127.0.0.1:5170/", " http://127.0.0.1:5170 "])
def test_an_address_alone(text: str) -> None:
    assert deployment(text) == Deployment(
        name="127.0.0.1:5170",
        api="http://127.0.0.1:5170/api",
        market="http://127.0.0.1:5170/hubs/market",
        user="http://127.0.0.1:5170/hubs/user",
        simulated=True,
    )


def test_other_firms() -> None:
    firm = deployment("https://api.firm.projectx.com,https://rtc.firm.projectx.com")
    assert (firm.name, firm.api) == ("api.firm.projectx.com", "https://api.firm.projectx.com/api")
    assert (firm.market, firm.user) == (
        "https://rtc.firm.projectx.com/hubs/market",
        "https://rtc.firm.projectx.com/hubs/user",
    )
    assert not firm.simulated
    assert firm.origins == {"https://api.firm.projectx.com:443", "https://rtc.firm.projectx.com:443"}
    assert deployment("http://sim.test").simulated


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Topstepx", "a gateway must be topstepx, demo or an address such as http://127.0.0.1:5170, got 'Topstepx'"),
        ("", "a gateway must be topstepx, demo"),
        ("api.topstepx.com", "a gateway must be topstepx, demo"),
        ("https://a.com,https://b.com,https://c.com", "a gateway must be topstepx, demo"),
        ("http://api.topstepx.com", "to this machine only"),
        ("https://a.com,http://b.com", "to this machine only"),
        ("https://u:pass-word@a.com", "must not hold a user"),
        ("https://a.com?access_token=pass-word", "must not end in / or have a query"),
    ],
)
def test_none_of_them(text: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why) as caught:
        deployment(text)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"api": "https://a.com/api/"}, {"market": "https://a.com/hubs?x=1"}, {"user": "http://a.com/hubs"}]
)
def test_addresses_are_looked_at_when_it_is_made(change: dict[str, str]) -> None:
    with pytest.raises(AddressRefused):
        msgspec.structs.replace(TOPSTEPX, **change)
    with pytest.raises(ValueError, match="name must not be empty"):
        msgspec.structs.replace(TOPSTEPX, name="")


def test_from_the_environment() -> None:
    assert deployment_from({}) is TOPSTEPX
    assert deployment_from({"RXFEED_GATEWAY": " "}) is TOPSTEPX
    assert deployment_from({}, DEMO) is DEMO
    assert deployment_from({"RXFEED_GATEWAY": "demo"}) is DEMO
    with pytest.raises(AddressRefused):
        deployment_from({"RXFEED_GATEWAY": "x"})
