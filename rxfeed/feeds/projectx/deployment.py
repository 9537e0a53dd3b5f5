"""Which gateway: its addresses, and how it wants to be told who we are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from rxfeed.errors import AddressRefused
from rxfeed.feeds.addresses import address, origins_of, shown
from rxfeed.feeds.transport import Place

GATEWAY: Final = "RXFEED_GATEWAY"


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway and its addresses.

    Args:
        name: what it is called in texts.
        api: the base of the REST endpoints, with no slash at its end: "https://api.topstepx.com/api".
        market: the market hub.
        user: the user hub.
        place: where the hubs take the token; REST always takes it in the header.
        negotiate: ask a hub for a connection before opening it, instead of opening it at once.
        simulated: its market is made up.

    Raises:
        AddressRefused: an address is not encrypted and not this machine.
    """

    name: str
    api: str
    market: str
    user: str
    place: Place = "query"
    negotiate: bool = False
    simulated: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")
        for url in (self.api, self.market, self.user):
            if "?" in url or url.endswith("/"):
                raise AddressRefused(f"a gateway's address must not end in / or have a query, got {url.partition('?')[0]!r}")
            address(url, memory=True)  # whether the network is a simulated one, the transport knows

    def __str__(self) -> str:
        host = f"{address(self.api, memory=True).host}"
        return self.name if host in self.name else f"{self.name} ({host})"

    @property
    def origins(self) -> frozenset[str]:
        """Whom a token may be sent to."""
        return origins_of((self.api, self.market, self.user), memory=True)


TOPSTEPX: Final = Deployment(
    name="topstepx",
    api="https://api.topstepx.com/api",
    market="https://rtc.topstepx.com/hubs/market",
    user="https://rtc.topstepx.com/hubs/user",
)
DEMO: Final = Deployment(
    name="demo",
    api="https://gateway-api-demo.s2f.projectx.com/api",
    market="https://gateway-rtc-demo.s2f.projectx.com/hubs/market",
    user="https://gateway-rtc-demo.s2f.projectx.com/hubs/user",
)
_KNOWN: Final = {known.name: known for known in (TOPSTEPX, DEMO)}


def deployment(text: str) -> Deployment:
    """Return the gateway that is meant.

    Args:
        text: "topstepx", "demo", or an address: one host that serves both `/api` and `/hubs`, or two with a comma between
            them, that of the API and that of the hubs. What this machine serves, and hosts in ".test", is simulated.

    Raises:
        AddressRefused: none of these, or an address that no token may be sent to.
    """
    if text in _KNOWN:
        return _KNOWN[text]
    bases = [part.strip().rstrip("/") for part in text.split(",")]
    if len(bases) > 2 or not all(re.match(r"(?i)(https?|wss?)://", base) for base in bases):
        raise AddressRefused(
            f"a gateway must be {', '.join(_KNOWN)} or an address such as http://127.0.0.1:5170, got {shown(text)!r}"
        )
    api, hubs = bases[0], bases[-1]
    where = address(api, memory=True)
    return Deployment(
        name=f"{where.host}:{where.explicit_port}" if where.explicit_port else f"{where.host}",
        api=f"{api}/api",
        market=f"{hubs}/hubs/market",
        user=f"{hubs}/hubs/user",
        simulated=where.scheme in ("http", "ws"),
    )


def deployment_from(environ: Mapping[str, str], default: Deployment = TOPSTEPX) -> Deployment:
    """Return the gateway that the variable RXFEED_GATEWAY names; `default` when it is not set.

    Raises:
        AddressRefused: it names none.
    """
    text = environ.get(GATEWAY, "").strip()
    return deployment(text) if text else default
