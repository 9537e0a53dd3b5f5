"""With and without numba the bars are the same: whatever the frame, the compiled loops and the columns agree."""

from __future__ import annotations

import builtins
import random
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rxfeed import Frame, Instrument, Session, Tick, rules, synthetic
from rxfeed import operators as ops
from rxfeed.kernels import extra, halves
from rxfeed.kernels.bars.kernel import BarsKernel
from rxfeed.kernels.validate.frames import validate_frame
from rxfeed.kernels.validate.kernel import ValidateKernel
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests.builders import MINUTE, frame_lane, tick

pytest.importorskip("numba", reason="numba (extra fast) is not installed")
look, cascade = (extra.fast(f"rxfeed.kernels.{name}") for name in ("look", "bars.cascade"))

DAY = Session("day", "America/Chicago", {"Mon-Fri": ("08:30", "15:00")})


@pytest.fixture(autouse=True)
def all_frames_in_the_frame_lane() -> Iterator[None]:
    with frame_lane():
        yield


def outcome(fast: bool, frames: list[pl.DataFrame], names: tuple[str, ...], **more: Any) -> tuple[Any, ...]:
    kernel = BarsKernel(Windows(*names, session=more.pop("session", "24x7")), fast=fast, **more)
    out: list[pl.DataFrame] = []
    for df in frames:
        got = kernel.frame_to_frame(Frame(df))
        if got is not None:
            out.append(got.df)
    held = kernel.snapshot()
    end = kernel.finish()
    # In which order symbols come is not promised.
    bars = pl.concat(out).sort("symbol", maintain_order=True) if out else None
    end.sort(key=lambda bar: bar.symbol)
    rejects = [(r.rule, str(r.element), r.reason) for r in kernel.take_rejects()]
    return bars, [str(b) for b in end], [b.notional for b in end], kernel.stats, rejects, held


def same(a: Any, b: Any) -> bool:
    """Equal, but for the order in which a sum of floats was added up."""
    if isinstance(a, pl.DataFrame) and isinstance(b, pl.DataFrame):
        if "notional" in a.columns and not np.allclose(a["notional"], b["notional"], rtol=1e-12):
            return False
        return a.drop("notional", strict=False).equals(b.drop("notional", strict=False))
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(np.isclose(a, b, rtol=1e-12)) if isinstance(a, float) and isinstance(b, float) else a == b


@pytest.fixture(autouse=True, scope="module")
def symbols_known_in_another_order() -> None:
    """Polars numbers texts in the order in which a process first sees them."""
    Frame.of([tick(symbol=symbol) for symbol in "CADB"], Tick)


def agree(rows: list[Tick], cuts: list[int], names: tuple[str, ...], **more: Any) -> None:
    frames: list[pl.DataFrame] = []
    at = 0
    for cut in [*cuts, len(rows)]:
        if rows[at : at + cut]:
            frames.append(Frame.of(rows[at : at + cut], Tick).df)
        at += cut
    plain, fast = (outcome(way, frames, names, **more) for way in (False, True))
    for one, other in zip(plain, fast, strict=True):
        assert same(one, other), (one, other)


def seeded(seed: int, *, disorder: float, odd: float) -> tuple[list[Tick], list[int]]:
    r = random.Random(seed)
    at, rows = 0.0, list[Tick]()
    for seq in range(r.randrange(1, 300)):
        at += r.choice([0, 0, 0.1, 0.4, 1, 3, 30, 400 if r.random() < 0.05 else 0])
        back = r.choice([0.2, 2, 70, 700]) if r.random() < disorder else 0
        price = r.choice([float("nan"), float("inf")]) if r.random() < odd else 100 + r.randrange(-8, 9) / 4
        rows.append(
            tick(at - back, price, r.randrange(0, 9), symbol=r.choice("ABCD"), side=r.randrange(3), seq=r.choice([seq, seq, 0]))
        )
    return rows, [r.choice([1, 7, 40, 100]) for _ in range(r.randrange(12))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1 << 32), disorder=st.sampled_from([0.0, 0.0, 0.05]), odd=st.sampled_from([0.0, 0.0, 0.01]),
    names=st.sampled_from([("1s", "1m", "5m", "1h", "1d"), ("2s", "3s"), ("1m",), ("1s", "1w")]),
    lateness=st.sampled_from([0, SECOND // 2, 5 * SECOND]), session=st.sampled_from(["24x7", "CME", DAY]),
)  # fmt: skip
def test_any_frames_give_the_same(
    seed: int, disorder: float, odd: float, names: tuple[str, ...], lateness: int, session: str | Session
) -> None:
    rows, cuts = seeded(seed, disorder=disorder, odd=odd)
    agree(rows, cuts, names, session=session, lateness=lateness, horizon=10 * MINUTE)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1 << 32), names=st.sampled_from([("1s", "1m", "5m", "1h", "1d"), ("2s", "3s"), ("1m",), ("1s", "1w")]),
    lateness=st.sampled_from([0, 0, SECOND // 2]), session=st.sampled_from(["24x7", "CME", DAY]),
)  # fmt: skip
def test_two_threads_and_frames_in_pieces_give_the_same(
    seed: int, names: tuple[str, ...], lateness: int, session: str | Session
) -> None:
    r = random.Random(seed)
    rows, _ = seeded(seed, disorder=0.0, odd=0.0)
    rows = [msgspec.structs.replace(row, seq=seq) for seq, row in enumerate(rows)]
    df = Frame.of(rows, Tick).df
    frames: list[pl.DataFrame] = []
    while df.height:
        size = r.randrange(1, df.height + 1)
        cuts = sorted({0, size, *(r.randrange(size) for _ in range(r.randrange(4)))})
        frames.append(pl.concat([df.slice(a, b - a) for a, b in pairwise(cuts)], rechunk=False))
        df = df.slice(size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halves, "WORTH", 1)
        patch.setattr(look, "_SHORT", 1)
        cut = counted(patch)
        plain, fast = (
            outcome(way, frames, names, lateness=lateness, session=session, horizon=10 * MINUTE) for way in (False, True)
        )
    for one, other in zip(plain, fast, strict=True):
        assert same(one, other), (one, other)
    event(f"frames in two halves: {min(len(cut), 3)}")


def counted(patch: pytest.MonkeyPatch) -> list[int]:
    """Note each frame that is done in two halves."""
    cuts: list[int] = []
    real: Any = cascade._cut

    def cut(*given: Any) -> Any:
        first, second = real(*given)
        cuts.extend([len(second)] if second else [])
        return first, second

    patch.setattr(cascade, "_cut", cut)
    return cuts


def test_a_long_frame_is_done_in_two_halves() -> None:
    df = synthetic(5, symbols=("MNQ", "MES"), rate=0.2, n=30_000, session="CME").ticks_frame(30_000).df
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halves, "WORTH", 10_000)
        cuts = counted(patch)
        a, b = (
            outcome(fast, [df.slice(0, 9_000), df.slice(9_000)], ("1m", "4h", "1d"), session="CME") for fast in (False, True)
        )
    assert len(cuts) == 1
    assert same(a, b)


