"""The row lane of `bars(by=...)`: one tick or one mark at a time.

A tick is judged when it comes: finite, inside the session, not behind what has gone in. It goes in once its symbol's
watermark is `lateness` past it, in the order of (time, seq), and at once where nothing is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rxfeed.kernels.bars.plan import Tally
from rxfeed.kernels.by.part import Part
from rxfeed.kernels.by.plan import Plan, Symbol
from rxfeed.kernels.by.renko import check_price
from rxfeed.model import Bar, Flag, Reject, Tick
from rxfeed.sessions import Span
from rxfeed.times import FOREVER, iso


class RowLane:
    """All symbols. `tick` is a closure, made once: it returns None when nothing is to be emitted and nothing is new."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self.plan, self.tally = plan, tally
        self.symbols: dict[str, Symbol] = {}
        self.earliest = FOREVER
        """The least watermark at which something is due of what was opened or held since somebody set this to FOREVER. A tick
        that lowers it is not answered with None."""
        self._put = self._make_put()
        self.tick: Callable[[Tick], list[Bar] | None] = self._make_tick()

    def _make_put(self) -> Callable[[Tick], list[Bar] | None]:
        """Make the way of a tick that goes in; where none is held, that is its whole way."""
        get, miss = self.symbols.get, self._go_in if self.plan.lateness else self._arrive

        def put(t: Tick) -> list[Bar] | None:
            s = get(t.symbol)
            if s is None:
                return self._arrive(s, t)
            base = s.base
            time = t.time
            if not base.last_time <= time < s.until:
                return miss(s, t)
            price, size, aim = t.price, t.size, s.aim
            # A tick of a wrong type fails in these lines, before anything has changed.
            notional, seq = price * size, +t.seq
            count, volume = base.count + 1, base.volume + size
            if count >= aim.count or volume >= aim.volume or (seq < base.last_seq and time == base.last_time):
                return miss(s, t)
            outer = not base.low <= price <= base.high
            if outer and not aim.down < price < aim.up:
                return miss(s, t)
            if s.money:
                for g in s.money:
                    if g.tops(notional):
                        return miss(s, t)
                for g in s.money:
                    g.sum = g.next
            if outer:
                if price > base.high:
                    base.high = price
                else:
                    base.low = price
            base.notional += notional
            base.count = count
            base.volume = volume
            side = t.side
            if side == 1:
                base.buy += size
            elif side == 2:
                base.sell += size
            base.close = price
            base.last_time = time
            base.last_seq = seq
            return None

        return put

    def _make_tick(self) -> Callable[[Tick], list[Bar] | None]:
        get, put, arrive = self.symbols.get, self._put, self._arrive
        if not self.plan.lateness:
            return put
        lateness, bricks = self.plan.lateness, self.plan.bricks

        def in_time(t: Tick) -> list[Bar] | None:
            s = get(t.symbol)
            # The ordinary one comes after all that is held, in the session of what went in last.
            if s is None or not s.held or not s.base.last_time < t.time < s.until:
                return arrive(s, t)
            held, time, seq, notional = s.held, t.time, +t.seq, t.price * t.size
            last = held[-1]
            if time < last.time or (time == last.time and seq < last.seq) or notional - notional != 0.0 or bricks:
                return arrive(s, t)
            held.append(t)
            if time > s.watermark:
                s.watermark = time
            limit = s.watermark - lateness
            out: list[Bar] | None = None
            while held[0].time <= limit:
                bars = put(held.popleft())
                if bars:
                    out = bars if out is None else out + bars
            return out

        return in_time

    # --- arriving

    def _arrive(self, s: Symbol | None, t: Tick) -> list[Bar] | None:
        """Judge a tick, and let it in or hold it."""
        earliest = self.earliest
        plan, tally = self.plan, self.tally
        time, price, seq = t.time, t.price, +t.seq
        notional = price * t.size  # of wrong types, fails here
        del notional
        if price - price != 0.0:
            tally.reject(Reject(t, "finite", f"price must be finite, got {price}"), 1)
            return []
        span = (plan.session(t.symbol) if s is None else s.session).span_at(time)
        if span is None:
            tally.outside += 1
            return None
        if s is not None and (reason := self._late(s, span, time, seq)) is not None:
            tally.reject(Reject(t, "late", reason), 1)
            return []
        for size, name in plan.bricks:
            check_price(size, name, price)
        saved = tally.save() if plan.bricks else None
        clone = s.clone() if plan.bricks and plan.lateness and s is not None else s
        if s is None:
            s = Symbol(t.symbol, plan)
        if tally.began is None or time < tally.began:
            tally.began = time
        try:
            out = self._take(s, t)
        except BaseException:
            if saved is not None:
                tally.restore(saved)
            if clone is not None:
                self.symbols[t.symbol] = clone
            raise
        if t.symbol not in self.symbols:
            self.symbols[t.symbol] = s
            return out
        return out if out or self.earliest < earliest else None

    def _take(self, s: Symbol, t: Tick) -> list[Bar]:
        if not self.plan.lateness:
            return self._go_in(s, t)
        hold(s.held, t)
        s.watermark = max(s.watermark, t.time)
        self.earliest = min(self.earliest, t.time + self.plan.lateness)
        return self.advance(s)

    def _late(self, s: Symbol, span: Span, time: int, seq: int) -> str | None:
        base, lateness = s.base, self.plan.lateness
        if time < base.last_time or (time == base.last_time and seq < base.last_seq):
            return (
                f"{iso(time)} (seq {seq}) comes after {iso(base.last_time)} (seq {base.last_seq}) has gone into its bar; "
                f"lateness is {lateness / 1e9:g} s"
            )
        if span.close <= s.mark - lateness:
            return (
                f"{iso(time)} comes after its session has closed at {iso(span.close)}: "
                f"the watermark is {iso(s.mark)}, and lateness is {lateness / 1e9:g} s"
            )
        return None

    def advance(self, s: Symbol) -> list[Bar]:
        """Let in what is due by the watermark, and close the session if that is over."""
        out: list[Bar] = []
        limit, held = s.mark - self.plan.lateness, s.held
        while held and held[0].time <= limit:
            out += self._put(held.popleft()) or ()
        if s.until <= limit:
            out += self.flush(s, Flag.SHORT)
        return out

    def flush(self, s: Symbol, flag: Flag) -> list[Bar]:
        """Close what is open of a symbol, and its session."""
        return self._counted(s.flush(flag))

    def _counted(self, bars: list[Bar]) -> list[Bar]:
        name = self.plan.names[0]
        for bar in bars:
            if bar.timeframe == name:
                self.tally.closed += bar.count or 0
        return bars

    # --- going in

    def _go_in(self, s: Symbol, t: Tick) -> list[Bar]:
        """Put the next tick of a symbol into its bars. Only `reached` can fail, and not in a new session."""
        out: list[Bar] = []
        time, price, size, seq = t.time, t.price, t.size, +t.seq
        notional = price * size
        if time >= s.until:
            out = self.flush(s, Flag.SHORT)
            began = self.tally.began
            gap = began is not None and s.enter(time).open < began
            for g in s.gauges:
                g.begin(gap)
        base, gauges = s.base, s.gauges
        hits = [g.reached(base, price, size, notional) for g in gauges]
        if not base.count:
            self.earliest = min(self.earliest, s.until + self.plan.lateness)
        base.add(time, seq, price, size, t.side, notional)
        for g, hit in zip(gauges, hits, strict=True):
            g.take(price, hit)
        if True in hits:
            for g, hit in zip(gauges, hits, strict=True):
                g.part.absorb(base)
                if hit:
                    out += self._counted(g.closed(s.name, s.day))
            s.base = Part(time, seq)
        s.take_aim()
        return out

    # --- time

    def mark(self, time: int) -> list[Bar]:
        """Raise the watermark of every symbol that has one to `time`; return what that closes."""
        out: list[Bar] = []
        for s in self.symbols.values():
            if time > s.mark:
                s.watermark = time
                out += self.advance(s)
        return out

    def finish(self) -> list[Bar]:
        """Let in what waits and close everything; PARTIAL where the session has not ended by the watermark."""
        out: list[Bar] = []
        for s in self.symbols.values():
            while s.held:
                out += self._put(s.held.popleft()) or ()
            out += self.flush(s, Flag.SHORT if s.until <= s.mark else Flag.PARTIAL)
        return out

    def due(self) -> int | None:
        """The watermark at which something is let in or closed next, or None when nothing waits."""
        waits = [s.held[0].time for s in self.symbols.values() if s.held]
        waits += [s.until for s in self.symbols.values() if s.has_open]
        return min(waits) + self.plan.lateness if waits else None


def hold(held: deque[Tick], t: Tick) -> None:
    """Put a tick among those held, which are in the order of (time, seq) and then of arrival."""
    at = len(held)
    while at and (held[at - 1].time, held[at - 1].seq) > (t.time, t.seq):
        at -= 1
    held.insert(at, t)
