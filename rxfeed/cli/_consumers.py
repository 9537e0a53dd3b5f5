"""Consumers of one's own beside the bars that `rxfeed run` shows: a function of the feed, and what came of it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from reactivex import Observable
from reactivex.abc import DisposableBase

from rxfeed.cli._errors import Usage
from rxfeed.composition import Feed
from rxfeed.errors import brief
from rxfeed.failures import tell
from rxfeed.model import Bar, Flag

_MOST: Final = 200_000
_SHOWN: Final = 3
_UNSURE: Final = Flag.GAP | Flag.REPAIRED | Flag.PARTIAL | Flag.FILLED

Identity = tuple[str, str, int]


class Consumer(NamedTuple):
    """A function that is handed the feed and returns what it makes of it."""

    name: str
    make: Callable[[Feed], Observable[Any]]


def consumer(text: str) -> Consumer:
    """Read `FILE.py:NAME` or `package.module:NAME`.

    Raises:
        Usage: it is neither, or there is no such function. What the file itself raises is not hidden.
    """
    where, colon, name = text.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise Usage(f"--consumer must look like FILE.py:NAME or package.module:NAME, got {text!r}")
    module = _file(where) if where.endswith(".py") else _module(where)
    made: Any = getattr(module, name, None)
    if not inspect.isfunction(made):
        raise Usage(f"--consumer {text}: {where} has no function {name!r}")
    return Consumer(name, made)


def _file(where: str) -> Any:
    path = Path(where)
    if not path.is_file():
        raise Usage(f"--consumer: there is no file {where}")
    spec = importlib.util.spec_from_file_location(f"rxfeed_consumer_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _module(where: str) -> Any:
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not where.startswith(error.name):
            raise
        raise Usage(f"--consumer: there is no module {where}") from None


@dataclass(slots=True)
class GuestTotals:
    """What came of a consumer."""

    name: str
    elements: int
    bars: int = 0
    """Of these, bars that could be compared with ours."""
    differences: list[str] = field(default_factory=list[str])
    ended: str | None = None
    """With what, if it ended by itself."""

    def line(self) -> str:
        """Return it for people."""
        parts = [f"{self.elements:,} element{'' if self.elements == 1 else 's'}"]
        if self.differences:
            parts.append("ITS BARS DIFFER: " + "; ".join(self.differences))
        elif self.bars:
            parts.append(f"{self.bars:,} bars, the same as ours")
        if self.ended is not None:
            parts.append(f"ended by {self.ended}")
        return f"consumer {self.name}: {', '.join(parts)}"


class Guest:
    """A consumer while it runs. What it raises ends it, and nobody else.

    Args:
        consumer: whose function is called.
        feed: is handed to it.
        say: tells people when it ends with an error.
    """

    def __init__(self, consumer: Consumer, feed: Feed, say: Callable[[str], object]) -> None:
        self._name, self._say = consumer.name, say
        self._elements = 0
        self._bars: dict[Identity, Bar] = {}
        self._ended: str | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._subscription: DisposableBase | None = None
        try:
            self._subscription = consumer.make(feed).subscribe(self._take, self._failed, self._completed)
        except Exception as error:  # noqa: BLE001  # theirs
            self._failed(error)

    def _take(self, element: Any) -> None:
        self._elements += 1
        if isinstance(element, Bar) and element.revision >= 0 and len(self._bars) < _MOST:
            self._bars[element.identity] = element

    def _failed(self, error: Exception) -> None:
        self._ended = brief(error)
        tell(None, f"consumer {self._name}", "on_next", error)
        self._say(f"consumer {self._name} ended by {self._ended}; the others go on")
        self._completed()

    def _completed(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def close(self) -> None:
        """Let go of it."""
        if self._subscription is not None:
            self._subscription.dispose()

    def told(self, ours: Mapping[Identity, Bar]) -> GuestTotals:
        """Return what came of it.

        Args:
            ours: the newest revision of each of our bars. Those that say of themselves that they may not be whole, and those
                that were mended, are not compared.
        """
        totals = GuestTotals(self._name, self._elements, ended=self._ended)
        for identity, bar in self._bars.items():
            own = ours.get(identity)
            if own is None or (own.flags | bar.flags) & _UNSURE:
                continue
            totals.bars += 1
            if _told(own) != _told(bar) and len(totals.differences) < _SHOWN:
                totals.differences.append(f"{bar}, ours is {own}")
        return totals


def _told(bar: Bar) -> tuple[Any, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count, bar.buy_volume, bar.sell_volume
