"""Consumers of one's own beside the bars that `rxfeed run` shows: a function of the feed, and what came of it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

from reactivex import Observable
from reactivex.abc import DisposableBase

from rxfeed.cli._errors import Failed, Usage
from rxfeed.composition import Feed
from rxfeed.errors import brief
from rxfeed.failures import Where, tell
from rxfeed.model import Bar, Flag

_MOST: Final = 200_000
_SHOWN: Final = 3
_NAMED: Final = 8
_UNSURE: Final = Flag.GAP | Flag.REPAIRED | Flag.PARTIAL | Flag.FILLED

Identity = tuple[str, str, int]


class Consumer(NamedTuple):
    """A function that is handed the feed and returns what it makes of it."""

    name: str
    make: Callable[[Feed], object]
    """It is to return an Observable."""


def consumer(text: str) -> Consumer:
    """Read `FILE.py:NAME` or `package.module:NAME`.

    Raises:
        Usage: it is neither, there is no such function, or none that can be handed the feed.
        Failed: the file itself raised; where, and what.
    """
    where, colon, name = text.rpartition(":")
    is_file = where.endswith(".py")
    if not colon or not name.isidentifier() or not (is_file or all(part.isidentifier() for part in where.split("."))):
        raise Usage(f"--consumer must look like FILE.py:NAME or package.module:NAME, got {text!r}")
    module = _file(where) if is_file else _module(where)
    made: Any = getattr(module, name, None)
    if not inspect.isfunction(made):
        raise Usage(f"--consumer {text}: {where} has no function {name!r}{_functions(module)}")
    _check(text, made)
    return Consumer(name, made)


def _functions(module: ModuleType) -> str:
    found = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    return f", only {', '.join(found[:_NAMED])}{', …' if len(found) > _NAMED else ''}" if found else ", nor any other"


def _check(text: str, made: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(made) or inspect.isgeneratorfunction(made) or inspect.isasyncgenfunction(made):
        raise Usage(f"--consumer {text} must be a plain function that returns an Observable: no async def, no yield")
    signature = inspect.signature(made)
    try:
        signature.bind(None)
    except TypeError:
        raise Usage(f"--consumer {text} must take one argument, the feed, but takes {signature}") from None


def _file(where: str) -> ModuleType:
    path = Path(where)
    if not path.is_file():
        raise Usage(f"--consumer: there is no file {where}")
    path = path.resolve()
    name = f"rxfeed_consumer_{re.sub(r'[^0-9A-Za-z]', '_', str(path.with_suffix('')))}"
    if name in sys.modules:  # several consumers of one file share it
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look for it there
    _look_in(path.parent)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(where, error) from error
    return module


def _module(where: str) -> ModuleType:
    _look_in(Path.cwd())
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{where}.".startswith(f"{error.name}."):
            raise Usage(f"--consumer: there is no module {where}; a file is named with its .py") from None
        raise _broken(where, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(where, error) from error


def _look_in(folder: Path) -> None:
    """Let what lies beside a file be imported, as Python itself does it; but behind all that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _broken(where: str, error: BaseException) -> Failed:
    """Return what a file raised while it was imported, with its place: no line of ours, nor of the machinery of import."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename is not None:
        frames.append((error.filename, error.lineno))
    theirs = [place for place in frames if place[0] != __file__ and not place[0].startswith("<frozen ")]
    place = f" in {theirs[-1][0]}, line {theirs[-1][1]}" if theirs else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Failed(f"--consumer: {where} cannot be imported: {said}{place} (--debug shows more)")


@dataclass(slots=True)
class GuestTotals:
    """What came of a consumer."""

    name: str
    elements: int
    bars: int = 0
    """Of these, bars that could be compared with ours."""
    differences: list[str] = field(default_factory=list[str])
    ended: str | None = None
    """With which error, if it ended by one."""
    unfinished: bool = False
    """It had not ended when the run did, and was let go of."""

    def line(self) -> str:
        """Return it for people."""
        parts = [f"{self.elements:,} element{'' if self.elements == 1 else 's'}"]
        if self.differences:
            parts.append("ITS BARS DIFFER: " + "; ".join(self.differences))
        elif self.bars:
            parts.append(f"{self.bars:,} bar{'' if self.bars == 1 else 's'}, the same as ours")
        if self.ended is not None:
            parts.append(f"ended by {self.ended}")
        elif self.unfinished:
            parts.append("had not ended when the run did")
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
            made = consumer.make(feed)
            if isinstance(made, Observable):
                stream = cast("Observable[Any]", made)
                self._subscription = stream.subscribe(self._take, self._failed, self._completed)
            else:
                if inspect.iscoroutine(made):
                    made.close()
                self._end(f"what it returned: it must be an Observable, such as feed.bars, got {type(made).__name__}")
        except Exception as error:  # noqa: BLE001  # theirs
            self._failed(error, "subscribe")

    def _take(self, element: Any) -> None:
        self._elements += 1
        if isinstance(element, Bar) and element.revision >= 0 and len(self._bars) < _MOST:
            self._bars[element.identity] = element

    def _failed(self, error: Exception, where: Where = "stream") -> None:
        tell(None, f"consumer {self._name}", where, error)
        self._end(brief(error))

    def _end(self, why: str) -> None:
        self._ended = why
        self._say(f"consumer {self._name} ended by {why}; the others go on")
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
        totals = GuestTotals(self._name, self._elements, ended=self._ended, unfinished=not self.over.done())
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
