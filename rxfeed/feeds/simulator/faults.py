"""Faults: what they are called, and how they are written.

    NAME[:PLACE][=VALUE][@TIME|/TIME]

`drop` is at once, `drop@30s` once after 30 s, `drop/30s` every 30 s. A place is a hub, `market` or `user`, or what is asked
of the gateway: `rest` for all under /api, one endpoint of it, `negotiate`, `upgrade`, or `subscribe`, which is a hub's method.
`silence=20s/2m` is twenty seconds of silence every two minutes, `401:validate=3` lets the next three refreshes fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from rxfeed.times import Duration, nanoseconds

Place = Literal[
    "market", "user", "rest", "negotiate", "upgrade", "login", "validate", "accounts", "contracts", "history", "subscribe"
]
_HUB: Final[tuple[Place, ...]] = ("market", "user")
_ENDPOINT: Final[tuple[Place, ...]] = ("rest", "login", "validate", "accounts", "contracts", "history")
_REQUEST: Final[tuple[Place, ...]] = (*_HUB, "negotiate", "upgrade", *_ENDPOINT)
_CALL: Final[tuple[Place, ...]] = (*_ENDPOINT, "subscribe")
_ANY: Final[tuple[Place, ...]] = (*_REQUEST, "subscribe")
_PLACES: Final[dict[tuple[Place, ...], str]] = {
    (): "",
    _HUB: "[:HUB]",
    _REQUEST: "[:REQUEST]",
    _CALL: "[:CALL]",
    _ANY: "[:ANY]",
}
_FORM: Final = re.compile(
    r"(?P<name>[a-z0-9-]+)(?::(?P<place>\w+))?(?:=(?P<value>[^@]*?))?(?:(?P<when>[@/])(?P<time>[\d.]+[a-z]+))?"
)


class Kind(NamedTuple):
    """What a fault is: what its value means, the value by default, where it may happen, and what happens."""

    value: Literal["", "duration", "offset", "count", "percent", "code", "url"]
    default: str
    places: tuple[Place, ...]
    text: str


FAULTS: Final[dict[str, Kind]] = {
    # What happens to connections
    "drop": Kind("", "", _HUB, "the connections are cut, with no Close message"),
    "close": Kind("", "", _HUB, "a Close message with allowReconnect true, then the end"),
    "close-error": Kind("", "", _HUB, "a Close message with an error and allowReconnect true"),
    "close-final": Kind("", "", _HUB, "a Close message with an error and allowReconnect false"),
    "end": Kind("code", "1001", _HUB, "the WebSocket is closed with this code, with no Close message"),
    "half-open": Kind("", "", _HUB, "this side of the connections is gone, and nobody tells the other; new ones are well"),
    "silence": Kind("duration", "10s", _HUB, "no data is sent, but pings are"),
    "mute": Kind("duration", "40s", _HUB, "nothing is sent to those who are connected, not even pings"),
    "no-pings": Kind("duration", "60s", _HUB, "data is sent, but no pings"),
    "logout": Kind("", "", _HUB, "GatewayLogout is pushed"),
    "split": Kind("duration", "5s", _HUB, "each record comes in two WebSocket messages"),
    "join": Kind("duration", "5s", _HUB, "the records of a moment come in one WebSocket message"),
    "malformed": Kind("count", "1", _HUB, "records that are no JSON"),
    "unknown": Kind("count", "1", _HUB, "records of a type, and with a target, that nobody knows"),
    "duplicate": Kind("count", "1", _HUB, "the next trade messages are sent twice"),
    "reorder": Kind("count", "1", _HUB, "the next pairs of trade messages change places"),
    # Tokens
    "expire": Kind("", "", (), "all tokens issued so far are no longer good; connections made with them live on"),
    "expire-drop": Kind("", "", (), "as expire, and the connections made with them are cut"),
    "expire-close": Kind("", "", (), "as expire, and they are closed with allowReconnect true"),
    "expire-logout": Kind("", "", (), "as expire, and they get GatewayLogout and are closed"),
    # The network, and what lies behind it
    "black-hole": Kind(
        "duration", "10s", _REQUEST, "nothing gets through: connections are dead, nothing new is answered for so long"
    ),
    "outage": Kind("duration", "1m", _REQUEST, "connections are cut, and whatever is asked for so long is cut off unanswered"),
    "down": Kind("duration", "1m", _REQUEST, "connections end with 1001, and whatever is asked for so long gets HTTP 503"),
    "refuse": Kind("count", "1", _REQUEST, "the next requests and upgrades are cut off unanswered"),
    "hang": Kind("duration", "30s", _ANY, "what is asked meanwhile is never answered: the handshake, or what is named"),
    "slow": Kind("duration", "2s", _ANY, "answers come so late from now on, or Completions (subscribe); 0s ends it"),
    "fail": Kind("count", "1", _CALL, "the next answers under /api say success false; the next Completions, error (subscribe)"),
    "redirect": Kind("url", "", _HUB, "the next negotiation sends the client to this hub, or with no value back to the same"),
    "401": Kind("count", "1", _REQUEST, "the next requests and upgrades are not authorized"),
    "404": Kind("count", "1", _REQUEST, "the next requests and upgrades find nothing"),
    "429": Kind("count", "1", _REQUEST, "the next requests and upgrades are too many; Retry-After says 2 s"),
    "500": Kind("count", "1", _REQUEST, "the next requests and upgrades fail"),
    "503": Kind("count", "1", _REQUEST, "the next requests and upgrades find no service"),
    # History
    "holes": Kind("percent", "20", (), "so many percent of history's bars are missing from now on, by seed; 0 ends it"),
    "blank": Kind("duration", "30s", (), "history has no bars of the time from now on, for so long"),
    "late": Kind("duration", "10s", (), "history has bars only so long after their end, from now on; 0s ends it"),
    "wrong": Kind("percent", "20", (), "so many percent of history's bars differ a little from what was traded; 0 ends it"),
    "no-seconds": Kind("duration", "10m", (), "history has no bars of seconds for so long"),
    # The market and its clock
    "huge": Kind("count", "1048576", (), "one message of so many bytes or a little more, of real trades"),
    "burst": Kind("count", "10000", (), "so many trades at one moment"),
    "back": Kind("duration", "500ms", (), "the tape's next trade says that it was done so much earlier"),
    "skew": Kind("offset", "1h", (), "the server's clock is off by so much from now on; 0s sets it right"),
}  # fmt: skip
"""All faults, by name."""


def table() -> str:
    """Return the faults, and then the places, as lines of text."""
    names = [
        f"{name}{_PLACES[kind.places]}{f'[={kind.default or kind.value}]' if kind.value else ''}"
        for name, kind in FAULTS.items()
    ]
    width = max(map(len, names)) + 1
    lines = [f"{name:{width}}{kind.text}" for name, kind in zip(names, FAULTS.values(), strict=True)]
    rows = [
        ("HUB", " or ".join(_HUB)), ("CALL", ", ".join(_CALL)), ("REQUEST", "HUB, negotiate, upgrade, CALL but subscribe"),
        ("ANY", "REQUEST, subscribe"),
    ]  # fmt: skip
    return "\n".join(lines + [f"{name:{width}}{text}" for name, text in rows])


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and when.

    Args:
        name: one of `FAULTS`.
        value: as text; by default what the table says.
        place: where; each fault has its own (`Kind.places`). None is wherever it makes sense.
        at: after which time it comes once; None and no `every` is at once.
        every: after which time it comes again and again.

    Raises:
        ValueError: a name, place, value or time that is not allowed; the text lists what is.
    """

    name: str
    value: str = ""
    place: Place | None = None
    at: Duration | None = None
    every: Duration | None = None

    def __post_init__(self) -> None:
        kind = FAULTS.get(self.name)
        if kind is None:
            raise ValueError(f"a fault must be one of {', '.join(FAULTS)}, got {self.name!r}")
        if self.place is not None and not kind.places:
            raise ValueError(f"fault {self.name} takes no place, got {self.place!r}")
        if self.place is not None and self.place not in kind.places:
            raise ValueError(f"place of fault {self.name} must be one of {', '.join(kind.places)}, got {self.place!r}")
        if self.value and not kind.value:
            raise ValueError(f"fault {self.name} takes no value, got {self.value!r}")
        if self.at is not None and self.every is not None:
            raise ValueError(f"fault {self.name} comes once (at) or again and again (every), not both")
        if self.at is not None:
            nanoseconds(self.at, name=f"time of fault {self.name}")
        if self.every is not None and nanoseconds(self.every, name=f"time of fault {self.name}") < 1_000_000:
            raise ValueError(f"fault {self.name} must be at least 1 ms apart, got {self.every!r}")
        self.amount  # noqa: B018  # is it one?
        self.url  # noqa: B018

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read a fault such as `drop`, `drop@30s`, `silence:market=20s/2m`.

        Raises:
            ValueError: it is none.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f'a fault must look like "drop", "drop@30s", "drop/30s" or "silence:market=20s/2m", got {text!r}')
        once = match["when"] == "@"
        place: Place | None = match["place"]  # pyright: ignore[reportAssignmentType]  # it is checked
        time = match["time"]
        return cls(match["name"], match["value"] or "", place, at=time if once else None, every=None if once else time)

    def __str__(self) -> str:
        time = f"@{self.at}" if self.at is not None else f"/{self.every}" if self.every is not None else ""
        return f"{self.name}{f':{self.place}' if self.place else ''}{f'={self.value}' if self.value else ''}{time}"

    @property
    def amount(self) -> int:
        """The value as a number: nanoseconds, a count or a code; 0 for a fault that has none."""
        kind = FAULTS[self.name]
        text = self.value or kind.default
        if kind.value == "duration":
            return nanoseconds(text, name=f"value of fault {self.name}")
        if kind.value == "offset":
            return (-1 if text.startswith("-") else 1) * nanoseconds(text.lstrip("+-"), name=f"value of fault {self.name}")
        if kind.value in ("count", "percent", "code"):
            low, high = {"code": (1_000, 4_999), "percent": (0, 100)}.get(kind.value, (1, 100_000_000))
            if not text.isdigit() or not low <= int(text) <= high:
                raise ValueError(f"value of fault {self.name} must be a number from {low} to {high}, got {text!r}")
            return int(text)
        return 0

    @property
    def url(self) -> str | None:
        """The value as an address, for a fault whose value is one."""
        if FAULTS[self.name].value != "url" or not self.value:
            return None
        if urlsplit(self.value).scheme not in ("http", "https"):
            raise ValueError(f"value of fault {self.name} must be an address such as http://127.0.0.1:5171/hubs/market")
        return self.value


__doc__ = f"{__doc__}\n{table()}\n"
