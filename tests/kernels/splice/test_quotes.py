"""Quotes over a change of connection, by hand and against all that was said."""

from __future__ import annotations

from random import Random

import msgspec

from rxfeed.kernels.quotes import QuotesKernel
from rxfeed.kernels.splice import QuoteSplice
from rxfeed.model import Quote
from tests.builders import T0


def test_old_passes_as_it_is_until_the_cut() -> None:
    splice = QuoteSplice()
    quotes = [Quote("ES", T0, bid=1.0), Quote("ES", T0 - 1, ask=2.0)]
    assert splice.old(quotes) == quotes
    assert splice.new([Quote("ES", T0, bid=3.0)]) == []


def test_news_partial_quotes_are_laid_over_the_last_whole_one() -> None:
    splice = QuoteSplice()
    splice.old([Quote("ES", T0, 1.0, 2.0, 10, 20, 1.5, 100)])
    splice.new([Quote("ES", T0 + 1, bid=1.1), Quote("ES", T0 + 2, bid_size=11, seq=7, received=T0 + 9)])
    assert splice.cut("ES") == [Quote("ES", T0 + 2, 1.1, 2.0, 11, 20, 1.5, 100, 7, T0 + 9)]
    assert splice.cut("ES") == []
    after = [Quote("ES", T0 + 3, ask=2.1)]
    assert splice.new(after) == after
    assert splice.old(after) == []


def test_new_that_is_behind_says_nothing_older() -> None:
    splice = QuoteSplice()
    splice.old([Quote("ES", T0, bid=1.0), Quote("ES", T0 + 5, bid=2.0)])
    splice.new([Quote("ES", T0, bid=1.0)])
    assert splice.cut("ES") == []
    assert splice.new([Quote("ES", T0 + 4, bid=1.5)]) == []
    level = [Quote("ES", T0 + 5, bid=2.0)]
    assert splice.new(level) == level


def test_new_that_says_the_same_adds_nothing_at_the_cut() -> None:
    splice = QuoteSplice()
    splice.old([Quote("ES", T0, bid=1.0, ask=2.0)])
    splice.new([Quote("ES", T0, bid=1.0)])
    assert splice.cut("ES") == []


def test_one_side_may_have_said_nothing() -> None:
    splice = QuoteSplice()
    assert splice.cut("NQ") == []
    splice.new([Quote("ES", T0, bid=1.0), Quote("ES", T0, ask=2.0)])
    assert splice.cut("ES") == [Quote("ES", T0, bid=1.0, ask=2.0)]
    splice.old([Quote("CL", T0, bid=1.0)])
    assert splice.cut("CL") == []


def test_a_symbol_that_was_dropped_begins_anew() -> None:
    splice = QuoteSplice()
    splice.old([Quote("ES", T0, bid=1.0, ask=2.0)])
    splice.drop("ES")
    splice.drop("ES")
    splice.new([Quote("ES", T0, bid=3.0)])
    assert splice.cut("ES") == [Quote("ES", T0, bid=3.0)]


def test_the_whole_quotes_end_as_those_of_one_connection() -> None:
    for seed in range(300):
        rng = Random(seed)
        said = [
            msgspec.structs.replace(Quote("ES", T0 + place), **{rng.choice(["bid", "ask", "last"]): float(place)})
            for place in range(40)
        ]
        truth = whole = None
        one, two, out = QuotesKernel(need=()), QuotesKernel(need=()), list[Quote]()
        splice, start, cut = QuoteSplice(), rng.randint(0, 15), rng.randint(15, 30)
        out += splice.old(said[:start])
        old, new = start, start
        while old < cut:
            if rng.random() < 0.5:
                out += splice.old(said[old : old + 1])
                old += 1
            elif new < 40:
                out += splice.new(said[new : new + 1])
                new += 1
        out += splice.cut("ES") + splice.new(said[new:])
        for quote in said:
            truth = one.quote(quote)
        for quote in out:
            whole = two.quote(quote)
            assert whole is not None  # none is older than the one before
        assert truth == whole
