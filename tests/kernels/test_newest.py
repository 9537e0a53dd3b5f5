"""What `sample_every` and `throttle_latest` keep, against an oracle that looks at whole periods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxfeed.frame import Frame, is_frame
from rxfeed.kernels.newest import NewestKernel
from rxfeed.model import Quote, Tick
from tests.builders import T0, frame, tick
from tests.oracle_newest import PERIOD, expected

EVENTS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 3, 9, 10, 11, 25]), st.sampled_from("AABC")), max_size=40)
KEYS = st.sampled_from([None, "symbol"])


def rows_of(events: list[tuple[int, str]]) -> tuple[list[int], list[Tick]]:
    """Times at which ticks come, and the ticks."""
    nows: list[int] = []
    now = T0
    for step, _ in events:
        now += step
        nows.append(now)
    return nows, [tick(0, symbol=symbol, seq=seq) for seq, (_, symbol) in enumerate(events)]


def run(kernel: NewestKernel, nows: list[int], elements: list[Any]) -> list[tuple[int, Any]]:
    """Everything that goes out, with the time: as with a timer that is always punctual."""
    out: list[tuple[int, Any]] = []
    for now, element in zip(nows, elements, strict=True):
        if kernel.waiting and kernel.end <= now:
            due = kernel.end
            out += [(due, e) for e in kernel.turn(due)]
        out += [(now, e) for e in kernel.add(element, now)]
    out += [(nows[-1], e) for e in kernel.flush()] if nows else []
    return out


def flat(out: list[tuple[int, Any]]) -> list[tuple[int, Tick]]:
    return [(now, row) for now, element in out for row in (element.rows() if is_frame(element) else [element])]


@given(EVENTS, KEYS, st.booleans())
@example([(0, "A"), (10, "A"), (10, "A")], None, True)
def test_rows_agree_with_the_oracle(events: list[tuple[int, str]], key: Any, leading: bool) -> None:
    nows, rows = rows_of(events)
    kernel = NewestKernel("x", PERIOD, key, leading=leading)
    assert run(kernel, nows, rows) == expected(nows, rows, keyed=key is not None, leading=leading)
    assert kernel.stats.received == len(rows)
    assert kernel.stats.emitted + kernel.stats.dropped == len(rows)


@given(EVENTS, KEYS, st.booleans())
def test_frames_agree_with_their_rows(events: list[tuple[int, str]], key: Any, leading: bool) -> None:
    nows, rows = rows_of(events)
    plain, framed = (NewestKernel("x", PERIOD, key, leading=leading) for _ in range(2))
    times = sorted(set(nows))
    frames = [frame([row for now, row in zip(nows, rows, strict=True) if now == at]) for at in times]
    out = run(framed, times, frames)
    assert all(is_frame(element) and len(element) for _, element in out)
    assert flat(out) == run(plain, nows, rows)
    assert framed.stats == plain.stats


@given(EVENTS, KEYS)
def test_a_sample_needs_no_punctual_timer(events: list[tuple[int, str]], key: Any) -> None:
    nows, rows = rows_of(events)
    late, punctual = (NewestKernel("x", PERIOD, key) for _ in range(2))
    out = [e for now, row in zip(nows, rows, strict=True) for e in late.add(row, now)] + [*late.flush()]
    assert out == [row for _, row in run(punctual, nows, rows)]
    assert late.stats == punctual.stats


def test_received_is_emitted_dropped_and_pending_at_any_moment() -> None:
    kernel = NewestKernel("x", 10, "symbol")
    kernel.add(frame([tick(symbol=s) for s in "AABCAA"]), 3)
    assert kernel.stats == (6, 0, 3, 3)
    kernel.add(frame([tick(symbol="B")]), 12)
    assert kernel.stats == (7, 3, 3, 1)
    kernel.clear()
    assert kernel.stats == (7, 3, 4, 0)


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    kernel = NewestKernel("x", 10)
    assert kernel.add("a", 1_005) == ()
    assert [*kernel.add("b", 207)] == ["a"]
    assert kernel.end == 210
    leading = NewestKernel("x", 10, leading=True)
    assert [*leading.add("a", 1_005)] == ["a"]
    assert [*leading.add("b", 207)] == ["b"]


def test_keys_of_periods_that_are_over_are_forgotten() -> None:
    kernel = NewestKernel("x", 10, "symbol", leading=True)
    for n in range(1_000):
        kernel.add(tick(symbol=f"S{n}"), 10 * n)
        kernel.add(tick(symbol=f"S{n}"), 10 * n + 1)
        kernel.turn(10 * n + 10)
    assert len(kernel._passed) <= 1
    assert kernel.waiting == {}
    kernel.add(tick(symbol="X"), 10_015)
    assert kernel._passed == {"X"}


def test_frames_of_any_kind_and_none_at_all() -> None:
    kernel = NewestKernel("x", 10)
    assert kernel.add(Frame.of([], Tick), 1) == ()
    assert kernel.stats == (0, 0, 0, 0)
    quotes = [Quote("A", 1, seq=1), Quote("B", 2, seq=2)]
    kernel.add(Frame.of(quotes), 1)
    (out,) = kernel.turn(11)
    assert out.kind is Quote
    assert out.rows() == quotes[1:]


def test_a_callable_key_is_for_rows() -> None:
    kernel = NewestKernel("sample_every", 10, lambda row: row.symbol)
    kernel.add(tick(), 1)
    with pytest.raises(TypeError) as caught:
        kernel.add(frame([tick()]), 1)
    assert str(caught.value) == "sample_every with a callable key takes rows, got Frame[Tick]; give it the field's name"


def test_a_key_that_raises_changes_nothing() -> None:
    kernel = NewestKernel("x", 10, "symbol")
    kernel.add(tick(), 1)
    with pytest.raises(AttributeError, match="no attribute 'symbol'"):
        kernel.add(3, 25)
    assert kernel.stats == (1, 0, 0, 1)
