"""docs/operators.md is what the docstrings say, and the docstrings say all that it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from docs.make_operators import PAGE, ROOT, Entry, entries, page, read
from rxfeed import operators as ops


@pytest.mark.parametrize("name", ops.__all__)
def test_a_docstring_says_all_that_it_must(name: str) -> None:
    entry = read(getattr(ops, name), name)
    assert entry.summary.endswith((".", "`"))
    assert entry.kinds
    assert (ROOT / entry.source).is_file()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(entries()), "docs/operators.md is not what the docstrings say: run `make docs`"


def _whole(size: int) -> None:
    """Do a thing | or
    two.

        --a--|
        whole(1)
        --a--|

    Args:
        size: how much, 1 or
            more.

    Returns:
        An operator from rows to rows, or from frames to frames; its `stats` count.

    Raises:
        ValueError: `size` below 1.

    Some more about it.

    Ends: at the end. Then
        nothing.
    Drops: nothing.
    Clock: none; it has
    none.
    """


def test_a_docstring_is_read() -> None:
    assert read(_whole, "whole") == Entry(
        "whole",
        "tests/test_docs.py",
        "Do a thing | or two.",
        ["--a--|", "whole(1)", "--a--|"],
        {
            "Args": "size: how much, 1 or more.",
            "Returns": "An operator from rows to rows, or from frames to frames; its `stats` count.",
            "Raises": "ValueError: `size` below 1.",
            "Ends": "at the end. Then nothing.",
            "Drops": "nothing.",
            "Clock": "none; it has none.",
        },
    )
    row = page([read(_whole, "whole")]).splitlines()[10]
    assert row == (
        "| [whole](../tests/test_docs.py) | Do a thing \\| or two | Rows → rows, or frames → frames | Nothing "
        "| At the end. Then nothing. | None; it has none |"
    )


@pytest.mark.parametrize(
    ("was", "becomes", "text"),
    [
        ("Do a thing | or\n    two.\n\n", "", "must begin with a sentence"),
        ("        --a--|\n        whole(1)\n        --a--|\n\n", "", "must draw a marble diagram of three lines"),
        ("        whole(1)\n", "", "must draw a marble diagram of three lines"),
        ("    Drops: nothing.\n", "", "the docstring must say Drops:"),
        ("Returns:", "Gives:", "the docstring must say Returns:"),
        ("Ends:", "Clock:", "the docstring must say Ends:"),
        ("        size: how", "        length: how", "Args must name size, got length"),
        (
            "    Drops: nothing.\n    Clock: none; it has\n",
            "    Clock: none\n    Drops: nothing, it has\n",
            "order must be Args",
        ),
    ],
)
def test_what_a_docstring_lacks_is_said(was: str, becomes: str, text: str) -> None:
    def lacking(size: int) -> None: ...

    assert _whole.__doc__ is not None
    assert was in _whole.__doc__
    lacking.__doc__ = _whole.__doc__.replace(was, becomes, 1)
    made: Callable[..., Any] = lacking
    with pytest.raises(ValueError, match=text):
        read(made, "lacking")
