"""`timeout_idle` in virtual time: what it says and when, against a market that is walked through minute by minute."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reactivex import Observable, Subject
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.errors import FeedError, Stale
from rxfeed.instrument import Instrument
from rxfeed.kernels import idle
from rxfeed.model import Gap, Quote
from rxfeed.runs import RunObservable, RunObserver
from rxfeed.sessions import Session, get
from rxfeed.times import SECOND, iso, nanoseconds
from rxfeed.valve import Valve
from tests.builders import HOUR, MINUTE, T0, Recorder, frame, tick

DAY = 24 * HOUR
LUNCH = Session(
    "Lunch", "America/New_York", {"Mon-Fri": ("9:30", "16:00")}, breaks=[("12:00", "13:00")],
    holidays=["2025-11-04"], early_closes={date(2025, 11, 3): "12:30"},
)  # fmt: skip
NIGHT = Session("Night", "America/New_York", {"Sun-Fri": ("18:00", "17:00")})
NOV_1 = 1_761_955_200 * SECOND
"""2025-11-01T00:00Z, a Saturday; New York turns its clocks back on Sunday."""
MAR_29 = 1_743_206_400 * SECOND
"""2025-03-29T00:00Z, a Saturday; London turns its clocks forward on Sunday."""


class SetBack(VirtualClock):
    """A clock that is set back by `off`."""

    off = 0

    @property
    def now(self) -> int:
        return super().now - self.off

    @property
    def moved(self) -> int:
        return self.now + self.off - T0

    def call_at(self, when: int, action: Any) -> Any:
        return super().call_at(when + self.off, action)


class Watched:
    """A source, a clock, and what came of it."""

    def __init__(self, start: int = T0, *, tells: bool = False, **arguments: Any) -> None:
        self.clock = VirtualClock(start)
        self.told: list[tuple[int, Stale]] = []
        if tells:
            arguments["on_idle"] = lambda stale: self.told.append((self.clock.now, stale))
        self.source: Subject[Any] = Subject()
        self.got = Recorder().to(ops.timeout_idle(**arguments)(self.source), self.clock.scheduler)

    def at(self, time: int, *elements: Any) -> None:
        self.clock.advance_to(time)
        for element in elements:
            self.source.on_next(element)

    @property
    def stale(self) -> Stale:
        assert isinstance(self.got.error, Stale)
        return self.got.error


def expected(
    session: Session, allowed: int, start: int, end: int, elements: set[int], shut: Collection[int] = ()
) -> list[tuple[int, int]]:
    """When silence is told of, and since when it was: minute by minute, but for minutes that begin in `shut`."""
    found: list[tuple[int, int]] = []
    counted, since = 0, start
    opened = session.span_at(start) is not None
    for now in range(start + MINUTE, end + 1, MINUTE):
        was, opened = opened, session.span_at(now) is not None
        passed = now - MINUTE not in shut
        counted += MINUTE * passed
        if opened and not was:
            counted, since = 0, now
        if opened and counted == allowed and passed:
            found.append((now, since))
            counted = 0
        if now in elements:
            counted, since = 0, now
    return found


MINUTES = st.integers(1, 4 * 24 * 60)


class TestTime:
    @settings(max_examples=40)
    @example((get("FX"), NOV_1), 1, {2761})
    @example((LUNCH, NOV_1), 30, {2 * 24 * 60 + 14 * 60 + 15})
    @example((NIGHT, NOV_1), 23 * 60 - 1, set())
    @example((NIGHT, NOV_1), 23 * 60, set())
    @example((get("24x7"), NOV_1), 36 * 60, {5})
    @given(
        st.sampled_from([(LUNCH, NOV_1), (NIGHT, NOV_1), (get("LSE"), MAR_29), (get("FX"), NOV_1), (get("24x7"), NOV_1)]),
        st.sampled_from([30, 90, 150, 390, 23 * 60, 36 * 60]),
        st.sets(MINUTES, max_size=40),
    )
    def test_counts_only_while_it_is_open_and_anew_at_each_open(
        self, market: tuple[Session, int], allowed: int, minutes: set[int]
    ) -> None:
        session, start = market
        watched = Watched(start, tells=True, first=allowed * 60, between=allowed * 60, session=session)
        elements = {start + minute * MINUTE for minute in minutes}
        for at in sorted(elements):
            watched.at(at, tick())
        watched.at(start + 4 * DAY)
        told = [(now, stale.since) for now, stale in watched.told]
        assert told == expected(session, allowed * MINUTE, start, start + 4 * DAY, elements)
        assert len(watched.got.elements) == len(elements)

    def test_the_stream_ends_to_the_nanosecond(self) -> None:
        watched = Watched(between="30s")
        watched.at(T0 + 7, tick())
        watched.at(T0 + 7 + 30 * SECOND - 1)
        assert watched.got.error is None
        watched.at(T0 + 7 + 30 * SECOND)
        stale = watched.stale
        assert (stale.since, stale.allowed, stale.symbol, stale.permanent) == (T0 + 7, 30 * SECOND, None, False)
        assert isinstance(stale, FeedError)
        assert str(stale) == f"no element for 30 s although 24x7 is open (since {iso(T0 + 7)}); 30 s are allowed"
        assert not watched.source.observers
        assert watched.clock.next_due is None

    def test_the_first_has_a_time_of_its_own(self) -> None:
        watched = Watched(first="1m", between="10s")
        watched.at(T0 + 59 * SECOND, tick())
        watched.at(T0 + 69 * SECOND - 1)
        assert watched.got.error is None
        watched.at(T0 + 69 * SECOND)
        assert watched.stale.since == T0 + 59 * SECOND
        watched = Watched(first="1m")
        watched.at(T0 + MINUTE)
        assert str(watched.stale).startswith("no first element for 60 s although 24x7 is open")

    def test_without_a_time_for_the_first_it_may_take_for_ever(self) -> None:
        watched = Watched(between="10s")
        assert watched.clock.next_due is None
        watched.at(T0 + DAY, tick())
        watched.at(T0 + DAY + 10 * SECOND)
        assert watched.stale.since == T0 + DAY

    def test_without_a_time_between_nothing_is_watched_after_the_first(self) -> None:
        watched = Watched(first="10s")
        watched.at(T0 + 9 * SECOND, tick())
        assert watched.clock.next_due is None
        watched.at(T0 + DAY, tick())
        assert watched.got.error is None

    def test_a_market_that_never_opens_again_is_never_stale(self) -> None:
        far = (date(2300, 1, 1).toordinal() - date(1970, 1, 1).toordinal()) * DAY
        watched = Watched(far, first="1s", session="CME")
        assert watched.clock.next_due is None

    def test_the_source_is_let_go_of_before_the_end_is_told(self) -> None:
        clock, source, left = VirtualClock(T0), Subject[Any](), list[int]()
        ops.timeout_idle(first="10s", scheduler=clock)(source).subscribe(on_error=lambda _: left.append(len(source.observers)))
        assert len(source.observers) == 1
        clock.advance(10 * SECOND)
        assert left == [0]

    def test_a_clock_that_is_set_back_delays_it_by_one_time_at_most(self) -> None:
        clock, source = SetBack(T0), Subject[Any]()
        got = Recorder().to(ops.timeout_idle(between="10s", scheduler=clock)(source))
        source.on_next(tick())
        clock.off = HOUR
        clock.advance(19 * SECOND)
        assert got.error is None
        clock.advance(SECOND)
        assert isinstance(got.error, Stale)

    def test_one_that_is_set_back_after_it_was_told_of(self) -> None:
        clock, source, told = SetBack(T0), Subject[Any](), list[int]()
        operator = ops.timeout_idle(between="10s", on_idle=lambda _: told.append(clock.moved), scheduler=clock)
        operator(source).subscribe()
        source.on_next(tick())
        clock.advance(10 * SECOND)
        clock.off = 15 * SECOND
        clock.advance(15 * SECOND)
        assert told == [10 * SECOND, 25 * SECOND]


class TestValve:
    @settings(max_examples=60)
    @example((LUNCH, NOV_1), 30, set(), [(2 * 24 * 60 + 14 * 60, 400)])
    @example((LUNCH, NOV_1), 150, set(), [(2 * 24 * 60 + 14 * 60, 5_000)])
    @example((get("FX"), NOV_1), 90, {2_800, 2_895}, [(2_790, 20), (2_830, 60)])
    @given(
        st.sampled_from([(LUNCH, NOV_1), (NIGHT, NOV_1), (get("FX"), NOV_1), (get("24x7"), NOV_1)]),
        st.sampled_from([30, 90, 390, 23 * 60]),
        st.sets(MINUTES, max_size=20),
        st.lists(st.tuples(MINUTES, st.integers(1, 300)), max_size=12),
    )
    def test_counts_only_while_it_is_open_too(
        self, market: tuple[Session, int], allowed: int, minutes: set[int], shuts: list[tuple[int, int]]
    ) -> None:
        session, start = market
        valve, last = Valve(), 4 * 24 * 60
        watched = Watched(start, tells=True, first=allowed * 60, between=allowed * 60, session=session, valve=valve)
        shut = {minute for begin, length in shuts for minute in range(begin, min(begin + length, last))}
        for minute in sorted(minutes | shut | {each + 1 for each in shut}):
            watched.at(start + minute * MINUTE, *([tick()] if minute in minutes else []))
            (valve.hold if minute in shut else valve.release)(self)
        watched.at(start + last * MINUTE)
        told = [(now, stale.since) for now, stale in watched.told]
        elements, never = ({start + minute * MINUTE for minute in some} for some in (minutes, shut))
        assert told == expected(session, allowed * MINUTE, start, start + last * MINUTE, elements, never)

    def test_it_is_told_of_to_the_nanosecond_when_so_much_time_was_read(self) -> None:
        valve = Valve()
        watched = Watched(between="30s", valve=valve)
        watched.at(T0 + 7, tick())
        for begin, end in ((10, 25), (26, 126)):
            watched.at(T0 + begin * SECOND)
            valve.hold(self)
            assert watched.clock.next_due is None
            watched.at(T0 + end * SECOND)
            valve.release(self)
        watched.at(T0 + 7 + 145 * SECOND - 1)
        assert watched.got.error is None
        watched.at(T0 + 7 + 145 * SECOND)
        assert watched.stale.since == T0 + 7
        assert str(watched.stale).startswith("no element for 145 s although 24x7 is open")
        assert watched.clock.next_due is None
        valve.hold(self)
        valve.release(self)
        assert watched.clock.next_due is None

    def test_one_that_is_shut_already_counts_from_when_it_opens(self) -> None:
        valve = Valve()
        valve.hold(self)
        watched = Watched(first="10s", valve=valve)
        watched.at(T0 + HOUR)
        valve.release(self)
        watched.at(T0 + HOUR + 10 * SECOND - 1)
        assert watched.got.error is None
        watched.at(T0 + HOUR + 10 * SECOND)
        assert watched.stale.since == T0

    def test_each_symbol_is_left_what_it_had(self) -> None:
        valve = Valve()
        watched = Watched(tells=True, per="symbol", between="10s", valve=valve)
        watched.at(T0, tick(symbol="A"))
        watched.at(T0 + 6 * SECOND, tick(symbol="B"))
        watched.at(T0 + 8 * SECOND)
        valve.hold(self)
        watched.at(T0 + 50 * SECOND, tick(symbol="C"))  # it was on its way
        watched.at(T0 + 108 * SECOND)
        valve.release(self)
        watched.at(T0 + 118 * SECOND)
        assert [((now - T0) // SECOND, stale.symbol) for now, stale in watched.told] == [(110, "A"), (116, "B"), (118, "C")]

    def test_it_lets_go_of_it_at_the_end_and_is_no_source_that_heeds_it(self) -> None:
        valve = Valve()
        disposed, failed = Watched(between="10s", valve=valve), Watched(first="10s", valve=valve)
        assert repr(valve) == "Valve(open, 2 watching)"
        assert not valve.watched
        disposed.got.subscription.dispose()
        failed.at(T0 + 10 * SECOND)
        assert repr(valve) == "Valve(open, 0 watching)"


class TestTelling:
    def test_tells_again_each_time_and_since_when(self) -> None:
        watched = Watched(tells=True, between="10s")
        watched.at(T0, tick())
        watched.at(T0 + 35 * SECOND, tick())
        watched.at(T0 + 46 * SECOND)
        assert [((now - T0) // SECOND, (stale.since - T0) // SECOND) for now, stale in watched.told] == [
            (10, 0), (20, 0), (30, 0), (45, 35)
        ]  # fmt: skip
        assert "no element for 30 s" in str(watched.told[2][1])
        assert watched.got.error is None

    def test_an_observer_will_do(self) -> None:
        told: Subject[Stale] = Subject()
        heard = Recorder().to(told)
        watched = Watched(between="10s", on_idle=told)
        watched.at(T0, tick())
        watched.at(T0 + 10 * SECOND)
        assert [stale.since for stale in heard.elements] == [T0]
        assert watched.got.error is None

    def test_what_it_raises_is_the_end(self) -> None:
        def raising(_: Stale) -> None:
            raise RuntimeError("no")

        watched = Watched(first="10s", on_idle=raising)
        watched.at(T0 + 10 * SECOND)
        assert repr(watched.got.error) == "RuntimeError('no')"
        assert not watched.source.observers
        assert watched.clock.next_due is None

    def test_it_may_dispose_of_the_stream(self) -> None:
        watched = Watched(between="10s", per="symbol", on_idle=lambda _: watched.got.subscription.dispose())
        watched.at(T0, tick(), tick(symbol="B"))
        watched.at(T0 + HOUR)
        assert watched.got.error is None
        assert watched.clock.next_due is None


class TestSymbols:
    def test_a_silent_one_is_told_of_among_others(self) -> None:
        watched = Watched(per="symbol", between="10s")
        for at in range(20):
            watched.at(T0 + at * SECOND, tick(symbol="A"), *([Quote("B", T0)] if at < 5 else []))
            if watched.got.error is not None:
                break
        assert (watched.stale.symbol, watched.stale.since) == ("B", T0 + 4 * SECOND)
        assert str(watched.stale).startswith("B: no element for 10 s")
        assert watched.clock.now == T0 + 14 * SECOND

    @given(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ABC")), max_size=30),
        st.sampled_from(["rows", "frames"]),
    )
    def test_each_as_if_it_were_alone(self, elements: list[tuple[int, str]], lane: str) -> None:
        elements.sort()
        watched = Watched(tells=True, per="symbol", between="4s")
        alone = {symbol: Watched(tells=True, between="4s") for symbol in "ABC"}
        for at in sorted({at for at, _ in elements}):
            together = [tick(symbol=symbol) for when, symbol in elements if when == at]
            watched.at(T0 + at * SECOND, *([frame(together)] if lane == "frames" else together))
            for symbol, one in alone.items():
                one.at(T0 + at * SECOND, *(t for t in together if t.symbol == symbol))
        for one in (watched, *alone.values()):
            one.at(T0 + 60 * SECOND)
        told = sorted((now, str(stale.symbol), stale.since) for now, stale in watched.told)
        assert told == sorted((now, symbol, s.since) for symbol, one in alone.items() for now, s in one.told)

    def test_each_has_its_session(self) -> None:
        hours = {"B": Instrument("B", tick_size=0.25, session="NYSE")}
        watched = Watched(tells=True, per="symbol", between="1m", session="24x7", instruments=hours)
        watched.at(T0, tick(symbol="A"), tick(symbol="B"))  # New York opens at 13:30 on that day
        watched.at(T0 + 3 * HOUR + 31 * MINUTE)
        assert {stale.symbol for now, stale in watched.told if now < T0 + 3 * HOUR + 31 * MINUTE} == {"A"}
        assert watched.told[-1][1].symbol == "B" or watched.told[-2][1].symbol == "B"

    def test_too_many_are_watched_as_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(idle, "MOST", 2)
        watched = Watched(tells=True, per="symbol", between="10s")
        watched.at(T0, *(tick(symbol=symbol) for symbol in "ABCD"))
        for at in range(1, 10):
            watched.at(T0 + at * SECOND, tick(symbol="A"), tick(symbol="B"), tick(symbol="CDEF"[at % 4]))
        watched.at(T0 + 10 * SECOND, tick(symbol="A"), tick(symbol="B"))
        watched.at(T0 + 19 * SECOND)
        assert [(now, stale.symbol) for now, stale in watched.told] == [(T0 + 19 * SECOND, "other")]

    def test_the_first_is_the_stream_s(self) -> None:
        watched = Watched(per="symbol", first="5s", between="10s")
        watched.at(T0 + 5 * SECOND)
        assert watched.stale.symbol is None

    def test_what_has_none_is_an_error(self) -> None:
        watched = Watched(per="symbol", between="10s")
        watched.at(T0, 3)
        assert str(watched.got.error) == 'timeout_idle(per="symbol") takes what has a symbol, or frames of it, got int'
        watched = Watched(per="symbol", between="10s")
        watched.at(T0, Gap("A", T0, T0, "x"))
        assert watched.got.error is None


class TestElements:
    def test_a_frame_without_rows_is_no_sign_of_life(self) -> None:
        watched = Watched(first="10s", between="10s")
        watched.at(T0 + 5 * SECOND, frame([]))
        watched.at(T0 + 9 * SECOND, frame([tick()]))
        watched.at(T0 + 15 * SECOND, frame([]))
        watched.at(T0 + 19 * SECOND)
        assert watched.stale.since == T0 + 9 * SECOND
        assert len(watched.got.elements) == 3

    def test_runs_are_handed_on_as_runs(self) -> None:
        observers: list[Any] = []
        source = RunObservable[Any](lambda observer, _=None: (observers.append(observer), Disposable())[1])
        runs: list[Any] = []
        clock = VirtualClock(T0)
        made = ops.timeout_idle(between="10s", scheduler=clock)(source)
        RunObserver(runs.append, runs.append, runs.append, lambda: None).to(made, None)
        ticks = [tick(), tick()]
        observers[0].on_run(ticks)
        clock.advance(10 * SECOND)
        assert runs[0] is ticks
        assert isinstance(runs[1], Stale)

    def test_one_timer_that_is_moved_when_it_fires(self) -> None:
        made = 0

        class Counting(VirtualClock):
            def call_at(self, when: int, action: Any) -> Any:
                nonlocal made
                made += 1
                return super().call_at(when, action)

        clock, source = Counting(T0), Subject[Any]()
        Recorder().to(ops.timeout_idle(first="1h", between="10s", per="symbol", scheduler=clock)(source))
        for at in range(1_000):
            clock.advance_to(T0 + at * SECOND // 10)
            source.on_next(tick(symbol="ABC"[at % 3]))
        assert made <= 3 * 1_000 // 100 + 3

    def test_a_source_that_goes_silent_while_it_is_subscribed_to(self) -> None:
        clock = VirtualClock(T0)
        released: list[bool] = []

        def sync(observer: Any, _: Any = None) -> Any:
            observer.on_next(1)
            clock.advance(10 * SECOND)
            observer.on_next(2)
            observer.on_completed()
            return Disposable(lambda: released.append(True))

        got = Recorder().to(ops.timeout_idle(between="10s", scheduler=clock)(Observable(sync)))
        assert got.elements == [1]
        assert isinstance(got.error, Stale)
        assert released == [True]

    def test_without_a_clock_it_cannot_be_subscribed_to(self) -> None:
        got = Recorder().to(ops.timeout_idle(first=1)(Subject[Any]()))
        assert str(got.error) == "timeout_idle needs a clock: give it or subscribe() a scheduler"

    def test_says_what_it_is_set_to(self) -> None:
        operator = ops.timeout_idle(first="1m", between=30, session="CME")
        assert repr(operator) == "timeout_idle(first='1m', between=30, session='CME')"
        assert nanoseconds("1m") == MINUTE
