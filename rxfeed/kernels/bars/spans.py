"""Stretches of time as sorted lists of `(first, last)`, both inclusive, that neither touch nor overlap."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from operator import itemgetter

Spans = list[tuple[int, int]]
_LAST = itemgetter(1)


def touches(spans: Spans, first: int, last: int) -> bool:
    """Whether any of them has an instant in `[first, last]`."""
    at = bisect_left(spans, first, key=_LAST)
    return at < len(spans) and spans[at][0] <= last


def covers(spans: Spans, first: int, last: int) -> bool:
    """Whether one of them has every instant of `[first, last]`."""
    at = bisect_left(spans, last, key=_LAST)
    return at < len(spans) and spans[at][0] <= first


def united(spans: Iterable[tuple[int, int]]) -> Spans:
    """Return any stretches in order, those that overlap or touch as one."""
    out: Spans = []
    for first, last in sorted(spans):
        if out and first <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(out[-1][1], last)
        else:
            out.append((first, last))
    return out


def without(spans: Spans, others: Spans) -> Spans:
    """Return what is left of `spans` where none of `others` is."""
    for first, last in others:
        if touches(spans, first, last):
            spans = [
                piece
                for lo, hi in spans
                for piece in ([(lo, hi)] if hi < first or lo > last else [(lo, min(hi, first - 1)), (max(lo, last + 1), hi)])
                if piece[0] <= piece[1]
            ]
    return spans


def within(spans: Spans, first: int, last: int) -> Spans:
    """Return what of `spans` lies in `[first, last]`."""
    return [(max(lo, first), min(hi, last)) for lo, hi in spans if max(lo, first) <= min(hi, last)]


def common(spans: Spans, others: Spans) -> Spans:
    """Return what lies in both."""
    return [piece for first, last in others for piece in within(spans, first, last)]
