"""The kernel of `order_book`: an oracle that looks ahead, and each rule by example."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rxfeed
from rxfeed.book import Book
from rxfeed.clock import VirtualClock
from rxfeed.frame import Frame
from rxfeed.kernels.book.kernel import GROUP_OVER, BookKernel
from rxfeed.model import Depth, Quote, Reject
from rxfeed.times import SECOND
from tests.builders import T0
from tests.oracle_book import depth, group, oracle, shown


def run(kernel: BookKernel, rows: list[Depth], *, finish: bool = True) -> list[Book]:
    books = [book for d in rows for book in kernel.element(d)]
    return books + (kernel.finish() if finish else [])


def conserved(kernel: BookKernel) -> bool:
    s = kernel.stats
    return s.received == s.applied + s.rejected + s.unready + s.stale and s.rejected == sum(s.by_rule.values())


LEVELS = st.builds(
    Depth,
    symbol=st.sampled_from("AB"),
    time=st.just(0),
    kind=st.sampled_from([1] * 12 + [2, 2, 7]),
    side=st.sampled_from([1, 2] * 10 + [0]),
    price=st.sampled_from([*map(float, range(96, 105))] * 4 + [None, math.nan, math.inf]),
    size=st.sampled_from([0, 0, 1, 1, 2, 3] * 5 + [-1]),
    epoch=st.sampled_from([0]),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Depth]:
    """Elements in groups; times stand still, move on and at times go back; now and then another connection's."""
    rows: list[Depth] = []
    time, epoch = 1_000, 0
    for seq, d in enumerate(draw(st.lists(LEVELS, max_size=60))):
        time += draw(st.sampled_from([0, 0, 0, 1, 7, 40, -3]))
        epoch += draw(st.sampled_from([0] * 25 + [1]))
        received = draw(st.sampled_from([None, None, time + 5, 2_000]))
        mine = epoch - draw(st.sampled_from([0] * 15 + [1]))
        rows.append(Depth(d.symbol, time, d.kind, d.side, d.price, d.size, mine, seq, received))
    return rows


@given(streams(), st.integers(1, 3), st.sampled_from([None, 1, 20]))
def test_shows_what_the_oracle_shows(rows: list[Depth], show: int, every: int | None) -> None:
    kernel = BookKernel(show, every=every)
    books: dict[str, list[Book]] = defaultdict(list)
    for book in run(kernel, rows):
        books[book.symbol].append(book)
    crossers: dict[str, list[object]] = defaultdict(list)
    for fault in kernel.take_faults():
        if fault.rule == "crossed":
            crossers[fault.element.symbol].append(fault.element)
    expected = oracle(rows, show, every)
    assert {symbol: (books[symbol], crossers[symbol]) for symbol in expected} == expected
    assert books.keys() | crossers.keys() <= expected.keys()
    assert conserved(kernel)
    assert kernel.stats.received == len(rows)
    assert kernel.stats.emitted == sum(map(len, books.values()))
    assert kernel.stats.crossed == sum(map(len, crossers.values()))


