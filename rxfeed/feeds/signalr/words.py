"""What the other side says of an error, as our texts may hold it."""

from __future__ import annotations

from typing import Final

from rxfeed.secret import redacted

_SHOWN: Final = 200


def words(error: str) -> str:
    """Return a text of theirs, short and with no token in it."""
    # Cut before as well, as a text of megabytes takes seconds to look through.
    return redacted(error[: _SHOWN * 4])[:_SHOWN]
