"""Lists in the gateway's answers, of which one bad element must not cost the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from rxfeed.errors import ProtocolError

T = TypeVar("T")

_TOLD: Final = 3


def elements(endpoint: str, raw: Sequence[Any], kind: type[T]) -> list[T]:
    """Return the elements that are what they should be; one log record tells of the others.

    Raises:
        ProtocolError: none of them is.
    """
    good: list[T] = []
    bad: list[str] = []
    for number, element in enumerate(raw):
        try:
            good.append(msgspec.convert(element, kind, strict=False))
        except msgspec.ValidationError as error:
            bad.append(f"element {number}: {error}")
    if bad and not good:
        raise ProtocolError(f"{endpoint} answered what it should not: {bad[0]}")
    if bad:
        from loguru import logger  # costs 30 ms, and mostly all is well

        logger.warning("{}: {} of {} elements are left out: {}", endpoint, len(bad), len(raw), "; ".join(bad[:_TOLD]))
    return good
