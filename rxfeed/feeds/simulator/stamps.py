"""Instants as text, the way the gateway writes them, and back.

The wire has .NET's 7 digits, so an instant is cut to 100 ns before it is sent; whoever keeps an instant to compare it with
what was received keeps the cut one (`on_wire`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from rxfeed.times import SECOND

GRAIN: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORM: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?")
_FEW: Final = 512
_ARRAY: Final = 32
"""From how many instants on an array is faster."""
_PLACES: Final = 100 * 10 ** np.arange(6, -1, -1)


def on_wire(time: int) -> int:
    """Return an instant cut to what the wire can say."""
    return time - time % GRAIN


class Stamps:
    """Writes instants; the text of a whole second is made once."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: dict[int, str] = {}

    def second(self, seconds: int) -> str:
        """Return whole seconds since the epoch as `2026-01-05T14:30:00`."""
        text = self._seconds.get(seconds)
        if text is None:
            if len(self._seconds) > _FEW:
                self._seconds.clear()
            text = self._seconds[seconds] = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
        return text

    def full(self, time: int) -> str:
        """Return an instant with 7 digits and its offset: `2026-01-05T14:30:00.1234567+00:00`."""
        seconds, rest = divmod(time, SECOND)
        return f"{self.second(seconds)}.{rest // GRAIN:07d}+00:00"

    def columns(self, times: list[int]) -> tuple[list[bytes], list[bytes]]:
        """Return instants, which never fall, in two columns: `2026-01-05T14:30:00.`, and the 7 digits behind it."""
        begin = times[0] // SECOND * SECOND
        if times[-1] >= begin + SECOND:
            seconds = [f"{self.second(time // SECOND)}.".encode() for time in times]
            return seconds, [b"%07d" % (time % SECOND // GRAIN) for time in times]
        seconds = [f"{self.second(begin // SECOND)}.".encode()] * len(times)
        if len(times) < _ARRAY:
            return seconds, [b"%07d" % ((time - begin) // GRAIN) for time in times]
        digits = (np.array(times) - begin)[:, None] // _PLACES % 10 + 48
        return seconds, digits.astype(np.uint8).view("S7").ravel().tolist()

    def short(self, time: int) -> str:
        """Return an instant as the documents show it, to the second: `2026-01-05T14:30:00Z`."""
        return self.second(time // SECOND) + "Z"

    def plain(self, time: int) -> str:
        """Return an instant as history shows it: `2026-01-05T14:30:00+00:00`."""
        return self.second(time // SECOND) + "+00:00"


def instant(text: str) -> int:
    """Read ISO 8601 text; without a zone it is UTC.

    Raises:
        ValueError: it is no instant.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an instant: {text!r}")
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in (None, 'Z') else zone}")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + int((fraction or "0").ljust(9, "0"))
