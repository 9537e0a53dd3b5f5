"""The kernel of `dedupe`: what is a duplicate, what is let go and when, and that rows and frames are judged alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed.frame import Frame
from rxfeed.kernels.dedupe import chunks, frames
from rxfeed.kernels.dedupe import kernel as module
from rxfeed.kernels.dedupe.kernel import DedupeKernel
from rxfeed.model import UNKNOWN_TIME, Depth, DepthKind, Quote, Tick
from rxfeed.times import SECOND
from tests.builders import MINUTE, T0, tick

WILD = 9_000_000_000 * SECOND
"""In the year 2255."""


@pytest.fixture(autouse=True)
def _every_frame_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is done seldom, often."""
    monkeypatch.setattr(module, "FEW_ROWS", 0)
    monkeypatch.setattr(chunks, "_MANY", 2)
    monkeypatch.setattr(frames, "_WINDOW", 4)
    monkeypatch.setattr(frames, "_ROOM", frames._ROOM)


def judge(k: DedupeKernel, *rows: Any) -> list[Any]:
    """Which rows pass, as the operator asks: the quick way first."""
    out = [row for row in rows if k.quick[type(row)](row) or k.element(row)]
    assert k.stats.received == k.stats.emitted + k.stats.duplicate
    return out


def judge_frame(k: DedupeKernel, rows: list[Any]) -> list[Any]:
    keep = k.frame(Frame.of(rows, type(rows[0])))
    return rows if keep is None else [row for row, passes in zip(rows, keep.tolist(), strict=True) if passes]


def either(k: DedupeKernel, way: str, *rows: Any) -> list[Any]:
    return judge(k, *rows) if way == "rows" else judge_frame(k, list(rows)) if rows else []


ways = pytest.mark.parametrize("way", ["rows", "frames"])


@ways
def test_a_key_that_was_seen_is_dropped(way: str) -> None:
    k = DedupeKernel("seq")
    first, second = tick(0, 1, seq=1), tick(1, 2, seq=2)
    assert either(k, way, first, second, first) == [first, second]
    assert either(k, way, second, tick(5, 9, seq=1), tick(1, 3, seq=3)) == [tick(1, 3, seq=3)]
    assert k.stats == (6, 3, 3, 3, 0, 0)


@ways
def test_symbol_and_kind_belong_to_the_key(way: str) -> None:
    k = DedupeKernel("seq")
    rows: list[Any] = [tick(seq=1), tick(seq=1, symbol="B"), Quote("A", T0, seq=1), Depth("A", T0, DepthKind.RESET, seq=1)]
    for row in rows:
        assert either(k, way, row) == [row]
        assert either(k, way, row) == []


@ways
@pytest.mark.parametrize("key", ["price", ("time", "price"), ("bid", "seq"), "received", ("volume", "bid_size")])
def test_fields_that_may_be_none_or_nan(way: str, key: Any) -> None:
    k = DedupeKernel(key)
    if "price" in key:
        rows: list[Any] = [tick(0, p) for p in (0.0, -0.0, math.nan, -float("nan"), 1.0, -1.0, math.inf)]
        assert list(map(repr, either(k, way, *rows))) == list(map(repr, [rows[0], rows[2], rows[4], rows[5], rows[6]]))
        return
    quotes = [
        Quote("A", T0, bid=bid, bid_size=size, volume=volume, received=received)
        for bid, size, volume, received in [(None, 0, None, None), (0.0, None, 0, 0), (math.nan, 1, 1, -1)]
    ]
    assert either(k, way, *quotes) == quotes
    assert either(k, way, *[Quote("A", T0, bid=q.bid, bid_size=q.bid_size, volume=q.volume, received=q.received)
                            for q in quotes]) == []  # fmt: skip


