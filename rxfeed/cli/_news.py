"""What happens to a feed while it runs, said as it happens and counted for the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from rxfeed.events import Connected, Disagreed, Event, Gapped

_NAMES: Final = {
    "Lost": ("loss", "losses"),
    "Reconnected": ("reconnect", "reconnects"),
    "Rotated": ("token change without a gap", "token changes without a gap"),
    "Gapped": ("gap", "gaps"),
    "Repaired": ("repair", "repairs"),
    "NotRepaired": ("gap that was not repaired", "gaps that were not repaired"),
}


class News:
    """Hears events.

    Args:
        say: shows people a line.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self.counts: Final = Counter[str]()
        """Of each kind of event; a gap counts when it has ended."""
        self.gaps_open = 0

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Gapped(gap=gap) if gap.ongoing:
                self.gaps_open += 1
            case Gapped():
                self.gaps_open = max(0, self.gaps_open - 1)
                self.counts["Gapped"] += 1
            case Connected():
                self.counts["Connected"] += 1
                self.counts["Reconnected"] = self.counts["Connected"] - 1
            case _:
                self.counts[type(event).__name__] += 1
        # A bar at a time history may differ a thousand times: the 1st, 10th, 100th are said.
        if not isinstance(event, Disagreed) or str(self.counts["Disagreed"]).strip("0") == "1":
            self._say(str(event))

    def lines(self) -> list[str]:
        """Return what happened, for people: nothing where all was quiet."""
        parts = [
            f"{self.counts[kind]:,} {one if self.counts[kind] == 1 else many}"
            for kind, (one, many) in _NAMES.items()
            if self.counts[kind]
        ]
        return [", ".join(parts)] if parts else []

    def as_json(self) -> dict[str, int]:
        """Return the counts for programs."""
        return {name: self.counts[kind] for name, kind in _JSON.items()}


_JSON: Final = {
    "losses": "Lost",
    "reconnects": "Reconnected",
    "rotations": "Rotated",
    "tokens": "TokenChanged",
    "gaps": "Gapped",
    "repairs": "Repaired",
    "not_repaired": "NotRepaired",
}
