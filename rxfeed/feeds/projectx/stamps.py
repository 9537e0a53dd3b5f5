"""The gateway's times, ISO 8601 text in half a dozen spellings, as int nanoseconds: exactly, and by the thousand.

.NET writes seven digits of a second where Python's datetime holds six, so no datetime is on the way. Without a zone it is
UTC. A time that int64 nanoseconds cannot hold, such as year 1, .NET's default, is `UNKNOWN_TIME`, which validation rejects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from rxfeed.model import UNKNOWN_TIME
from rxfeed.times import FOREVER, SECOND

_FORM: Final = re.compile(
    r"(?a:(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d+))? ?(?:[Zz]|([+-])(\d\d):?(\d\d))?)",
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UTC: Final = ("+00:00", "Z", "")
_REMEMBERED: Final = 512
"""Seconds whose text is kept: times of a live feed are from few of them."""
_DIGITS: Final = 7
_LAYOUTS: Final = {
    len(text): text + b"\n" for text in (b"0000-00-00T00:00:00.0000000" + zone for zone in (b"+00:00", b"Z", b""))
}
_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_TEN: Final = 10.0 ** np.arange(8, 1, -1)
_ZEROS: Final = ord("0") * int(_TEN.sum())
_WITH_OFFSET: Final = 33
_OFFSET_DIGITS: Final = np.frombuffer(b"\0\0\0\xff\xff\0\xff\xff", np.uint64)[0]
_NO_OFFSET: Final = np.frombuffer(b"\0\0\0" + b"00" + b"\0" + b"00", np.uint64)[0]
_FEW: Final = 24
"""So many, of one second, are quicker without numpy."""

_seconds: dict[str, int] = {}  # text to what it means, which is the same for everybody


def nanoseconds_of(text: str) -> int:
    """Return an instant as int nanoseconds since the epoch, UTC; `UNKNOWN_TIME` where they do not fit 64 bits.

    Args:
        text: ISO 8601: `T` or a space, any number of digits of a second (what is below a nanosecond is cut), `Z`, an offset,
            or nothing for UTC.

    Raises:
        ValueError: it is no such time.
    """
    second = _seconds.get(text[:19])
    if second is not None:
        digits = text[20:27]
        if text[27:] in ("+00:00", "Z") and text[19] == "." and digits.isdigit() and len(digits) == _DIGITS:
            return second + int(digits) * 100
        if text[19:] == "Z":
            return second
    return _any(text)


def _any(text: str) -> int:
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f'not a time: {text[:40]!r}; expected ISO 8601 such as "2026-05-06T13:36:03.4962794+00:00"')
    day, clock, fraction, sign, hours, minutes = match.groups()
    try:
        since = datetime.fromisoformat(f"{day}T{clock}+00:00") - _EPOCH
    except ValueError as error:
        raise ValueError(f"not a time: {text[:40]!r} ({error})") from None
    seconds = since // timedelta(seconds=1)
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError(f"not a time: {text[:40]!r} (an offset is less than 24 hours)")
        offset = (int(hours) * 60 + int(minutes)) * 60
        seconds += offset if sign == "-" else -offset
    result = seconds * SECOND + int((fraction or "")[:9].ljust(9, "0"))
    if not -FOREVER < result < FOREVER:
        return UNKNOWN_TIME
    if text[10] == "T" and sign in (None, "+") and not (sign and (int(hours) or int(minutes))):
        if len(_seconds) >= _REMEMBERED:
            _seconds.clear()
        _seconds[text[:19]] = seconds * SECOND
    return result


def many_nanoseconds_of(texts: Sequence[str]) -> list[int] | npt.NDArray[np.int64]:
    """Return instants as int nanoseconds; as `nanoseconds_of` does one by one, and many times as fast when all are alike.

    Raises:
        ValueError: one of them is no such time.
    """
    times = _alike(texts) if len(texts) > 1 else None
    return list(map(nanoseconds_of, texts)) if times is None else times


def _alike(texts: Sequence[str]) -> list[int] | npt.NDArray[np.int64] | None:
    """Read texts with seven digits each and one spelling of UTC; None when they are not."""
    count, width = len(texts), len(texts[0])
    layout = _LAYOUTS.get(width)
    if layout is None:
        return None
    joined = ("\n".join(texts) + "\n").encode()
    # One look at all: with each digit a zero, they are the layout again and again. So every text ends where it should.
    if joined.translate(_TO_ZERO) != layout * count:
        return None
    if count <= _FEW:
        return _few(texts, joined)
    table: npt.NDArray[Any] = np.frombuffer(joined, np.uint8).reshape(count, width + 1)
    # An offset's digits were taken for zeros above, and must be.
    if width == _WITH_OFFSET and (_words(table, 25) & _OFFSET_DIGITS != _NO_OFFSET).any():
        return None
    try:
        first = nanoseconds_of(texts[0][:19] + "Z")
        # Year, month and day, hours to seconds: whether the second is another than that of the text before.
        parts = [_words(table, at) for at in (0, 3, 11)]
        turns = [part[1:] != part[:-1] for part in parts]
        new = (turns[0] | turns[1] | turns[2]).nonzero()[0] + 1
        seconds: Any = first
        if len(new):
            rows = cast("list[int]", new.tolist())
            found = np.array([first, *(nanoseconds_of(texts[row][:19] + "Z") for row in rows)], np.int64)
            seconds = np.repeat(found, np.diff(new, prepend=0, append=count))
    except ValueError:
        return None  # one by one the whole text is named
    if np.min(seconds) == UNKNOWN_TIME:
        return None
    # Exact: the sums are below 2 ** 53.
    return (table[:, 20:27].astype(np.float64) @ _TEN).astype(np.int64) + (seconds - _ZEROS)


def _few(texts: Sequence[str], joined: bytes) -> list[int] | None:
    """Read few texts that are laid out as they should be; None when they are not of one second of UTC."""
    head, zone = texts[0][:19], texts[0][27:]
    if zone not in _UTC or joined.count(f"{zone}\n".encode()) < len(texts) or joined.count(head.encode()) < len(texts):
        return None
    try:
        second = nanoseconds_of(head + "Z")
    except ValueError:
        return None
    return None if second == UNKNOWN_TIME else [second + int(text[20:27]) * 100 for text in texts]


def _words(table: npt.NDArray[Any], at: int) -> npt.NDArray[np.uint64]:
    """Return eight bytes of each row as one number."""
    return np.ascontiguousarray(table[:, at : at + 8]).view(np.uint64).ravel()
