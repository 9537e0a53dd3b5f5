"""What stands on the command line as text, read into values; each refusal says what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from rxfeed.cli._errors import Usage, usage

if TYPE_CHECKING:
    from rxfeed.instrument import Instrument
    from rxfeed.rules import Rule
    from rxfeed.sessions import Session
    from rxfeed.windows import Anchor

RULES_HELP = "none, default, or a list such as finite,positive,jump=0.05; default,stale=1m adds to the default ones."


def columns(texts: Iterable[str]) -> dict[str, str | None]:
    """Read `time=timestamp,size=amount`; `seq=` leaves a column unread."""
    result: dict[str, str | None] = {}
    for pair in (pair for text in texts for pair in text.split(",")):
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise Usage(f"--map must look like time=timestamp,size=amount, got {pair!r}")
        if name in result:
            raise Usage(f"--map gives {name} twice")
        result[name] = column or None
    return result


def one_of(option: str, given: str, allowed: Iterable[str]) -> str:
    """Return a word that is allowed."""
    words = tuple(allowed)
    if given not in words:
        raise Usage(f"{option} must be {', '.join(words[:-1])} or {words[-1]}, got {given!r}")
    return given


def anchor(given: str) -> Anchor:
    """Return an anchor that is known."""
    from rxfeed.windows import ANCHORS

    for known in ANCHORS:
        if given == known:
            return known
    raise Usage(f"--anchor must be one of {', '.join(ANCHORS)}, got {given!r}")


def instruments(texts: Iterable[str]) -> dict[str, Instrument]:
    """Read `MNQ:0.25`, symbol and tick size."""
    from rxfeed.instrument import Instrument

    result: dict[str, Instrument] = {}
    for text in texts:
        symbol, colon, size = text.rpartition(":")
        try:
            tick = float(size)
        except ValueError:
            colon = ""
            tick = 0.0
        if not colon or not symbol:
            raise Usage(f"--instrument must look like MNQ:0.25 (symbol and tick size), got {text!r}")
        if symbol in result:
            raise Usage(f"--instrument gives {symbol} twice")
        with usage():
            result[symbol] = Instrument(symbol, tick)
    return result


def rules(text: str, session: Session) -> list[Rule]:
    """Read the names of rules, some with a value: `none`, `default`, `finite,size,jump=0.05,stale=1m`."""
    from rxfeed import rules as known

    if text.strip() == "none":
        return []
    chosen: dict[str, Rule] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name == "default" and not equals:
            chosen |= {rule.name: rule for rule in known.DEFAULT if rule.name not in chosen}
            continue
        with usage():
            chosen[name] = _rule(name, value if equals else None, session)
    return list(chosen.values())


def _rule(name: str, value: str | None, session: Session) -> Rule:
    from rxfeed import rules as known

    plain = {
        "known_time": known.KnownTime, "finite": known.Finite, "positive": known.Positive, "on_grid": known.OnGrid,
        "size": known.Size, "crossed": known.Crossed, "empty": known.Empty, "future": known.Future,
        "going_back": known.GoingBack, "jump": known.Jump,
    }  # fmt: skip
    if name == "outside_session" and value is None:
        return known.OutsideSession(session)
    if name == "stale":
        if value is None:
            raise Usage("rule stale needs how old a tick may be, such as stale=1m")
        return known.Stale(value)
    if name == "future" and value is not None:
        return known.Future(value)
    if name == "jump" and value is not None:
        try:
            return known.Jump(float(value))
        except ValueError:
            raise Usage(f"rule jump takes a fraction above 0 and at most 1, such as jump=0.05, got {value!r}") from None
    if name not in plain:
        raise Usage(f"--rules must be none, default or a list of {', '.join(known.ORDER)}, got {name!r}")
    if value is not None:
        raise Usage(f"rule {name} takes no value, got {value!r}")
    return plain[name]()


def trade_date(option: str, text: str) -> date:
    """Read a date such as 2025-03-09."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Usage(f"{option} must be a date such as 2025-03-09, got {text!r}") from None


def instant(option: str, text: str) -> int:
    """Read an instant such as 2025-03-07T00:00Z or a date (its midnight, UTC), as int nanoseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and moment.tzinfo is None and len(text) <= 10:
        moment = moment.replace(tzinfo=UTC)
    if moment is None or moment.tzinfo is None:
        raise Usage(f"{option} must be a time with its zone, such as 2025-03-07T00:00Z, got {text!r}")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


def words(option: str, text: str) -> list[str]:
    """Read a list such as MNQ,MES."""
    found = [word.strip() for word in text.split(",")]
    if not all(found):
        raise Usage(f"{option} must be a list such as MNQ,MES, got {text!r}")
    return found


def rate(text: str) -> float | str:
    """Read trades a second, or `max`."""
    if text == "max":
        return text
    try:
        return float(text)
    except ValueError:
        raise Usage(f'--rate must be a number of trades a second or "max", got {text!r}') from None
