"""Durations and instants as text. Everywhere inside both are int nanoseconds; this place parses and prints them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
SECOND = NANOSECONDS["s"]
FOREVER = (1 << 63) - 1
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")

Duration = timedelta | float | int | str
"""A duration: a `timedelta`, seconds as a number, or text such as `"250ms"`, `"5m"` or `"1h"`."""


def nanoseconds(value: Duration, *, name: str = "duration") -> int:
    """Return a duration as int nanoseconds.

    Args:
        value: a `timedelta`, seconds as a number, or text: a number and one of ns, us, ms, s, m, h, d.
        name: what the error text calls it.

    Raises:
        ValueError: not a duration, negative, or more than 292 years.
    """
    if isinstance(value, timedelta):
        result = (value.days * 86_400 + value.seconds) * SECOND + value.microseconds * 1_000
    elif isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError(f'{name} must look like "250ms", "5m" or "1h" (units ns us ms s m h d), got {value!r}')
        whole, unit = match.groups()
        result = int(whole) * NANOSECONDS[unit] if whole.isdigit() else round(float(whole) * NANOSECONDS[unit])
    elif isinstance(value, bool) or not isinstance(value, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{name} must be a timedelta, seconds or text, got {type(value).__name__}")
    elif value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{name} must be finite, got {value}")
    else:
        result = value * SECOND if isinstance(value, int) else round(value * SECOND)
    if not 0 <= result <= FOREVER:
        raise ValueError(f"{name} must be from 0 to 292 years, got {value!r}")
    return result


def iso(time: int) -> str:
    """Return an instant (int nanoseconds since the epoch, UTC) as ISO 8601 text with no digit lost."""
    seconds, fraction = divmod(time, SECOND)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"
