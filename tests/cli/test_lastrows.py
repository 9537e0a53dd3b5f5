from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rxfeed.cli._lastrows import LastRows
from rxfeed.frame import BAR_SCHEMA

MINUTE = 60 * 10**9


def revised(seed: int, n: int) -> pl.DataFrame:
    """Bars of some symbols in the order of time, with revisions of recent ones in between."""
    rng = random.Random(seed)
    rows: list[tuple[str, str, int, int, int]] = []
    known: list[tuple[str, str, int]] = []
    revisions: dict[tuple[str, str, int], tuple[int, int]] = {}
    for k in range(n):
        if known and rng.random() < 0.2:
            key = rng.choice(known[-20:])
            revision, count = revisions[key]
            revisions[key] = revision + 1, count + rng.randint(1, 3)
        else:
            key = rng.choice("BBBBAC"), rng.choice(["1m", "1m", "5m"]), k * MINUTE
            known.append(key)
            revisions[key] = 0, rng.randint(1, 9)
        rows.append((*key, *revisions[key]))
    df = pl.DataFrame(rows, ["symbol", "timeframe", "start", "revision", "count"], orient="row")
    missing = [pl.lit(0).alias(name) for name in BAR_SCHEMA if name not in df.columns]
    return df.with_columns(missing).select(BAR_SCHEMA.names()).cast(BAR_SCHEMA, strict=False)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("run", "most"), [(10_000, 10_000), (50, 10_000), (50, 120), (7, 30), (64, 200)])
def test_the_last_row_of_each_identity_in_order(tmp_path: Path, seed: int, run: int, most: int) -> None:
    rows = revised(seed, 600)
    store = LastRows(["1m", "5m"], tmp_path, run=run, most=most)
    for piece in rows.iter_slices(13):
        store.add(piece)
    blocks = list(store.rows())
    expected = rows.unique(["symbol", "timeframe", "start"], keep="last").sort("symbol", "timeframe", "start")
    assert_frame_equal(pl.concat(blocks), expected)
    assert max(block.height for block in blocks) <= most + 2 * run
    assert store.revisions == int((rows["revision"] > 0).sum())
    first = int(rows.filter((pl.col("revision") == 0) & (pl.col("timeframe") == "1m"))["count"].sum())
    last = int(expected.filter(pl.col("timeframe") == "1m")["count"].sum())
    assert store.late == last - first
    assert store.bars == dict(expected.group_by("timeframe").len().sort("timeframe").iter_rows())


def test_no_rows(tmp_path: Path) -> None:
    store = LastRows(["1m"], tmp_path)
    assert pl.concat(store.rows()).schema == BAR_SCHEMA
    assert store.bars == {"1m": 0}
