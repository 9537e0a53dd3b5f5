"""An async boundary that is too full gives something else than it got. Who cannot take that must know when a pipeline is made,
not in the first burst; so what such a boundary returns is marked, and operators look at what they are put behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

from reactivex import Observable

from rxfeed.errors import PartialRefused
from rxfeed.overflow import Conflate
from rxfeed.sessions import Session
from rxfeed.windows import Windows

T = TypeVar("T")

_MARK: Final = "_rxfeed_degraded"


class Degraded(NamedTuple):
    """What a boundary upstream may do."""

    call: str
    """How it was made."""
    conflates: Conflate | None
    """How it merges ticks into partial bars."""
    loses: bool
    """Whether it may drop elements."""


def mark(made: Observable[T], degraded: Degraded | None) -> Observable[T]:
    """Mark a stream, and return it."""
    if degraded is not None:
        setattr(made, _MARK, degraded)
    return made


def degraded(source: Observable[Any]) -> Degraded | None:
    """Return what is known of a stream."""
    return getattr(source, _MARK, None)


def passed_on(made: Observable[T], source: Observable[Any]) -> Observable[T]:
    """Mark a stream like its source, as what passes is the same; return it."""
    return mark(made, degraded(source))


def refuse_partials(source: Observable[Any], who: str, why: str) -> None:
    """Refuse to stand behind a boundary that may give partial bars.

    Raises:
        PartialRefused: it may; the text says who cannot take them, and why.
    """
    found = degraded(source)
    if found is not None and found.conflates is not None:
        raise PartialRefused(f"{who} cannot stand behind {found.call}, which gives partial bars when it is full: {why}")


def fitting(source: Observable[Any], windows: Windows, sessions: Mapping[str, Session]) -> None:
    """Refuse to make bars of these windows behind a boundary whose partial bars may not lie inside one of them.

    Args:
        source: the stream.
        windows: of the bars.
        sessions: of the symbols that have their own.

    Raises:
        PartialRefused: they may not.
    """
    found = degraded(source)
    if found is not None and found.conflates is not None and not found.conflates.fits(windows, sessions):
        raise PartialRefused(
            f"bars cannot stand behind {found.call}, whose partial bars do not all lie inside one of its finest windows: give "
            f"both the same Windows value, and the same instruments, got {windows}"
        )


def refuse_losses(source: Observable[Any], who: str, why: str) -> None:
    """Refuse to stand behind a boundary that may drop elements.

    Raises:
        ValueError: it may; the text says who cannot take that, and why.
    """
    found = degraded(source)
    if found is not None and found.loses:
        raise ValueError(f"{who} cannot stand behind {found.call}, which drops elements when it is full: {why}")
