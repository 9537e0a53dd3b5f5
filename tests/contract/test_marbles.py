"""Every diagram in a docstring is what happens."""

from __future__ import annotations

import pytest
from reactivex import operators as rx

from rxfeed import operators as ops

from .marbles import beats, run, tokens
from .specimen import Marble, sheets

SHEETS = sheets()


@pytest.mark.parametrize("name", ops.__all__)
def test_the_marble_of_the_docstring(name: str) -> None:
    got, drawn = run(getattr(ops, name), name, SHEETS[name].marble)
    assert got == drawn
    assert drawn


def test_a_line_is_read() -> None:
    assert tokens("--ab-[cd]-(e,f|)    and a remark") == [(2, "ab"), (5, "[cd]"), (10, "e"), (10, "f"), (10, "|")]
    assert beats(tokens("--1.5-(ef)-(g|)-#")) == [(2, "1.5"), (6, "ef"), (11, "g|"), (16, "#")]


def double(of):
    """Say it twice.

        --1--2--|
        double(2)
        --2--4--|

    Args:
        of: a factor.

    Returns:
        An operator from numbers to numbers.

    Ends: with the source.
    Drops: nothing.
    Clock: none.
    """
    return rx.map(lambda n: n * of)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("--2--4--|", "--2--5--|"),
        ("--2--4--|", "--2---4-|"),
        ("--2--4--|", "--2--4--#"),
        ("double(2)", "double(3)"),
        ("--1--2--|", "--1--2--#"),
    ],
)
def test_a_wrong_one_is_found(was: str, becomes: str) -> None:
    def wrong(of): ...

    assert double.__doc__
    marble = Marble(element=lambda token, _: int(token), names={"double": double})
    got, drawn = run(double, "double", marble)
    assert got == drawn
    wrong.__doc__ = double.__doc__.replace(was, becomes)
    assert wrong.__doc__ != double.__doc__
    got, drawn = run(wrong, "wrong", marble)
    assert got != drawn
