"""What a run of `rxfeed bars` did: for people on stderr, for programs as one JSON object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rxfeed.cli._job import Counts


@dataclass(slots=True)
class Summary:
    """Everything that is reported."""

    counts: Counts
    output: str
    rejects: str | None = None
    bars: dict[str, int] = field(default_factory=dict[str, int])
    """By timeframe, finer first."""
    late: int = 0
    revisions: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`: read = in_bars + outside_session + the sum of rejected."""
        c = self.counts
        return {
            "read": c.read, "in_bars": c.in_bars, "late": self.late, "outside_session": c.outside_session,
            "rejected": c.rejected, "bars": self.bars, "revisions": self.revisions, "seconds": round(self.seconds, 3),
            "output": self.output, "rejects": self.rejects,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return it for people."""
        c = self.counts
        lines = [f"{_count(c.read, 'tick')} read, {c.in_bars:,} in bars"]
        if self.late:
            lines.append(f"  {self.late:,} of them late, {_count(self.revisions, 'revision')}")
        if c.rejected:
            by_rule = ", ".join(f"{rule} {n:,}" for rule, n in c.rejected.items())
            where = f", in {self.rejects}" if self.rejects else ""
            lines.append(f"  {sum(c.rejected.values()):,} rejected: {by_rule}{where}")
        if c.outside_session:
            lines.append(f"  {c.outside_session:,} outside_session: no bar")
        bars = ", ".join(f"{timeframe} {n:,}" for timeframe, n in self.bars.items())
        where = "" if self.output == "-" else f" in {self.output}"
        lines.append(f"{_count(sum(self.bars.values()), 'bar')}{where}: {bars} ({self.seconds:.2f} s)")
        return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
