"""`rxfeed sessions`: when a market trades, and the windows of a trade date, local and in UTC."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from rxfeed.cli import _options as options
from rxfeed.cli._errors import Usage, usage

if TYPE_CHECKING:
    from rxfeed.sessions import Session
    from rxfeed.windows import Anchor, Window

Opt = typer.Option
_KNOWN = ("CME", "NYSE", "LSE", "FX", "24x7")
_FAR = 400


def sessions(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="CME, NYSE, LSE, FX, 24x7 or 24x7:<IANA zone>.")] = None,
    on: Annotated[str | None, Opt("--on", metavar="DATE", help="A trade date, such as 2025-03-09.")] = None,
    timeframe: Annotated[list[str] | None, Opt("-t", "--timeframe", help="Its windows of 4h, 1d …; repeat for more.")] = None,
    anchor: Annotated[str, Opt(help="Windows count from the open (session), the local clock (wall) or utc.")] = "session",
    json_: Annotated[bool, Opt("--json", help="As JSON.")] = False,
) -> None:
    """Show when a market trades, and the windows of a trade date. Holidays are not in the built-in sessions."""
    from rxfeed.sessions import get

    with usage():
        chosen = [get(one) for one in ((name,) if name is not None else _KNOWN)]
        where = options.anchor(anchor)
    if on is None:
        if timeframe:
            raise Usage("-t needs a trade date: --on 2025-03-09")
        _print_hours(chosen, as_json=json_)
        return
    if name is None:
        raise Usage(f"--on needs a session: {', '.join(_KNOWN)} or 24x7:<IANA zone>")
    day = options.trade_date("--on", on)
    session = chosen[0]
    windows = _windows(session, day, timeframe or [], where)
    following = None if session.trade_spans(day) else _next(session, day)
    if json_:
        rows = [_row(session, label, window) for label, window in windows]
        said = {"session": session.name, "zone": session.zone, "trade_date": str(day), "windows": rows}
        print(json.dumps(said | ({"next_trade_date": following and str(following)} if not rows else {}), indent=1))
        return
    if not windows:
        after = f"; the next trade date is {following:%a %Y-%m-%d}" if following else ""
        print(f"{session.name} has no session on {day:%a %Y-%m-%d}{after}")
        return
    print(f"{session.name}, trade date {day:%a %Y-%m-%d}, {session.zone}")
    _print_windows(session, windows)


def _windows(session: Session, day: date, timeframes: list[str], anchor: Anchor) -> list[tuple[str, Window]]:
    from rxfeed.windows import Window, Windows

    with usage():
        made = Windows(*timeframes, session=session, anchor=anchor) if timeframes else None
    spans = session.trade_spans(day)
    if not spans:
        return []
    if made is None:
        return [("span", Window(span.open, span.close, False)) for span in spans]
    names = [level.timeframe.name for level in made.levels if level.emitted]
    return [(name, window) for name in names for window in made.windows_on(day, name)]


def _next(session: Session, day: date) -> date | None:
    days = (day + timedelta(days=n) for n in range(1, _FAR) if day.toordinal() + n <= date.max.toordinal())
    return next((later for later in days if session.trade_spans(later)), None)


def _row(session: Session, label: str, window: Window) -> dict[str, object]:
    from rxfeed.times import iso

    return {
        "timeframe": label, "start": iso(window.start), "end": iso(window.end),
        "local_start": session.local(window.start), "local_end": session.local(window.end),
        "seconds": (window.end - window.start) / 1e9, "short": window.short,
    }  # fmt: skip


def _print_windows(session: Session, windows: list[tuple[str, Window]]) -> None:
    from rxfeed.cli._table import print_rows
    from rxfeed.times import iso

    rows = [
        [
            label, session.local(window.start), session.local(window.end), iso(window.start), iso(window.end),
            _length(window.end - window.start), "SHORT" if window.short else "",
        ]
        for label, window in windows
    ]  # fmt: skip
    print_rows(("", "start (local)", "end (local)", "start (UTC)", "end (UTC)", "length", ""), rows, right=("length",))


def _length(ns: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    parts = [(seconds // 3_600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"), (rest // 1_000_000, "ms")]
    return "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"


def _print_hours(chosen: list[Session], *, as_json: bool) -> None:
    from rxfeed.cli._table import print_rows
    from rxfeed.hours import WEEKDAYS, clock_text

    rows: list[list[str]] = []
    for session in chosen:
        days = [day for day, pair in zip(WEEKDAYS, session.hours, strict=True) if pair]
        opening, closing = next(pair for pair in session.hours if pair)
        span = f"{days[0]}-{days[-1]}"
        rows.append([session.name, span, _clock(clock_text(opening)), _clock(clock_text(closing)), session.zone])
    if as_json:
        keys = ("name", "trade_dates", "open", "close", "zone")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
        return
    print_rows(("session", "trade dates", "open", "close", "zone"), rows)


def _clock(text: str) -> str:
    """`-1d 17:00` in words."""
    return text.replace("-1d ", "") + " the day before" if text.startswith("-1d ") else text
