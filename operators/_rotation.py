"""One subscription of `resubscribe_on`: a connection, the next one beside it while they are spliced, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import polars as pl
from reactivex import Observable, abc

from rxfeed.clock import Clock, Timer
from rxfeed.events import Event, Gapped, Rotated, RotationFailed
from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.kernels.splice import Mark, Splice
from rxfeed.model import Tick
from rxfeed.times import SECOND

from ._turns import Turns
from ._upstream import Upstream

LOOKS: Final = 6
"""So many times within the timeout it is asked whether what one has said the other has said too."""
_CHAINED: Final = 3
_HUB: Final = "feed"

Link = tuple[Splice, Literal["old", "new"]]


class _Line:
    """A subscription to the source."""

    __slots__ = ("epoch", "upstream")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.upstream = Upstream()


class Rotation:
    """Which of the source's subscriptions is followed.

    Args:
        source: each subscription is a connection of its own.
        observer: hears of trades.
        scheduler: the subscriber's.
        clock: tells when time is up.
        timeout: in ns.
        tell: hears of events.
    """

    def __init__(
        self,
        source: Observable[Any],
        observer: abc.ObserverBase[Any],
        scheduler: abc.SchedulerBase | None,
        clock: Clock,
        timeout: int,
        tell: Callable[[Event], None],
    ) -> None:
        self._source, self._scheduler, self._clock, self._tell = source, scheduler, clock, tell
        self._look: Final = max(1, timeout // LOOKS)
        self.turns: Final = Turns(observer, self._stop)
        self._emit = observer.on_next
        self._tokens = Upstream()
        self._line, self._next = _Line(1), None
        self._splice: Splice | None = None  # of the line and the next one
        self._chain: list[Link] = []  # earlier ones, which still hold something
        self._symbols: dict[str, int] = {}  # with their newest event times
        self._frames = False
        self._again = self._heard = False
        self._mark: Mark | None = None
        self._began = self._looks = 0
        self._timer: Timer | None = None

    _next: _Line | None

    def open(self, tokens: Observable[Any]) -> None:
        """Subscribe to the source, and then to `tokens`."""
        self._open(self._line)
        if not self.turns.ended:
            self._tokens.open(tokens, self._token, self.turns.fail, lambda: None, self._scheduler)

    def _stop(self) -> None:
        self._tokens.close()
        self._line.upstream.close()
        if self._next is not None:
            self._next.upstream.close()
        self._cancel()
        self._splice, self._chain = None, []

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what comes in

    def _open(self, line: _Line) -> None:
        turns = self.turns

        def on_next(element: Any) -> None:
            # The ordinary way: one connection, and nothing held.
            if self._splice is None and not self._chain and not turns.busy and line is self._line and type(element) is Tick:
                self._symbols[element.symbol] = element.time
                turns.busy = True
                try:
                    self._emit(element)
                except BaseException:
                    turns.rest()
                    raise
                turns.busy = False
                if turns.waiting:
                    turns.go()
            else:
                turns.take(lambda: self._element(line, element))

        line.upstream.open(
            self._source,
            on_next,
            lambda error: self._ended(line, error),
            lambda: self._ended(line, None),
            self._scheduler,
        )

    def _token(self, _: object) -> None:
        self.turns.take(self._request)

    def _element(self, line: _Line, element: Any) -> list[Any]:
        if line is not self._line and line is not self._next:
            return []
        if isinstance(element, Tick):
            self._frames, ticks = False, [element]
        elif is_frame(element) and element.kind is Tick:
            self._frames = True
            if self._splice is None and not self._chain:
                times = element.df.group_by("symbol").agg(pl.col("time").cast(pl.Int64).max())
                self._symbols.update(times.iter_rows())
                return [element]
            ticks = element.rows()
        else:
            raise TypeError(f"resubscribe_on takes Tick or Frame[Tick], got {name_of(element)}")
        if self._splice is not None:
            for tick in ticks:
                if tick.symbol not in self._symbols:
                    self._splice.add(tick.symbol)
                self._symbols[tick.symbol] = tick.time
        if line is self._next:
            assert self._splice is not None
            self._heard = True
            out = self._splice.new(ticks)
        else:
            out = self._chained(ticks)
            if self._splice is not None:
                out = self._splice.old(out)
        return self._out(out + self._judge())

    def _ended(self, line: _Line, error: Exception | None) -> None:
        turns = self.turns
        if turns.ended or (line is not self._line and line is not self._next):
            return

        def act() -> list[Any]:
            if line is self._next:
                return self._out(
                    self._fail("the new connection ended" if error is None else f"the new connection failed: {error}")
                )
            return self._out(self._go_over())

        if line is self._line and self._next is None:
            if error is None:
                turns.complete()
            else:
                turns.fail(error)
        else:
            turns.take(act)

    # --- rotations

    def _request(self) -> list[Any]:
        """Begin a rotation, or have another one follow the one that is under way."""
        if self._next is not None:
            self._again = True
            return []
        self._again = self._heard = False
        self._mark, self._looks, self._began = None, 0, self._clock.now
        self._splice = Splice(self._symbols, since=self._symbols)
        line = self._next = _Line(self._line.epoch + 1)
        self._timer = self._clock.call_at(self._began + self._look, self._woken)
        try:
            self._open(line)
        except Exception as error:
            return self._fail(f"the new connection failed: {error}")
        return []

    def _woken(self) -> None:
        self._timer = None
        self.turns.take(self._on_time)

    def _on_time(self) -> list[Any]:
        """What one had said a while ago, the other has said too by now."""
        splice = self._splice
        if splice is None or self._next is None or self._timer is not None:
            return []
        out: list[Tick] = []
        self._looks += 1
        if self._heard:
            if self._mark is not None:
                for symbol in sorted(splice.pending):
                    mark = {symbol: self._mark.get(symbol, (0, 0))}
                    out += splice.old_answered(symbol, mark) + splice.new_answered(symbol, mark)
            for symbol in splice.pending:
                splice.new_subscribed(symbol)
            self._mark = splice.mark()
        out += self._judge()
        if self._splice is not splice:
            return self._out(out)
        if self._looks >= LOOKS:
            return self._out(out + self._fail(self._why(splice)))
        self._timer = self._clock.call_at(self._began + (self._looks + 1) * self._look, self._woken)
        return self._out(out)

    def _why(self, splice: Splice) -> str:
        if not self._heard:
            return f"the new connection said nothing in {LOOKS * self._look / SECOND:g} s"
        differ = splice.mismatched
        what = "differ from the old connection's" if differ else "could not be matched"
        return f"the new connection's trades {what}: {' '.join(sorted(differ or splice.pending))}"

    def _judge(self) -> list[Tick]:
        """Go over to the new connection when all is certain, or give it up when it is too much."""
        for splice, _ in self._chain:
            self._gaps(splice)
        self._chain = [link for link in self._chain if not link[0].done]
        splice = self._splice
        if splice is None:
            return []
        self._gaps(splice)
        if splice.overflowed:
            return self._fail("more was held than there is room for")
        return self._go_over() if self._heard and not splice.pending else []

    def _go_over(self) -> list[Tick]:
        """Follow the new connection: the old one has ended, or is closed now."""
        assert self._splice is not None
        assert self._next is not None
        splice, old = self._splice, self._line
        out: list[Tick] = []
        for each, side in self._chain:
            out = each.old(out) + each.old_lost() if side == "old" else each.new(out)
        out = splice.old(out) + splice.old_lost()
        self._chain = [] if splice.done else [(splice, "new")]
        self._line, self._next, self._splice = self._next, None, None
        self._cancel()
        old.upstream.close()
        self._gaps(splice)
        uncertain = tuple(sorted(symbol for symbol in self._symbols if splice.cut(symbol) == "uncertain"))
        now = self._clock.now
        self._tell(
            Rotated(time=now, hub=_HUB, epoch=self._line.epoch, seconds=(now - self._began) / SECOND, uncertain=uncertain)
        )
        self._follow()
        return out

    def _fail(self, text: str) -> list[Tick]:
        """Keep the old connection."""
        assert self._splice is not None
        assert self._next is not None
        splice, line = self._splice, self._next
        splice.new_lost()
        # Beyond a few, what a connection said that is long gone is not kept for the case that this one ends too.
        self._chain = [*self._chain[1 - _CHAINED :], *([] if splice.done else [(splice, "old")])]
        self._next = self._splice = None
        self._cancel()
        line.upstream.close()
        self._tell(RotationFailed(time=self._clock.now, hub=_HUB, text=text))
        self._follow()
        return []

    def _follow(self) -> None:
        """Do what was asked for meanwhile, in its turn."""
        if self._again:
            self._again = False
            self.turns.waiting.append(self._request)

    # --- what goes out

    def _chained(self, ticks: list[Tick]) -> list[Tick]:
        for splice, side in self._chain:
            ticks = splice.old(ticks) if side == "old" else splice.new(ticks)
        return ticks

    def _gaps(self, splice: Splice) -> None:
        for gap in splice.gaps():
            self._tell(Gapped(time=self._clock.now, gap=gap))

    def _out(self, ticks: list[Tick]) -> list[Any]:
        return [Frame.of(ticks)] if self._frames and ticks else ticks