@ways
def test_a_key_counts_for_the_horizon(way: str) -> None:
    k = DedupeKernel("seq", "64s")
    a, edge, late = tick(0, seq=1), tick(64, seq=2), tick(64.9, seq=1)
    assert either(k, way, a, edge, late) == [a, edge]
    beyond = tick(68, seq=1)
    assert either(k, way, beyond) == [beyond]
    assert either(k, way, tick(69, seq=1)) == []
    assert k.stats == (5, 3, 2, 2, 0, 0)


@ways
def test_a_repeat_does_not_prolong_it(way: str) -> None:
    k = DedupeKernel("seq", "64s")
    rows = [tick(at, seq=1) for at in (0, 40, 80, 120, 160)]
    assert either(k, way, *rows) == [rows[0], rows[2], rows[4]]


@ways
def test_what_is_too_late_to_judge_passes_unless_it_is_known(way: str) -> None:
    k = DedupeKernel("seq", "64s")
    late = tick(0, seq=7)
    assert either(k, way, tick(100, seq=1), tick(36, seq=6), late, late) == [tick(100, seq=1), tick(36, seq=6), late]
    assert k.stats == (4, 3, 1, 3, 0, 1)
    assert either(k, way, tick(150, seq=2), late) == [tick(150, seq=2)]


@ways
def test_times_that_are_unknown_or_wild(way: str) -> None:
    k = DedupeKernel("seq")
    nowhere = Tick("A", UNKNOWN_TIME, 1.0, 1, 0, 1)
    assert either(k, way, nowhere, nowhere) == [nowhere]
    rows = [tick(i, seq=2 + i) for i in range(3)]
    assert either(k, way, *rows, *rows) == rows
    assert either(k, way, Tick("A", UNKNOWN_TIME, 1.0, 1, 0, 9)) == [Tick("A", UNKNOWN_TIME, 1.0, 1, 0, 9)]
    wild = Tick("A", WILD, 1.0, 1, 0, 10)
    assert either(k, way, wild) == [wild]
    after = [tick(i, seq=20 + i) for i in range(3)]
    assert either(k, way, *after, *after) == after
    assert k.stats == (16, 9, 7, 4, 0, 4)
    other = tick(0, seq=20, symbol="B")
    assert either(k, way, other, other) == [other]


@ways
def test_at_capacity_the_oldest_of_all_symbols_go(way: str) -> None:
    k = DedupeKernel("seq", capacity=32)
    quiet = tick(0, seq=0, symbol="Q")
    rows = [tick(i, seq=i) for i in range(32)]
    assert either(k, way, quiet, *rows) == [quiet, *rows]
    assert k.stats[3:] == (31, 2, 0)
    assert either(k, way, *rows[1:]) == []
    assert either(k, way, quiet, rows[0]) == [quiet, rows[0]]
    assert k.stats[3:] == (31, 4, 0)


@ways
def test_a_capacity_of_one(way: str) -> None:
    k = DedupeKernel("seq", capacity=1)
    one, two = tick(0, seq=1), tick(1, seq=2)
    assert either(k, way, one, one, two, two, one) == [one, two, one]
    assert k.stats == (5, 3, 2, 1, 2, 0)


def test_memory_is_let_go() -> None:
    k = DedupeKernel("seq", "64s")
    for i in range(20_000):
        judge(k, tick(i, seq=i))
        memory = k._rows.tables[Tick]["A"]
        assert len(memory.known) <= 68 + 64 + 4
        assert len(memory.marks) <= 17
    assert k.stats.remembered == 68