@given(streams(), st.integers(1, 3), st.sampled_from([None, 20]), st.data())
def test_frames_are_rows_and_a_restored_kernel_goes_on(
    rows: list[Depth], show: int, every: int | None, data: st.DataObject
) -> None:
    plain, framed = BookKernel(show, every=every), BookKernel(show, every=every)
    expected = run(plain, rows)
    books: list[Book] = []
    faults: list[Reject] = []
    left = rows
    while left:
        n = data.draw(st.integers((len(left) + 2) // 3, len(left)))
        books += framed.frame(Frame.of(left[:n]))
        faults += framed.take_faults()
        left = left[n:]
        restored = BookKernel(show, every=every)
        restored.restore(framed.snapshot())
        assert str([x.to_dicts() for x in restored.snapshot()]) == str([x.to_dicts() for x in framed.snapshot()])
        assert restored.stats == framed.stats
        framed = restored
    books += framed.finish()
    faults += framed.take_faults()
    assert books == expected
    assert str(faults) == str(plain.take_faults())  # as text, since NaN is not NaN
    assert framed.stats == plain.stats


@given(streams())
def test_no_book_is_crossed_or_out_of_order(rows: list[Depth]) -> None:
    for book in run(BookKernel(3), rows):
        assert book.spread is None or book.spread >= 0
        assert list(book.bids) == sorted(book.bids, reverse=True)
        assert list(book.asks) == sorted(book.asks)
        assert all(size > 0 for _, size in book.bids + book.asks)


def test_the_synthetic_book_has_the_quotes_best_prices() -> None:
    market = rxfeed.synthetic(3, n=3_000)
    rows: list[Depth] = []
    quotes: list[Quote] = []
    market.depth().subscribe(rows.append)
    market.quotes().pipe(rxfeed.operators.latest_quote()).subscribe(quotes.append)
    kernel = BookKernel(1)
    best = {(b.symbol, b.time): (b.best_bid, b.best_ask) for b in run(kernel, rows)}
    known = {(q.symbol, q.time): (q.bid, q.ask) for q in quotes}
    assert len(best.keys() & known.keys()) > 500
    assert all(best[key] == known[key] for key in best.keys() & known.keys())
    assert kernel.stats.crossed == kernel.stats.unready == 0


# --- one by one


def test_before_the_first_reset_there_is_no_book() -> None:
    kernel = BookKernel()
    assert run(kernel, group("b99 a101 b98x0")) == []
    assert kernel.stats[:5] == (3, 0, 0, 3, 0)


def test_a_snapshot_is_shown_whole() -> None:
    kernel = BookKernel()
    assert run(kernel, group("R b98 b99x2 a101 a102x3"), finish=False) == []
    (book, next_book) = run(kernel, [depth("b97", 1, seq=9, received=7)], finish=False)
    assert shown(book) == "99x2 98 / 101 102x3"
    assert (book.time, book.seq, book.received) == (T0, 0, None)
    assert shown(next_book) == "99x2 98 97 / 101 102x3"
    assert (next_book.time, next_book.seq, next_book.received, next_book.epoch) == (T0 + SECOND, 9, 7, 0)


def test_a_reset_in_a_message_of_its_own_waits_for_its_levels() -> None:
    kernel = BookKernel()
    rows = [*group("R", 0), *group("b99 a101", 1), *group("b98", 2)]
    assert [shown(b) for b in run(kernel, rows)] == ["99 / 101", "99 98 / 101"]


def test_received_tells_groups_where_it_is_known() -> None:
    snapshot = [depth("R", 0, received=1), depth("b98", 1, received=1), depth("b99", 2, received=1)]
    assert [shown(b) for b in run(BookKernel(), [*snapshot, depth("a101", 2, received=2)])] == ["99 98 /", "99 98 / 101"]


def test_an_empty_book_is_shown_at_the_end() -> None:
    kernel = BookKernel()
    rows = [*group("R b99 a101", 0), *group("R", 1)]
    assert [shown(b) for b in run(kernel, rows)] == ["99 / 101", "/"]


def test_a_change_below_what_is_shown_makes_no_book() -> None:
    kernel = BookKernel(2)
    rows = [*group("R b99 b98 b97 a101", 0), *group("b97x5", 1), *group("b96", 2), *group("b97x0", 3), *group("b99x1", 4)]
    assert [shown(b) for b in run(kernel, rows)] == ["99 98 / 101"]
    assert [shown(b) for b in run(kernel, group("b98x0", 5))] == ["99 96 / 101"]
    assert [b.time for b in run(kernel, group("b99x2", 6))] == [T0 + 6 * SECOND]


def test_crossed_within_a_group_is_no_fault() -> None:
    kernel = BookKernel()
    rows = [*group("R b99 a101", 0), *group("b102 a103 a101x0", 1)]
    assert [shown(b) for b in run(kernel, rows)] == ["99 / 101", "102 99 / 103"]
    assert kernel.take_faults() == []


def test_a_group_that_changes_nothing_in_the_end_shows_nothing() -> None:
    kernel = BookKernel()
    rows = [*group("R b99 a101", 0), *group("b102 b102x0", 1), *group("b98", 2)]
    assert [shown(b) for b in run(kernel, rows)] == ["99 / 101", "99 98 / 101"]


def test_crossed_when_its_group_is_over_waits_for_the_next_reset() -> None:
    kernel = BookKernel()
    crosser = depth("b102", 1, seq=5)
    rows = [*group("R b99 a101", 0), crosser, depth("b103", 1), *group("b98 a104", 2), *group("R b100 a101", 3)]
    assert [shown(b) for b in run(kernel, rows)] == ["99 / 101", "100 / 101"]
    reason = "bid 103.0 is above ask 101.0; no book of A until its next reset"
    assert kernel.take_faults() == [Reject(crosser, "crossed", reason)]
    assert kernel.stats == (10, 8, 0, 2, 0, 2, 1, 0, {})


def test_a_reset_in_the_same_group_clears_a_crossed_book() -> None:
    kernel = BookKernel()
    rows = [*group("R b99 a101", 0), *group("b102 R b100 a102", 1)]
    assert [shown(b) for b in run(kernel, rows)] == ["99 / 101", "100 / 102"]
    assert kernel.stats.crossed == 0


def test_what_is_no_longer_crossed_is_no_longer_held() -> None:
    kernel = BookKernel()
    run(kernel, [*group("R b99 a101", 0), *group("b102", 1)], finish=False)
    assert kernel.snapshot().states["held"].to_list() == [0]
    run(kernel, group("b102x0", 1), finish=False)
    assert kernel.snapshot().states["held"].to_list() == [None]


def test_after_a_reset_the_same_levels_are_shown_again() -> None:
    rows = [*group("R b99 a101", 0), *group("R b99 a101", 1)]
    assert [shown(b) for b in run(BookKernel(), rows)] == ["99 / 101", "99 / 101"]


def test_a_locked_book_is_shown() -> None:
    kernel = BookKernel()
    assert [shown(b) for b in run(kernel, [*group("R b99 a101", 0), *group("b101", 1)])] == ["99 / 101", "101 99 / 101"]
    assert kernel.stats.crossed == 0


def test_a_crossed_snapshot_is_never_shown() -> None:
    kernel = BookKernel()
    assert run(kernel, [*group("R b103 a101", 0), *group("a101x0", 1)]) == []
    assert (kernel.stats.crossed, kernel.stats.unready) == (1, 1)


def test_one_connection_at_a_time() -> None:
    kernel = BookKernel()
    rows = [
        *group("R b99 a101", 0), *group("b98", 1, epoch=1), *group("b97", 2), *group("R", 2),
        *group("R b90 a91", 3, epoch=1), *group("R a50", 4),
    ]  # fmt: skip
    books = run(kernel, rows)
    assert [(shown(b), b.epoch) for b in books] == [("99 / 101", 0), ("90 / 91", 1)]
    assert kernel.stats[:5] == (11, 6, 0, 1, 4)


def test_symbols_have_books_of_their_own() -> None:
    rows = [
        *group("R b99 a101", symbol="A"),
        *group("R b9 a11", symbol="B", epoch=4),
        *group("b98", 1),
        *group("b8", 1, symbol="B", epoch=4),
    ]
    books = run(BookKernel(), rows)
    assert [(b.symbol, shown(b)) for b in books] == [
        ("A", "99 / 101"), ("A", "99 98 / 101"), ("B", "9 / 11"), ("B", "9 8 / 11"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "rule", "reason"),
    [
        (Depth("A", T0, 7, 1, 99.0, 1), "kind", "kind must be LEVEL or RESET, got 7"),
        (Depth("A", T0, 1, 1, None, 1), "empty", "a level must have a price, got None"),
        (Depth("A", T0, 1, 1, math.inf, 1), "finite", "price must be finite, got inf"),
        (Depth("A", T0, 1, 1, 99.0, -2), "size", "size must be 0 or more, got -2"),
        (Depth("A", T0, 1, 0, 99.0, 1), "side", "a level must be on a side, BUY or SELL, got 0"),
    ],
)
@pytest.mark.parametrize("ready", [True, False])
def test_what_can_be_no_change_is_rejected(wrong: Depth, rule: str, reason: str, *, ready: bool) -> None:
    kernel = BookKernel()
    before = [*group("R b99 a101", -1), *group("b98", -0.5)] if ready else []
    books = run(kernel, [*before, wrong])
    assert [shown(b) for b in books] == (["99 / 101", "99 98 / 101"] if ready else [])
    assert kernel.take_faults() == [Reject(wrong, rule, reason)]
    assert kernel.stats.by_rule == {rule: 1}
    assert conserved(kernel)


def test_faults_nobody_hears_are_counted() -> None:
    kernel = BookKernel()
    kernel.heard = False
    run(kernel, [*group("R b103 a101", 0), Depth("A", T0, 7), *group("R", 2)])
    assert kernel.take_faults() == []
    assert (kernel.stats.crossed, kernel.stats.rejected) == (1, 1)


def test_levels_over_the_limit_are_counted() -> None:
    kernel = BookKernel(1, 2)
    books = run(kernel, [*group("R b99 b98 b97 a101 a102 a103", 0), *group("b99x0", 1), *group("b98x0", 2)])
    assert [shown(b) for b in books] == ["99 / 101", "98 / 101", "/ 101"]
    assert kernel.stats.cut == 2


# --- periods


def test_one_book_a_period_of_event_time_its_last_state() -> None:
    kernel = BookKernel(every=SECOND)
    rows = [
        *group("R b99 a101", 0), *group("b98", 0.2), *group("b97", 0.9), *group("b96", 1.0), *group("b95", 1.1),
        *group("b94", 0.5), *group("b94", 3.0),
    ]  # fmt: skip
    books = run(kernel, rows, finish=False)
    assert [shown(b) for b in books] == ["99 98 97 / 101", "99 98 97 96 95 94 / 101"]
    assert [b.time - T0 for b in books] == [0.9 * SECOND, 0.5 * SECOND]
    assert kernel.finish() == []


def test_what_waits_for_its_period_comes_at_the_end() -> None:
    kernel = BookKernel(every=SECOND)
    assert [shown(b) for b in run(kernel, [*group("R b99 a101", 0), *group("b98", 0.2)])] == ["99 98 / 101"]


def test_a_book_that_is_crossed_waits_longer_than_its_period() -> None:
    kernel = BookKernel(every=SECOND)
    rows = [*group("R b99 a101", 0, received=1), *group("b98", 0.5, received=2), *group("b102", 0.9, received=3)]
    rows += [*group("b97", 1.5, received=3), *group("b102x0", 1.6, received=3), *group("b96", 2, received=4)]
    assert [shown(b) for b in run(kernel, rows, finish=False)] == ["99 98 97 / 101"]


# --- the clock


def test_by_the_clock_a_group_is_over_after_a_while() -> None:
    clock = VirtualClock(T0)
    kernel = BookKernel(clock=clock)
    assert run(kernel, group("R b99 a101"), finish=False) == []
    assert kernel.due == T0 + GROUP_OVER
    assert kernel.elapse() == []
    clock.advance(GROUP_OVER)
    assert [shown(b) for b in kernel.elapse()] == ["99 / 101"]
    assert kernel.elapse() == []
    assert [shown(b) for b in run(kernel, group("b102", 1), finish=False)] == []
    clock.advance(GROUP_OVER - 1)
    assert kernel.elapse() == []
    assert kernel.take_faults() == []
    clock.advance(1)
    assert kernel.elapse() == []
    assert [f.rule for f in kernel.take_faults()] == ["crossed"]


def test_by_the_clock_a_reset_without_levels_is_an_empty_book_and_then_one_being_built() -> None:
    clock = VirtualClock(T0)
    kernel = BookKernel(clock=clock)
    run(kernel, group("R"), finish=False)
    clock.advance(GROUP_OVER)
    assert [shown(b) for b in kernel.elapse()] == ["/"]
    assert run(kernel, group("b99 a101", 1), finish=False) == []
    clock.advance(GROUP_OVER)
    assert [shown(b) for b in kernel.elapse()] == ["99 / 101"]


def test_by_the_clock_periods_are_its_own() -> None:
    clock = VirtualClock(T0 + 1)
    kernel = BookKernel(every=SECOND, clock=clock)
    rows = [*group("R b99 a101", 0), *group("b98", 5), *group("b97", 9)]
    assert run(kernel, rows, finish=False) == []
    clock.advance_to(T0 + SECOND - 1)
    assert kernel.elapse() == []
    assert kernel.due == T0 + SECOND
    clock.advance(1)
    assert [shown(b) for b in kernel.elapse()] == ["99 98 97 / 101"]
    run(kernel, group("b98x2", 10), finish=False)
    assert kernel.due == T0 + 2 * SECOND
    run(kernel, group("b98", 11), finish=False)
    clock.advance(SECOND)
    assert kernel.elapse() == []
    assert kernel.stats.emitted == 1


def test_a_book_being_built_is_not_shown_at_the_end_of_a_period() -> None:
    clock = VirtualClock(T0 + SECOND - 1)
    kernel = BookKernel(every=SECOND, clock=clock)
    run(kernel, [*group("R b99 a101", 0), *group("b98", 1), *group("R b90", 2)], finish=False)
    clock.advance(1)
    assert kernel.elapse() == []
    run(kernel, group("a91", 2), finish=False)
    clock.advance(GROUP_OVER)
    assert kernel.elapse() == []
    clock.advance_to(T0 + 2 * SECOND)
    assert [shown(b) for b in kernel.elapse()] == ["90 / 91"]


def test_a_restored_kernel_forgets_what_it_knew() -> None:
    kernel = BookKernel()
    empty = kernel.snapshot()
    run(kernel, [*group("R b99 a101", 0), *group("b98", 1), Depth("A", T0, 7)])
    kernel.restore(empty)
    assert kernel.take_faults() == []
    assert kernel.stats == BookKernel().stats
    assert run(kernel, group("b97", 2)) == []


def test_a_restored_kernel_is_due_by_its_own_clock() -> None:
    clock = VirtualClock(T0)
    kernel = BookKernel(every=SECOND, clock=clock)
    run(kernel, [*group("R b99 a101", 0), *group("b98", 1), *group("R b9 a11", 2, symbol="B")], finish=False)
    clock.advance(10 * SECOND + 1)
    restored = BookKernel(every=SECOND, clock=clock)
    restored.restore(kernel.snapshot())
    assert restored.due == clock.now + GROUP_OVER
    assert restored.elapse() == []
    clock.advance(SECOND)
    assert [shown(b) for b in restored.elapse()] == ["99 98 / 101", "9 / 11"]
