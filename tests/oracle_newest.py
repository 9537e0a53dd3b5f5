"""The plain way to say what `sample_every` and `throttle_latest` emit: key by key and period by period, over all events."""

from __future__ import annotations

from typing import Any

PERIOD = 10


def expected(nows: list[int], rows: list[Any], *, keyed: bool, leading: bool, period: int = PERIOD) -> list[tuple[int, Any]]:
    """Return `(time, row)` of what goes out, for rows that come at times that do not fall; the stream ends at the last."""
    if not rows:
        return []
    out: list[tuple[int, int, int, Any]] = []
    for key in {row.symbol if keyed else None for row in rows}:
        mine = [n for n, row in enumerate(rows) if not keyed or row.symbol == key]
        carried = -1  # the period that began with something left over from the one before
        for at in sorted({nows[n] // period for n in mine}):
            inside = [n for n in mine if nows[n] // period == at]
            if leading and carried != at:
                first = inside.pop(0)
                out.append((nows[first], 1, first, rows[first]))
            if inside:
                carried = at + 1
                last, edge = inside[-1], (at + 1) * period
                # What waits goes out before whatever comes at that very time, and at the end of the stream last of all.
                out.append((edge, 0, last, rows[last]) if edge <= nows[-1] else (nows[-1], 2, last, rows[last]))
    return [(time, row) for time, _, _, row in sorted(out, key=lambda entry: entry[:3])]
