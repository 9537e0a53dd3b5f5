"""Trading hours as people write them: local times, weekdays, trade dates and breaks, as seconds of a trade date.

Seconds count from the trade date's local midnight; what opens the evening before is negative. No zone is known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LocalTime = time | str
"""A local time: a `datetime.time`, or text: `"9:30"`, `"24:00"`, `"-1d 17:00"` (the day before the trade date)."""
Week = tuple[tuple[int, int] | None, ...]
"""Open and close by weekday, Monday first; None without a session."""

_TIME = re.compile(r"(?:([+-]?\d)d\s+)?(\d{1,2}):(\d\d)(?::(\d\d))?")


def seconds_of(at: LocalTime) -> int:
    """Read a local time, as seconds from its trade date's midnight.

    Raises:
        ValueError: it cannot be read.
    """
    if isinstance(at, time):
        if at.microsecond or at.tzinfo:
            raise ValueError(f"a local time must be whole seconds without a zone, got {at!r}")
        return at.hour * 3_600 + at.minute * 60 + at.second
    match = _TIME.fullmatch(at.strip())
    if match is not None:
        days, hour, minute, second = (int(part or 0) for part in match.groups())
        seconds = hour * 3_600 + minute * 60 + second
        if minute < 60 and second < 60 and seconds <= 86_400:
            return days * 86_400 + seconds
    raise ValueError(f'a local time must look like "9:30", "24:00" or "-1d 17:00", got {at!r}')


def _explicit(at: LocalTime) -> bool:
    return isinstance(at, str) and "d" in at


def clock_text(seconds: int) -> str:
    """Return what `seconds_of` reads."""
    days, rest = divmod(seconds, 86_400)
    if seconds == 86_400:
        days, rest = 0, 86_400
    text = f"{rest // 3_600}:{rest // 60 % 60:02}" + (f":{rest % 60:02}" if rest % 60 else "")
    return f"{days:+}d {text}" if days else text


def date_of(day: date | str) -> date:
    """Read a trade date.

    Raises:
        ValueError: not a date without a time.
    """
    if isinstance(day, str):
        try:
            return date.fromisoformat(day)
        except ValueError:
            raise ValueError(f'a trade date must look like "2024-12-25", got {day!r}') from None
    if isinstance(day, datetime):
        raise ValueError(f"a trade date must be a date without a time, got {day!r}")
    return day


def week_of(hours: Mapping[str, tuple[LocalTime, LocalTime]]) -> Week:
    """Read weekly hours.

    Raises:
        ValueError: a day or time cannot be read, a day is named twice, no day is, or two overlap.
    """
    week: list[tuple[int, int] | None] = [None] * 7
    for days, (open_at, close_at) in hours.items():
        opening, closing = seconds_of(open_at), seconds_of(close_at)
        if opening >= closing and not _explicit(open_at) and not _explicit(close_at):
            opening -= 86_400
        if opening >= closing:
            raise ValueError(
                f"hours must open before they close, got {clock_text(opening)} to {clock_text(closing)} for {days!r}"
            )
        for weekday in _weekdays(days):
            if week[weekday] is not None:
                raise ValueError(f"hours name {WEEKDAYS[weekday]} twice, got {', '.join(hours)}")
            week[weekday] = opening, closing
    opens = [(weekday, pair) for weekday, pair in enumerate(week) if pair]
    if not opens:
        raise ValueError('hours must hold at least one day, such as {"Mon-Fri": ("9:30", "16:00")}, got none')
    for (day, (_, closing)), (after, (opening, _)) in zip(opens, opens[1:] + [(opens[0][0] + 7, opens[0][1])], strict=True):
        if (after - day) * 86_400 + opening < closing:
            raise ValueError(f"hours of {WEEKDAYS[day]} overlap those of {WEEKDAYS[after % 7]}")
    return tuple(week)


def _weekdays(days: str) -> list[int]:
    found: list[int] = []
    try:
        for part in days.split(","):
            first, _, last = part.strip().partition("-")
            start = WEEKDAYS.index(first)
            count = (WEEKDAYS.index(last) - start) % 7 if last else 0
            found += [(start + i) % 7 for i in range(count + 1)]
    except ValueError:
        raise ValueError(f'weekdays must look like "Mon-Fri" or "Mon,Wed", got {days!r}') from None
    return found


def not_before(at: int, floor: int) -> int:
    """Return the first time that reads as `at` on the clock and is not before `floor`."""
    return floor + (at - floor) % 86_400


def not_after(at: int, ceiling: int) -> int:
    """Return the last time that reads as `at` on the clock and is not after `ceiling`."""
    return ceiling - (ceiling - at) % 86_400


def halts(pair: tuple[int, int], breaks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the breaks that lie in a day's hours, in order, overlapping ones united.

    A break that starts before the midnight of its trade date is meant literally; any other starts at the first such local
    time after the open.
    """
    opening, closing = pair
    found: list[tuple[int, int]] = []
    for start, end in sorted(b if b[0] < 0 else (at := not_before(b[0], opening), not_before(b[1], at)) for b in breaks):
        if not opening <= start < closing:
            continue
        if found and start <= found[-1][1]:
            start, end = found[-1][0], max(found.pop()[1], end)
        found.append((start, min(end, closing)))
    return found


def break_of(pair: tuple[LocalTime, LocalTime]) -> tuple[int, int]:
    """Read a break; see `halts` for what it means.

    Raises:
        ValueError: a time cannot be read, or it starts on an earlier day and ends before that.
    """
    start, end = seconds_of(pair[0]), seconds_of(pair[1])
    if start < 0 and end <= start:
        raise ValueError(f"a break must start before it ends, got {clock_text(start)} to {clock_text(end)}")
    return start, end
