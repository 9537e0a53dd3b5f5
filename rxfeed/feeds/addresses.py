"""Where a token may be sent: over an encrypted connection or to this machine, and to nobody who was not named before.

An address is checked as the very object that is then connected to, so that no second reading of its text can differ.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from yarl import URL

from rxfeed.errors import AddressRefused

_PLAIN: Final = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
_MEMORY: Final = ".test"


def shown(url: str) -> str:
    """Return an address as it may be told: without its query, fragment and user."""
    head = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = head.partition("://")
    if not separator:
        return head.rpartition("@")[2]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def address(url: str, *, memory: bool = False) -> URL:
    """Return an address that a token may be sent to.

    Args:
        url: http, https, ws or wss; unencrypted only to this machine.
        memory: hosts that end in ".test" are this machine too: the network is simulated.

    Raises:
        AddressRefused: it is none, is not encrypted, or holds a user or a fragment.
    """
    parsed = _parsed(url)
    what = f"{shown(url)!r}"
    if parsed is None or parsed.scheme not in _PLAIN or not parsed.host:
        raise AddressRefused(f"an address must look like https://host/path (http, https, ws, wss), got {what}")
    if parsed.user is not None or parsed.password is not None:
        raise AddressRefused(f"an address must not hold a user or a password, got one in {what}")
    if "#" in url:
        raise AddressRefused(f"an address must not have a fragment (#), got one in {what}")
    if parsed.port is None or not 0 < parsed.port < 65_536:
        raise AddressRefused(f"an address' port must be from 1 to 65535, got {what}")
    if not (_PLAIN[parsed.scheme] == "https" or _loopback(parsed.host) or (memory and parsed.host.endswith(_MEMORY))):
        raise AddressRefused(f"http and ws go to this machine only, as a token would be readable on the way; got {what}")
    return parsed


def origin(url: URL) -> str:
    """Return scheme, host and port of an address, the same for ws and http."""
    host = url.host or ""
    return f"{_PLAIN[url.scheme]}://{f'[{host}]' if ':' in host else host}:{url.port}"


def origins_of(urls: Iterable[str], *, memory: bool = False) -> frozenset[str]:
    """Return the origins of addresses.

    Raises:
        AddressRefused: one of them is no address that a token may be sent to.
    """
    return frozenset(origin(address(url, memory=memory)) for url in urls)


def _parsed(url: str) -> URL | None:
    if any(character.isspace() or character in "\\\0" for character in url):
        return None
    try:
        parsed = URL(url)
        return parsed if parsed.absolute and parsed.port != 0 else None
    except (ValueError, TypeError):
        return None


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
