"""One side of a book against a dict that is sorted each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.kernels.book.levels import Levels

PUTS = st.lists(st.tuples(st.integers(-6, 6).map(float), st.integers(0, 3)), max_size=60)


@given(PUTS, st.sampled_from([1, -1]), st.integers(1, 4))
def test_it_is_a_dict_in_order(puts: list[tuple[float, int]], sign: int, depth: int) -> None:
    side = Levels(sign, depth, 100)
    plain: dict[float, int] = {}

    def best() -> list[tuple[float, int]]:
        return sorted(plain.items(), key=lambda level: -sign * level[0])

    for price, size in puts:
        before = best()[:depth]
        plain[price] = size
        if not size:
            del plain[price]
        assert side.put(price, size) == (best()[:depth] != before)
        assert side.top() == tuple(best()[:depth])
        assert side.all() == best()[::-1]
        assert side.best() == (best()[0][0] if plain else None)
    assert side.cut == 0
    side.clear()
    assert (side.top(), side.all(), side.best()) == ((), [], None)


@given(PUTS, st.sampled_from([1, -1]), st.integers(1, 3), st.integers(0, 2))
def test_over_the_limit_the_worst_is_let_go(puts: list[tuple[float, int]], sign: int, depth: int, more: int) -> None:
    side = Levels(sign, depth, depth + more)
    plain: dict[float, int] = {}
    cut = 0
    for price, size in puts:
        before = sorted(plain.items(), key=lambda level: -sign * level[0])
        plain[price] = size
        if not size:
            del plain[price]
        kept = sorted(plain.items(), key=lambda level: -sign * level[0])[: depth + more]
        cut += len(plain) - len(kept)
        plain = dict(kept)
        assert side.put(price, size) == (kept[:depth] != before[:depth])
        assert side.all() == kept[::-1]
        assert side.cut == cut


def test_what_a_side_shows_is_made_once() -> None:
    side = Levels(1, 1, 10)
    side.put(99.0, 1)
    top = side.top()
    assert not side.put(98.0, 1)
    assert not side.put(99.0, 1)
    assert not side.put(97.0, 0)
    assert side.top() is top
    assert side.put(99.0, 2)
    assert side.top() == ((99.0, 2),)


@pytest.mark.parametrize("sign", [1, -1])
def test_prices_come_back_as_they_were(sign: int) -> None:
    side = Levels(sign, 3, 10)
    for price in (0.1, -0.3, 1e-300):
        side.put(price, 1)
    assert {price for price, _ in side.top()} == {0.1, -0.3, 1e-300}