def test_memory_of_frames_is_let_go() -> None:
    k = DedupeKernel("seq", "64s")
    for i in range(60):
        rows = 10_000
        seq = np.arange(i * rows, (i + 1) * rows)
        df = pl.DataFrame({"symbol": ["A"] * rows, "time": T0 + seq * SECOND // 10, "price": 1.0, "size": 1, "seq": seq})
        assert k.frame(Frame(df)) is None
    assert k._frames is not None
    assert len(k._frames.chunks) < 300_000
    assert 640 < k.stats.remembered <= 680


@ways
def test_a_restored_kernel_goes_on_as_the_other_would(way: str) -> None:
    k, restored = DedupeKernel("seq", "64s", 40), DedupeKernel("seq", "64s", 40)
    for i in range(100):
        row = tick(3 * i, seq=i % 70, symbol="AAB"[i % 3])
        if i % 25 == 20:
            fresh = DedupeKernel("seq", "64s", 40)
            fresh.restore(restored.snapshot())
            restored = fresh
        assert either(k, way, row) == either(restored, "rows", row)
        assert k.stats == restored.stats


# --- against an oracle


class Oracle:
    """The contract, word by word, and slowly: a list of what was seen."""

    def __init__(self, horizon: int, capacity: int) -> None:
        self.width, self.capacity = -(-horizon // 16), capacity
        self.seen: list[tuple[Any, int, int]] = []
        self.watermark: dict[Any, int] = {}
        self.passed = self.duplicate = self.evicted = self.unchecked = 0
        self.count_at = capacity + 1

    def live(self) -> list[tuple[Any, int, int]]:
        return [s for s in self.seen if s[1] // self.width >= self.watermark[s[0][:2]] // self.width - 16]

    def judge(self, row: Any, key: Any) -> bool:
        whose = (type(row), row.symbol)
        mark = self.watermark[whose] = max(self.watermark.get(whose, row.time), row.time)
        self.seen = self.live()
        if any(k == (*whose, key) for k, _, _ in self.seen):
            self.duplicate += 1
            return False
        self.unchecked += row.time // self.width < mark // self.width - 16
        self.seen.append(((*whose, key), mark, self.passed))
        self.passed += 1
        if self.passed == self.count_at:
            target = self.capacity + 1 - max(1, self.capacity // 16)
            gone = max(0, len(self.seen) - target)
            self.evicted += gone
            self.seen = self.seen[gone:]
            self.count_at = self.passed + self.capacity + 1 - len(self.seen)
        return True

    @property
    def stats(self) -> tuple[int, ...]:
        return self.passed + self.duplicate, self.passed, self.duplicate, len(self.live()), self.evicted, self.unchecked


times = st.one_of(
    st.integers(0, 40).map(lambda i: T0 + i * SECOND), st.integers(0, 4000).map(lambda i: T0 + i * SECOND),
    st.sampled_from([UNKNOWN_TIME, WILD, T0 - 10**17, 0]),
)  # fmt: skip
in_order = st.lists(st.integers(0, 8), max_size=40).map(lambda steps: [T0 + at * SECOND for at in accumulate(steps)])
KEYS: list[Any] = ["seq", ("time", "seq"), ("seq", "price"), ("received", "side")]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Tick], list[int]]:
    when = draw(st.one_of(in_order, st.lists(times, max_size=40)))
    keys = draw(st.sampled_from([st.integers(0, 6), st.integers(0, 60), st.just(None)]))
    rows: list[Tick] = []
    for i, time in enumerate(when):
        seq, price = draw(keys), draw(st.sampled_from([1.0, 1.0, math.nan, -0.0]))
        side, received = draw(st.integers(0, 1)), draw(st.sampled_from([None, None, 0, 1]))
        rows.append(Tick(draw(st.sampled_from("AAB")), time, price, 1, side, i if seq is None else seq, received))
    return rows, draw(st.lists(st.integers(0, 12), min_size=1))


def cut(rows: list[Tick], sizes: list[int]) -> Iterator[list[Tick]]:
    at = 0
    while at < len(rows):
        for size in [*sizes, 5]:
            yield rows[at : at + size]
            at += size


@pytest.mark.parametrize(("few", "room"), [(0, 0), (0, 1 << 18), (4, 5), (10_000, 0)])
@settings(deadline=None, max_examples=60)
@given(stream=streams(), key=st.sampled_from(KEYS), horizon=st.sampled_from([1_000, 20 * SECOND, MINUTE, 10**19 // 2]),
       capacity=st.sampled_from([1, 2, 5, 17, 40, 1000]))  # fmt: skip
def test_rows_and_frames_agree_with_the_oracle(
    few: int, room: int, stream: tuple[list[Tick], list[int]], key: Any, horizon: int, capacity: int
) -> None:
    rows, sizes = stream
    names = (key,) if isinstance(key, str) else key
    oracle = Oracle(horizon, capacity)
    by_rows, by_frames, mixed = (DedupeKernel(key, f"{horizon}ns", capacity) for _ in range(3))
    module.FEW_ROWS, frames._ROOM = few, room
    for turn, part in enumerate(cut(rows, sizes)):
        keys = [tuple("nan" if (v := getattr(row, name)) != v else v for name in names) for row in part]
        due = [row for row, k in zip(part, keys, strict=True) if oracle.judge(row, k)]
        assert list(map(id, judge(by_rows, *part))) == list(map(id, due))
        frame = Frame.of(part, Tick)
        keep = by_frames.frame(frame)
        assert list(map(id, part if keep is None else [r for r, k in zip(part, keep, strict=True) if k])) == list(map(id, due))
        assert by_rows.stats == by_frames.stats == oracle.stats
        if turn % 3 == 0:
            fresh = DedupeKernel(key, f"{horizon}ns", capacity)
            fresh.restore(mixed.snapshot())
            mixed = fresh
        assert list(map(id, either_way(mixed, turn, part))) == list(map(id, due))
        assert mixed.stats == oracle.stats
    for one, other in zip(by_rows.snapshot(), by_frames.snapshot(), strict=True):
        assert one.sort(one.columns).equals(other.sort(other.columns))


def either_way(k: DedupeKernel, turn: int, rows: list[Tick]) -> list[Tick]:
    if turn % 2:
        return judge(k, *rows)
    keep = k.frame(Frame.of(rows, Tick))
    return rows if keep is None else [row for row, passes in zip(rows, keep, strict=True) if passes]


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("nothing",), ValueError, r"key must name fields of a tick, quote or depth \(time, price, .*\), got 'nothing'"),
        (("symbol",), ValueError, "key must name a field besides symbol, which belongs to every key, got 'symbol'"),
        (((),), ValueError, r"key must name a field besides symbol, which belongs to every key, got \(\)"),
        ((["seq"],), TypeError, r"key must be a field's name, a tuple of names or a callable, got \['seq'\]"),
        (((1,),), TypeError, r"key must be a field's name, a tuple of names or a callable, got \(1,\)"),
        (("seq", 0), ValueError, "horizon must be at least 1us, got 0"),
        (("seq", -1), ValueError, "horizon must be from 0 to 292 years, got -1"),
        (("seq", "10m", 0), ValueError, "capacity must be at least 1, got 0"),
    ],
)
def test_refuses(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}$"):
        DedupeKernel(*arguments)


@ways
def test_a_kind_without_the_field_is_refused(way: str) -> None:
    with pytest.raises(TypeError, match=r"^dedupe by 'bid' takes elements that have 'bid', got Tick$"):
        either(DedupeKernel("bid"), way, tick())


def test_a_callable_takes_rows_only() -> None:
    k = DedupeKernel(lambda row: (row.seq, row.price))
    assert judge(k, tick(0, 1), tick(0, 1), tick(0, 2)) == [tick(0, 1), tick(0, 2)]
    with pytest.raises(TypeError, match=r"^dedupe with a callable key takes rows, got Frame\[Tick\]; name fields instead$"):
        k.frame(Frame.of([tick()]))
    with pytest.raises(TypeError, match="only keys of named fields go into a frame"):
        k.snapshot()


def test_a_key_that_cannot_be_hashed_changes_nothing() -> None:
    k = DedupeKernel(lambda row: cast("Any", [row.seq]))
    with pytest.raises(TypeError, match="unhashable"):
        judge(k, tick())
    assert k.stats == (0, 0, 0, 0, 0, 0)
