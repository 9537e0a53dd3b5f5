"""What stands between a hub's live connection and its streams: nothing, or while connections follow each other, stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rxfeed.model import Gap

from .kinds import KINDS, Kind
from .stages import Stage


class Chains:
    """The stages of each kind, one behind the other: what one lets out is what the next one's live connection says.

    Args:
        give: gets what comes out at the end.
        told: gets what may be missing, before that.
    """

    def __init__(self, give: Callable[[Kind, list[Any]], object], told: Callable[[list[Gap]], object]) -> None:
        self._give, self._told = give, told
        self._stages: dict[str, list[Stage]] = {kind.name: [] for kind in KINDS}

    def clear_of(self, kind: Kind) -> bool:
        """Whether what is live passes unchanged."""
        return not self._stages[kind.name]

    def begin(self, stages: Mapping[str, Stage]) -> None:
        """Put a stage at the end of each kind's chain."""
        for name, stage in stages.items():
            self._stages[name].append(stage)

    def live(self, kind: Kind, rows: list[Any]) -> None:
        """Take what the live connection says."""
        stages = self._stages[kind.name]
        self._through(kind, stages, rows)
        self._stages[kind.name] = [stage for stage in stages if not stage.done]

    def hand_over(self, stages: Mapping[str, Stage]) -> tuple[str, ...]:
        """Make what was begun last live, and end what was before it; return the symbols that are uncertain."""
        uncertain: list[str] = []
        for kind in KINDS:
            stage = stages.get(kind.name)
            if stage is not None:
                earlier, self._stages[kind.name] = self._stages[kind.name][:-1], [stage]
                self._end(kind, earlier, [stage])
                gaps = self._out(kind, stage, stage.handover(), [])
                uncertain += [gap.symbol for gap in gaps]
        return tuple(dict.fromkeys(uncertain))

    def late(self, kind: Kind, rows: list[Any]) -> None:
        """Take what the last stage let out by itself."""
        self._out(kind, self._stages[kind.name][-1], rows, [])

    def flush(self) -> None:
        """Let out what stages hold, since what they were fed by has ended."""
        for kind in KINDS:
            stages, self._stages[kind.name] = self._stages[kind.name], []
            self._end(kind, stages, [])

    def clear(self) -> None:
        """Forget everything."""
        for stages in self._stages.values():
            stages.clear()

    def _end(self, kind: Kind, stages: list[Stage], rest: list[Stage]) -> None:
        for at, stage in enumerate(stages):
            self._out(kind, stage, stage.lost(), stages[at + 1 :] + rest)

    def _through(self, kind: Kind, stages: list[Stage], rows: list[Any]) -> None:
        for stage in stages:
            rows = stage.live(rows)
            self._told(stage.gaps())
        if rows:
            self._give(kind, rows)

    def _out(self, kind: Kind, stage: Stage, rows: list[Any], behind: list[Stage]) -> list[Gap]:
        gaps = stage.gaps()
        self._told(gaps)
        if rows:
            self._through(kind, behind, rows)
        return gaps
