"""`merge` and `replace`, on which everything else rests, and what a bar says of itself."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.model import Bar, Flag, merge, replace, sums
from rxfeed.times import SECOND
from tests.builders import T0, bar


@st.composite
def partials(draw: st.DrawFn, count: int) -> list[Bar]:
    """Partial bars of one window whose ticks differ in (time, seq)."""
    numbers = draw(st.permutations(range(2 * count)))
    found: list[Bar] = []
    for i in range(count):
        first, last = sorted(numbers[2 * i : 2 * i + 2])
        prices = draw(st.lists(st.integers(1, 99), min_size=4, max_size=4))
        low, high = min(prices), max(prices)
        buy, sell, other = (draw(st.integers(0, 5)) for _ in range(3))
        found.append(
            bar(
                open=prices[0] / 4, high=high / 4, low=low / 4, close=prices[3] / 4, volume=buy + sell + other,
                count=draw(st.integers(1, 9)), buy_volume=buy, sell_volume=sell, notional=draw(st.integers(0, 999)) / 4,
                # Two to an instant, so that seq decides too.
                first_time=T0 + first // 2, first_seq=first, last_time=T0 + last // 2, last_seq=last,
                revision=draw(st.integers(0, 2)), flags=draw(st.sampled_from([0, 1, 2, 4, 8, 16, 20])),
            )
        )  # fmt: skip
    return found


@given(partials(2))
def test_merge_is_commutative(pair: list[Bar]) -> None:
    a, b = pair
    assert merge(a, b) == merge(b, a)


@given(partials(3))
def test_merge_is_associative(three: list[Bar]) -> None:
    a, b, c = three
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(partials(1))
def test_none_is_the_identity(one: list[Bar]) -> None:
    assert merge(one[0], None) is one[0]
    assert merge(None, one[0]) is one[0]
    assert merge(None, None) is None


@given(partials(4))
def test_what_a_merged_bar_holds(bars: list[Bar]) -> None:
    whole: Bar | None = None
    for b in bars:
        whole = merge(whole, b)
    assert whole is not None
    known = [sums(b) for b in bars]
    first = min(range(4), key=lambda i: (known[i].first_time, known[i].first_seq))
    last = max(range(4), key=lambda i: (known[i].last_time, known[i].last_seq))
    flags = 0
    for b in bars:
        flags |= b.flags
    assert whole == Bar(
        "A", "1s", T0, T0 + SECOND, bars[first].open, max(b.high for b in bars), min(b.low for b in bars), bars[last].close,
        sum(b.volume for b in bars), sum(k.ticks for k in known), sum(k.buy_volume for k in known),
        sum(k.sell_volume for k in known), sum(k.notional for k in known), known[first].first_time, known[first].first_seq,
        known[last].last_time, known[last].last_seq, bars[0].trade_date, max(b.revision for b in bars), flags,
    )  # fmt: skip


def test_merge_is_not_idempotent() -> None:
    twice = merge(bar(), bar())
    assert twice is not None
    assert (twice.volume, twice.count) == (2, 2)


def test_filled_bars_are_ignored() -> None:
    filled = bar(count=0, volume=0, open=1.0, low=1.0, flags=Flag.FILLED, first_time=None, last_time=None)
    real = bar()
    assert merge(filled, real) is real
    assert merge(real, filled) is real
    assert merge(filled, None) is filled
    assert merge(None, filled) is filled


@pytest.mark.parametrize("change", [{"symbol": "B"}, {"timeframe": "2s"}, {"start": T0 - 1}, {"end": T0 + 5}])
def test_other_windows_do_not_merge(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="only partials of one symbol and window merge, got A 1s 2025-03-10T10:00:00Z O 100"):
        merge(bar(), bar(**change))


UNKNOWN = ("count", "buy_volume", "sell_volume", "notional", "first_time", "first_seq", "last_time", "last_seq")


@pytest.mark.parametrize("field", UNKNOWN)
def test_bars_from_history_do_not_merge(field: str) -> None:
    past = bar(**{field: None})
    for pair in ((bar(), past), (past, bar())):
        with pytest.raises(ValueError, match="a bar from history is not merged but replaces, got A 1s"):
            merge(*pair)


def test_replace_sets_a_window_to_what_history_says() -> None:
    live = bar(revision=4, flags=Flag.SHORT | Flag.GAP | Flag.PARTIAL, volume=7)
    past = bar(open=1.0, high=9.0, low=0.5, close=2.0, volume=50, count=8, trade_date=live.trade_date.replace(day=1))
    got = replace(live, past)
    unknown: dict[str, Any] = dict.fromkeys(UNKNOWN)
    assert got == msgspec.structs.replace(
        past, **unknown, revision=5, flags=Flag.SHORT | Flag.REPAIRED, trade_date=live.trade_date
    )
    assert got.vwap is None


def test_replace_where_nothing_was() -> None:
    past = bar(flags=Flag.SHORT, revision=3)
    got = replace(None, past)
    assert (got.revision, got.flags, got.trade_date, got.count) == (0, Flag.SHORT | Flag.REPAIRED, past.trade_date, None)
    assert replace(got, past).revision == 1


@pytest.mark.parametrize("change", [{"symbol": "B"}, {"timeframe": "2s"}, {"start": T0 - 1}, {"end": T0 + 5}])
def test_replace_refuses_other_windows(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="history replaces a bar of the same symbol and window, got A 1s"):
        replace(bar(), bar(**change))


def test_vwap() -> None:
    assert bar(notional=1000.0, volume=8).vwap == 125.0
    assert bar(notional=0.0, volume=0).vwap is None
    assert bar(notional=None, volume=8).vwap is None
    assert bar(notional=-30.0, volume=10).vwap == -3.0


def test_identity_and_text() -> None:
    one = bar(high=101.25, low=99.5, close=1 / 3, volume=12, count=3)
    assert one.identity == ("A", "1s", T0)
    assert str(one) == "A 1s 2025-03-10T10:00:00Z O 100 H 101.25 L 99.5 C 0.3333333333 V 12 N 3"
    late = bar(revision=2, flags=Flag.SHORT | Flag.GAP, start=T0 + SECOND // 4)
    assert str(late) == "A 1s 2025-03-10T10:00:00.25Z O 100 H 100 L 100 C 100 V 1 N 1 r2 SHORT|GAP"
    assert str(bar(open=math.nan)).startswith("A 1s 2025-03-10T10:00:00Z O nan H 100")
