"""A peer's speed says nothing if its bars are others than ours, so they are compared before it is timed."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tests.bench.peers import Check, Lane, PeerBar

IDENTITY = ["symbol", "timeframe", "start"]


class Disagreement(Exception):
    """A peer that must agree does not; nothing is timed then."""


def compared(lane: Lane, check: Check, theirs: pl.DataFrame | Sequence[PeerBar], ours: pl.DataFrame) -> tuple[str, str]:
    """Return the name, and what was equal or what differs and how much.

    Raises:
        Disagreement: it differs, and must not.
    """
    df = theirs if isinstance(theirs, pl.DataFrame) else pl.DataFrame(theirs, schema=PeerBar._fields, orient="row")
    df = df.with_columns(pl.col("symbol").cast(pl.String), pl.col("start").cast(pl.Int64))
    able = pl.col("timeframe").is_in(check.timeframes)
    columns = [
        name for name in df.columns if name in ours.columns and name not in IDENTITY and df[name].null_count() < df.height
    ]
    mine = ours.filter(able).select(IDENTITY + columns).sort(IDENTITY)
    df = df.filter(able).select(pl.col(name).cast(mine.schema[name]) for name in mine.columns).sort(IDENTITY)
    title = f"{lane.name}{', ' if check.name else ''}{check.name}"
    wrong = _wrong(df, mine, columns) or (mine.height == 0 and "everything: there are no bars")
    missing = [name for name in ours["timeframe"].unique(maintain_order=True) if name not in check.timeframes]
    without = f"; it makes no {' '.join(missing)}" if missing else ""
    if not wrong:
        return title, f"bars equal in {' '.join(columns)}{without}"
    if check.exact:
        raise Disagreement(f"{title} and rxfeed disagree on {wrong}")
    same = df.join(mine, on=mine.columns, how="semi").height
    lost = 1 - int(df["volume"].sum()) / int(mine["volume"].sum())
    return title, f"{mine.height - same} of {mine.height} bars differ, {100 * lost:.0f} % of the volume is lost{without}"


def _wrong(theirs: pl.DataFrame, ours: pl.DataFrame, columns: Sequence[str]) -> str:
    """Return what differs in words, or nothing."""
    keys = ours.select(IDENTITY)
    if not theirs.select(IDENTITY).equals(keys):
        extra, absent = theirs.join(keys, on=IDENTITY, how="anti"), keys.join(theirs, on=IDENTITY, how="anti")
        first = [*extra.head(1).rows(), *absent.head(1).rows()]
        return f"which bars there are: it has {extra.height} more and {absent.height} of {ours.height} not, such as {first}"
    for name in columns:
        a, b = theirs[name], ours[name]
        # A float sum depends on its order, prices and sizes on nothing.
        same = (a - b).abs() <= 1e-9 * b.abs() if name == "notional" else a.eq_missing(b)
        if not same.all():
            at = (~same).arg_true()
            return f"{name} of {len(at)} of {ours.height} bars: {theirs.row(at[0])} for {ours.row(at[0])}"
    return ""
