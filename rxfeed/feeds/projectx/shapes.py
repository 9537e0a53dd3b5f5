"""What the gateway's events look like on the wire, and how to find their elements whatever they are wrapped in.

The documents show one object; what is sent is a list of them, sometimes inside a single argument. Each element counts: one
that cannot be read is reported by itself, and those beside it pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar, cast

import msgspec

from rxfeed.feeds.signalr.codec import UNREADABLE

S = TypeVar("S", bound=msgspec.Struct)
Whole = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_SHOWN: Final = 200


class Trade(msgspec.Struct, gc=False):
    """An element of GatewayTrade. `type` is 0 for a buyer as the aggressor, 1 for a seller."""

    price: float
    timestamp: str
    volume: Whole
    type: int | None = None


class Quote(msgspec.Struct, gc=False):
    """An element of GatewayQuote: only what has changed is there."""

    timestamp: str | None = None
    lastUpdated: str | None = None  # noqa: N815  # the wire's names
    bestBid: float | None = None  # noqa: N815
    bestAsk: float | None = None  # noqa: N815
    lastPrice: float | None = None  # noqa: N815
    volume: Whole | None = None


class Depth(msgspec.Struct, gc=False):
    """An element of GatewayDepth; `volume` is all that the level holds."""

    timestamp: str
    type: int
    price: float | None = None
    volume: Whole | None = None


class Bad(NamedTuple):
    """An element, or a whole message, that could not be read."""

    contract: str | None
    text: str
    reason: str


OnBad = Callable[[Bad], None]


class Reader(Generic[S]):
    """Finds the elements of one event's messages.

    Args:
        shape: what an element is.
        bad: told of whatever cannot be read.
    """

    __slots__ = ("_bad", "_loose", "_shape", "_strict")

    def __init__(self, shape: type[S], bad: OnBad) -> None:
        self._shape, self._bad = shape, bad
        # The usual shape first, which leaves nothing to be looked at; then all that were ever seen, in one go.
        listed: Any = list[shape]  # pyright: ignore[reportInvalidTypeForm]
        nested: Any = list[str | shape | listed]
        self._strict = _decoder(tuple[str, listed])
        self._loose = _decoder(list[str | shape | nested])

    def elements(self, record: bytes) -> list[tuple[str, list[S]]]:
        """Return the elements of a message, each list with the contract it is about."""
        try:
            return [self._strict(record).arguments]
        except UNREADABLE:
            pass
        try:
            return list(self._walk(self._loose(record).arguments, None))
        except UNREADABLE:
            return list(self._one_by_one(record))

    def _walk(self, data: Any, contract: str | None) -> Iterator[tuple[str, list[S]]]:
        """Yield what is found in `[contract, element or elements]`, at whatever depth that is."""
        if isinstance(data, list):
            values = cast("list[Any]", data)
            if values and isinstance(values[0], str):
                contract, values = values[0], values[1:]
            for value in values:
                yield from self._walk(value, contract)
        elif contract is None:
            self._bad(Bad(None, told(data), "it does not say which contract it is about"))
        else:
            element = self._converted(data, contract)
            if element is not None:
                yield contract, [element]

    def _converted(self, data: Any, contract: str | None) -> S | None:
        if isinstance(data, self._shape):
            return data
        try:
            return msgspec.convert(data, self._shape)
        except msgspec.ValidationError as error:
            self._bad(Bad(contract, told(data), str(error)))
        return None

    def _one_by_one(self, record: bytes) -> Iterator[tuple[str, list[S]]]:
        try:
            message = msgspec.json.decode(record)
            arguments = message["arguments"]
        except UNREADABLE as error:
            self._bad(Bad(None, record[:_SHOWN].decode("utf-8", "backslashreplace"), str(error)))
        except (KeyError, TypeError):
            self._bad(Bad(None, record[:_SHOWN].decode("utf-8", "backslashreplace"), "it has no arguments"))
        else:
            try:
                yield from self._walk(arguments, None)
            except RecursionError as error:
                self._bad(Bad(None, record[:_SHOWN].decode("utf-8", "backslashreplace"), str(error)))


def _decoder(arguments: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(msgspec.defstruct("_Call", [("arguments", arguments)], gc=False)).decode


def told(data: Any) -> str:
    """Return the beginning of an element as JSON."""
    try:
        return msgspec.json.encode(data)[:_SHOWN].decode("utf-8", "ignore")
    except RecursionError:
        return "what is nested too deeply to be shown"