def test_what_fails_in_the_other_thread_is_raised_here() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        halves.both(lambda: 1, fail)
    with pytest.raises(ZeroDivisionError):
        halves.both(fail, lambda: 1)
    assert threading.active_count() == before


def test_several_sessions_are_left_to_columns() -> None:
    rows, cuts = seeded(7, disorder=0.0, odd=0.0)
    agree(rows, cuts, ("1s", "1h"), session="CME", instruments=[Instrument("B", session=DAY)])


def test_volumes_that_overflow_are_refused_alike() -> None:
    frames = [Frame.of([tick(i / 10, size=1 << 61, seq=i) for i in range(8)], Tick).df]
    texts: list[str] = []
    for fast in (False, True):
        with pytest.raises(ValueError, match="volume of a bar") as error:
            outcome(fast, frames, ("1s", "1m"))
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_days_of_a_market_over_breaks_and_nights() -> None:
    df = synthetic(5, symbols=("MNQ", "MES"), rate=0.2, n=30_000, session="CME").ticks_frame(30_000).df
    frames = [df.slice(at, 4_000) for at in range(0, df.height, 4_000)]
    a, b = (outcome(fast, frames, ("1m", "4h", "1d"), session="CME") for fast in (False, True))
    assert a[0].height > 4_000
    assert same(a, b)


# --- validate


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32), odd=st.sampled_from([0.0, 0.0, 0.02]))
def test_validate_judges_alike(seed: int, odd: float) -> None:
    r = random.Random(seed)
    rows: list[Tick] = []
    for seq in range(r.randrange(1, 60)):
        bad = r.random() < odd
        price = r.choice([-1.0, 0.0, float("nan"), 100.1, 300.0]) if bad else 100 + r.randrange(-4, 5) / 4
        size = r.choice([0, 10**13]) if bad and r.random() < 0.3 else 1
        one = tick(seq / 10, price, size, symbol=r.choice("AB"), seq=seq)
        heard = one.time + r.choice([0, SECOND, -9 * SECOND if bad else 0])
        rows.append(tick(seq / 10, price, size, symbol=one.symbol, seq=seq, received=heard if seed % 3 else None))
    instruments = [Instrument("A", tick_size=0.25)]
    asked = [rules.DEFAULT, (*rules.DEFAULT, rules.Stale("3s")), (rules.Finite(),), (rules.Finite(), rules.GoingBack())][
        seed % 4
    ]
    results: list[Any] = []
    for fast in (False, True):
        kernel = ValidateKernel(asked, instruments, fast=fast)
        passed: list[Any] = []
        for cut in (slice(0, 20), slice(20, 21), slice(21, None)):
            if rows[cut]:
                frame = validate_frame(kernel, Frame.of(rows[cut], Tick))
                passed += [] if frame is None else [str(t) for t in frame.rows()]
        kernel.finish()
        rejects = [(x.rule, x.reason) for x in kernel.take_rejects()]
        results.append(
            (passed, rejects, kernel.stats, [(s, m.last if m.last == m.last else None) for s, m in kernel.memories.items()])
        )
    plain, fast_ = results
    assert plain[:3] == fast_[:3]
    assert sorted(plain[3], key=str) == sorted(fast_[3], key=str)


def test_an_ordinary_frame_passes_as_it_is() -> None:
    kernel = ValidateKernel(fast=True)
    assert kernel.quick is not None
    frame = synthetic(1, n=5_000).ticks_frame(5_000)
    assert kernel.quick(kernel, frame)
    assert validate_frame(kernel, frame) is frame
    assert frame._groups is None, "nothing was grouped"


def test_without_numba_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "numba":
            raise ImportError("No module named 'numba'", name="numba")
        return real(name, *rest, **more)

    import sys

    for module in [m for m in sys.modules if m.endswith(("compiled", ".fastlane", ".fast", "kernels.look", "bars.base"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", missing)
    for make in (lambda: ops.bars("1s", fast=True), lambda: ops.validate(fast=True)):
        with pytest.raises(ImportError, match=r"pip install 'rxfeed\[fast\]'"):
            make()
