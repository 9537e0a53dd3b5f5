"""What an order book must show, found in the slowest and plainest way; and makers of its elements."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby
from typing import Any

from rxfeed.book import Book
from rxfeed.model import Depth, DepthKind, Side
from rxfeed.times import SECOND
from tests.builders import T0


def depth(text: str, at: float = 0.0, *, symbol: str = "A", seq: int = 0, **more: Any) -> Depth:
    """`"R"`, `"b99"`, `"a101x3"` (size 3; 1 if not said, 0 removes), `at` seconds after T0."""
    time = T0 + round(at * SECOND)
    if text == "R":
        return Depth(symbol, time, DepthKind.RESET, seq=seq, **more)
    price, _, size = text[1:].partition("x")
    side = Side.BUY if text[0] == "b" else Side.SELL
    return Depth(symbol, time, DepthKind.LEVEL, int(side), float(price), int(size or 1), seq=seq, **more)


def group(text: str, at: float = 0.0, **more: Any) -> list[Depth]:
    """One message: elements with one time."""
    return [depth(word, at, **more) for word in text.split()]


def shown(book: Book) -> str:
    """`"99x2 98 / 101"`: sizes other than 1 are said."""
    sides = [[f"{price:g}" if size == 1 else f"{price:g}x{size}" for price, size in side] for side in (book.bids, book.asks)]
    return f"{' '.join(sides[0])} / {' '.join(sides[1])}".strip()


def valid(d: Depth) -> bool:
    if d.kind == 2:
        return True
    return d.kind == 1 and d.price is not None and math.isfinite(d.price) and d.size >= 0 and d.side in (1, 2)


def oracle(rows: list[Depth], show: int, every: int | None = None) -> dict[str, tuple[list[Book], list[Depth]]]:
    """Return each symbol's Books and what crossed its books. It looks ahead to see where a group ends."""
    mine: dict[str, list[Depth]] = defaultdict(list)
    for d in rows:
        if valid(d) and all(d.epoch >= other.epoch for other in mine[d.symbol]):
            mine[d.symbol].append(d)
    return {symbol: _one(elements, show, every) for symbol, elements in mine.items() if elements}


def _one(elements: list[Depth], show: int, every: int | None) -> tuple[list[Book], list[Depth]]:
    books: list[Book] = []
    crossers: list[Depth] = []
    levels: dict[tuple[int, float], int] | None = None
    last = elements[0]
    building = fresh = False
    started: int | None = None  # number of the group of the first level since the reset
    crosser: Depth | None = None

    def emit() -> None:
        nonlocal fresh
        assert levels is not None
        sides = [sorted(((p, n) for (s, p), n in levels.items() if s == side), reverse=side == 1)[:show] for side in (1, 2)]
        bids, asks = map(tuple, sides)
        if fresh or not books or (books[-1].bids, books[-1].asks) != (bids, asks):
            books.append(Book(last.symbol, last.time, last.seq, last.received, last.epoch, bids, asks))
            fresh = False

    def crossed() -> bool:
        assert levels is not None
        bids = [p for s, p in levels if s == 1]
        asks = [p for s, p in levels if s == 2]
        return bool(bids) and bool(asks) and max(bids) > min(asks)

    period = -math.inf
    groups = [list(found) for _, found in groupby(elements, key=lambda d: d.time if d.received is None else d.received)]
    for number, found in enumerate(groups):
        for d in found:
            now = -math.inf if every is None else d.time // every
            if now > period:
                period = now
                if levels is not None and not building and not crossed():
                    emit()
            if d.epoch > last.epoch:
                levels, last = None, d
            if d.kind == 2:
                levels, last, crosser = {}, d, None
                building, fresh, started = True, True, None
                continue
            if levels is None:
                continue
            last = d
            assert d.price is not None
            before = dict(levels)
            if d.size:
                levels[d.side, d.price] = d.size
            else:
                levels.pop((d.side, d.price), None)
            if started is None:
                started = number
            building = started == number
            crosser = (crosser or d) if crossed() else None
            if every is None and not building and crosser is None and levels != before:
                emit()
        if levels is not None and crosser is not None:
            crossers.append(crosser)
            levels, crosser = None, None
        if levels is not None and started == number:
            building = False
            if every is None:
                emit()
    if levels is not None:
        emit()
    return books, crossers
