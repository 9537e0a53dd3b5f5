"""Order books over a change of connection, as they are for whoever builds them."""

from __future__ import annotations

from rxfeed.kernels.book.kernel import BookKernel
from rxfeed.kernels.splice import DepthSplice
from rxfeed.model import Depth, DepthKind, Side
from tests.builders import T0

BUY, SELL = int(Side.BUY), int(Side.SELL)


def reset(epoch: int, at: int = 0) -> Depth:
    return Depth("ES", T0 + at, int(DepthKind.RESET), epoch=epoch, received=T0 + at)


def level(epoch: int, side: int, price: float, size: int, at: int = 0) -> Depth:
    return Depth("ES", T0 + at, int(DepthKind.LEVEL), side, price, size, epoch, received=T0 + at)


OLD = [reset(1), level(1, BUY, 100.0, 5), level(1, SELL, 101.0, 5), level(1, BUY, 100.0, 6, 1)]


def test_old_passes_and_news_book_takes_over_whole() -> None:
    splice, books = DepthSplice(2), BookKernel(depth=3)
    shown = [book for row in splice.old(OLD) for book in books.element(row)]
    assert shown[-1].bids == ((100.0, 6),)
    early = [level(2, BUY, 90.0, 1)]  # before the reset nobody knows the book
    new = [reset(2), level(2, BUY, 99.0, 1), level(2, BUY, 100.0, 7), level(2, SELL, 101.0, 4), level(2, BUY, 99.0, 0)]
    assert splice.new(early) == []
    assert not splice.ready("ES")
    assert splice.new(new) == []
    assert splice.ready("ES")
    rows = splice.cut("ES", received=T0 + 9)
    assert [(row.kind, row.price, row.size, row.epoch, row.received) for row in rows] == [
        (DepthKind.RESET, None, 0, 2, T0 + 9),
        (DepthKind.LEVEL, 100.0, 7, 2, T0 + 9),
        (DepthKind.LEVEL, 101.0, 4, 2, T0 + 9),
    ]
    assert splice.unready == frozenset()
    after = [level(2, BUY, 100.5, 1, 10)]
    assert splice.new(after) == after
    assert splice.old(OLD) == []
    assert splice.cut("ES") == []
    assert splice.ready("ES")
    (book,) = [book for row in [*rows, *after] for book in books.element(row)][-1:]
    assert (book.bids, book.asks, book.epoch) == (((100.5, 1), (100.0, 7)), ((101.0, 4),), 2)


def test_without_a_reset_whoever_builds_the_book_lets_go_of_it() -> None:
    splice, books = DepthSplice(2), BookKernel(depth=3)
    for row in splice.old(OLD):
        books.element(row)
    (flag,) = splice.cut("ES", received=T0 + 9)
    assert (flag.epoch, flag.price, flag.size, flag.received) == (2, 100.0, 6, T0 + 9)
    assert splice.unready == {"ES"}
    assert not splice.ready("ES")
    late = level(2, BUY, 99.0, 1, 10)
    assert splice.new([late]) == [late]
    assert list(books.element(flag)) + list(books.element(late)) == []
    assert books.stats.unready == 2
    again = [reset(2, 11), level(2, BUY, 98.0, 1, 11)]
    assert splice.new(again) == again
    assert splice.unready == frozenset()
    assert splice.ready("ES")
    for row in again:
        books.element(row)
    assert books.finish()[-1].bids == ((98.0, 1),)


def test_nothing_is_told_of_a_book_that_nobody_knew() -> None:
    splice = DepthSplice(2)
    assert splice.cut("ES") == []
    assert splice.unready == {"ES"}
    splice.drop("ES")
    assert splice.unready == frozenset()
    assert splice.old(OLD) == OLD
