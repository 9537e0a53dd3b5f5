"""What a `Book` says of itself."""

from __future__ import annotations

import pytest

from rxfeed import Book
from tests.builders import T0

BOTH = Book("A", T0, bids=((99.0, 3), (98.0, 3)), asks=((100.0, 1), (102.0, 1)))
BIDS = Book("A", T0, bids=((99.0, 3),))
ASKS = Book("A", T0, asks=((100.0, 3),))
EMPTY = Book("A", T0)


@pytest.mark.parametrize(
    ("book", "best_bid", "best_ask", "spread", "mid", "imbalance"),
    [
        (BOTH, 99.0, 100.0, 1.0, 99.5, 0.5),
        (BIDS, 99.0, None, None, None, 1.0),
        (ASKS, None, 100.0, None, None, -1.0),
        (EMPTY, None, None, None, None, None),
    ],
)
def test_what_is_derived(
    book: Book, best_bid: float | None, best_ask: float | None, spread: float | None, mid: float | None, imbalance: float | None
) -> None:
    assert (book.best_bid, book.best_ask, book.spread) == (best_bid, best_ask, spread)
    assert (book.mid, book.imbalance) == (mid, imbalance)


def test_books_are_values() -> None:
    assert Book("A", T0, bids=((99.0, 3),)) == BIDS
    assert len({BOTH, BIDS, Book("A", T0)}) == 3
    with pytest.raises(AttributeError, match="immutable"):
        BOTH.time = 1  # pyright: ignore[reportAttributeAccessIssue]
