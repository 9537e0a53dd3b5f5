"""How a gateway is about sessions: how many tokens and connections a user may have, and what becomes of the others.

    sessions   many | newest[-drop|-close|-logout][=TIME] | one[-drop|-close|-logout|-refuse][=TIME]
    expiry     keep | drop | close | logout

With `many`, tokens and connections do not disturb each other. With `newest`, a login or refresh makes the user's older
tokens no longer good; their connections live on (`newest`), or end. With `one`, a user has one connection to each hub:
a new one closes the other (`one` is `one-close`), or is itself refused. TIME is how much later they end: `one-logout=2s`.
`expiry` is what happens to a connection when the token runs out with which it came.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, get_args

from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.times import NANOSECONDS, nanoseconds

Ending = Literal["keep", "drop", "close", "logout"]
"""How a connection ends when its session does; "keep" is not at all."""
_ENDINGS: Final = get_args(Ending)
_FORM: Final = re.compile(r"(many|newest|one)(?:-(drop|close|logout|refuse))?(?:=(.*))?")


class Sessions(NamedTuple):
    """How many sessions a user may have.

    Args:
        kind: "many"; "newest" for one token; "one" for one connection to each hub.
        ending: what becomes of connections of older tokens, or of the older connection; "refuse" the newer one.
        delay: after how many nanoseconds.
    """

    kind: Literal["many", "newest", "one"] = "many"
    ending: Ending | Literal["refuse"] = "keep"
    delay: int = 0

    @classmethod
    def parse(cls, text: str) -> Sessions:
        """Read text such as `newest-drop` or `one-logout=2s`.

        Raises:
            ValueError: it is none.
        """
        match = _FORM.fullmatch(text.strip())
        kind, ending, delay = (None, None, None) if match is None else match.groups()
        if kind is None or (kind == "many" and (ending or delay)) or (kind == "newest" and ending == "refuse"):
            raise ValueError(
                "sessions must be many, newest[-drop|-close|-logout][=TIME] or one[-drop|-close|-logout|-refuse][=TIME], "
                f"got {text!r}"
            )
        default: Ending = "close" if kind == "one" else "keep"
        after = 0 if delay is None else nanoseconds(delay, name="time of sessions")
        return cls(kind, ending or default, after)  # pyright: ignore[reportArgumentType]  # the pattern has said so

    def __str__(self) -> str:
        text = self.kind if self.ending == "keep" else f"{self.kind}-{self.ending}"
        unit = next(name for name, size in reversed(NANOSECONDS.items()) if not self.delay % size)
        return f"{text}={self.delay // NANOSECONDS[unit]}{unit}" if self.delay else text


def ending(text: str) -> Ending:
    """Return what happens to a connection whose token has run out.

    Raises:
        ValueError: it is none of these.
    """
    if text not in _ENDINGS:
        raise ValueError(f"expiry must be one of {', '.join(_ENDINGS)}, got {text!r}")
    return text  # pyright: ignore[reportReturnType]  # it is checked


def finish(one: HubConnection, how: str, why: str) -> None:
    """End a connection's session as it is said."""
    if how == "drop":
        one.drop(why)
    elif how == "close":
        one.close(allow_reconnect=True)
    elif how == "logout":
        one.log_out()
