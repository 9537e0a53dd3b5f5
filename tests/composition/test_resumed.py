"""A source that comes and goes: numbers that rise, and a gap for each interruption."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rxfeed.clock import VirtualClock
from rxfeed.composition.fan import Fan
from rxfeed.composition.resumed import Resumed
from rxfeed.errors import ConnectionLost, Stale
from rxfeed.events import Connected, Event, Gapped, Lost, Retrying
from rxfeed.frame import Frame
from rxfeed.model import ONGOING, Gap, Tick
from tests.builders import T0, Recorder, tick


class Place:
    def __init__(self, **more: Any) -> None:
        self.events: list[Event] = []
        self.stage = Resumed(VirtualClock(T0), self.events.append, **more)
        self.source: Fan[Any] = Fan("ticks")
        self.got = Recorder().to(self.stage(self.source.out))

    def give(self, *elements: Any) -> None:
        for each in elements:
            self.source.into.on_next(each)

    def give_together(self, *ticks: Tick) -> None:
        self.source.into.on_run([*ticks])

    @property
    def gaps(self) -> list[Gap]:
        return [event.gap for event in self.events if isinstance(event, Gapped)]


def test_what_happens_to_a_connection_is_told() -> None:
    place = Place()
    place.give(tick(1, symbol="A"), tick(2, symbol="B"))
    place.stage.lost(1, ConnectionLost("cut", cause="dropped"), 1.0)
    place.stage.lost(2, ConnectionLost("cut", cause="dropped"), 2.0)
    place.give(tick(9, symbol="B", seq=5), tick(7, symbol="A", seq=6))
    assert [type(event) for event in place.events] == [
        Connected, Lost, Gapped, Gapped, Retrying, Retrying, Connected, Gapped, Gapped,
    ]  # fmt: skip
    connected = [event for event in place.events if isinstance(event, Connected)]
    assert [(event.epoch, event.attempts) for event in connected] == [(1, 1), (2, 3)]
    a, b = tick(1).time, tick(2).time
    assert place.gaps == [
        Gap("A", a, ONGOING, "dropped"), Gap("B", b, ONGOING, "dropped"),
        Gap("B", b, tick(9).time, "dropped"), Gap("A", a, tick(7).time, "dropped"),
    ]  # fmt: skip


def test_before_its_first_tick_there_is_nothing_to_lose() -> None:
    place = Place()
    place.stage.lost(1, OSError("no"), 1.0)
    assert [type(event) for event in place.events] == [Retrying]
    assert "no" not in str(place.events[0])  # what is not ours may hold anything


def test_silence_has_its_own_cause() -> None:
    place = Place()
    place.give(tick())
    place.stage.lost(1, Stale("silent", T0, 1), 1.0)
    assert place.gaps[0].cause == "silent"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["restart", "none", "go on", "own"]),
            st.lists(st.sampled_from("AB"), min_size=1, max_size=6),
            st.sampled_from(["rows", "run", "frame"]),
        ),
        max_size=6,
    )
)
def test_numbers_rise_for_each_symbol_whatever_the_source_does(connections: list[tuple[str, list[str], str]]) -> None:
    place = Place()
    number, rows = 0, 0
    for how, symbols, form in connections:
        number = 0 if how in ("restart", "none") else number
        ticks: list[Tick] = []
        for symbol in symbols:
            ticks.append(tick(rows, symbol=symbol, seq=0 if how == "none" else number))
            number, rows = number + 1, rows + 1
        if form == "run":
            place.give_together(*ticks)
        else:
            place.give(*([Frame.of(ticks)] if form == "frame" else ticks))
    found = [row for each in place.got.elements for row in (each.rows() if isinstance(each, Frame) else [each])]
    assert [each.time for each in found] == [tick(n).time for n in range(rows)]
    for symbol in "AB":
        numbers = [each.seq for each in found if each.symbol == symbol]
        assert numbers == sorted(set(numbers))


def test_numbers_that_rise_stay_and_on_request_all_do() -> None:
    rising = [tick(n, seq=n * n) for n in range(5)]
    place = Place()
    place.give(*rising)
    assert place.got.elements == rising
    fixed = Place(number=False)
    fixed.give(tick(0, seq=3), tick(1, seq=3))
    assert [each.seq for each in fixed.got.elements] == [3, 3]


def test_a_gap_ends_with_the_first_tick_of_a_run_too() -> None:
    place = Place()
    place.give_together(tick(1), tick(3, seq=1))
    place.stage.lost(1, ConnectionLost("cut", cause="closed"), 1.0)
    place.give_together(tick(6, seq=2), tick(8, seq=3))
    assert place.gaps[1] == Gap("A", tick(3).time, tick(6).time, "closed")


def test_the_gap_of_a_frame_ends_with_its_first_row() -> None:
    place = Place()
    place.give(Frame.of([tick(1), tick(3, seq=1)]))
    place.stage.lost(1, ConnectionLost("cut", cause="closed"), 1.0)
    place.give(Frame.of([tick(6, seq=2), tick(8, seq=3)]))
    assert place.gaps[1] == Gap("A", tick(3).time, tick(6).time, "closed")
