"""Files of live bars: a bar is in one of them, once, and what can no longer be revised is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rxfeed.cli._barfiles import BarFiles
from rxfeed.cli._errors import Failed
from rxfeed.cli._outbox import Outbox
from rxfeed.cli._tally import Tally
from rxfeed.model import Bar
from rxfeed.testing import simulate
from tests.builders import bar as build

SECOND = 1_000_000_000
BEGAN = 1_767_623_400 * SECOND


def bar(n: int, symbol: str = "MNQH26", revision: int = 0, volume: int = 1) -> Bar:
    start = BEGAN + n * SECOND
    end = start + SECOND
    return build(symbol=symbol, timeframe="1s", start=start, end=end, revision=revision, volume=volume, count=volume)


def rows(folder: Path) -> list[tuple[str, int, int]]:
    df = pl.read_parquet(folder / "*.parquet").sort("symbol", "start")
    starts = (df["start"].to_physical() - BEGAN) // SECOND
    return list(zip(df["symbol"], starts, df["volume"], strict=True))


def test_a_full_file_is_followed_by_another_and_a_revision_goes_where_its_bar_is(tmp_path: Path) -> None:
    files = BarFiles(tmp_path, BEGAN + 5, horizon=10 * SECOND, rows=4)
    files.add([bar(n) for n in range(6)])
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert names == ["1s_20260105T143000Z_0001.parquet", "1s_20260105T143000Z_0002.parquet"]
    second = (tmp_path / names[1]).stat().st_mtime_ns
    files.add([bar(1, revision=1, volume=7)])
    assert rows(tmp_path) == [("MNQH26", n, 7 if n == 1 else 1) for n in range(6)]
    assert (tmp_path / names[1]).stat().st_mtime_ns == second
    assert files.rows == 6


def test_what_can_no_longer_be_revised_is_forgotten_and_not_written_again(tmp_path: Path) -> None:
    files = BarFiles(tmp_path, BEGAN, horizon=10 * SECOND, rows=4)
    for n in range(100):
        files.add([bar(n), bar(n, "MESH26")])
        kept = sum(len(file.rows) for of in files._open.values() for file in of)
        assert kept <= 2 * (10 + 1) + 2 * 4
    # The bar that ended a horizon ago can be revised as long as nothing has closed after that.
    files.add([bar(90, revision=1, volume=5)])
    assert len(rows(tmp_path)) == 200
    assert ("MNQH26", 90, 5) in rows(tmp_path)


def test_a_quiet_symbol_keeps_its_file_open(tmp_path: Path) -> None:
    files = BarFiles(tmp_path, BEGAN, horizon=10 * SECOND, rows=2)
    files.add([bar(0, "MESH26"), bar(0)])
    for n in range(1, 60):
        files.add([bar(n)])
    files.add([bar(0, "MESH26", revision=1, volume=9)])
    assert len(rows(tmp_path)) == 61
    assert ("MESH26", 0, 9) in rows(tmp_path)


def test_two_runs_of_one_second_have_their_own_files(tmp_path: Path) -> None:
    for _ in range(3):
        BarFiles(tmp_path, BEGAN, horizon=SECOND).add([bar(0)])
    names = {f"1s_20260105T143000Z{more}_0001.parquet" for more in ("", "-2", "-3")}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_file_that_cannot_be_replaced_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = BarFiles(tmp_path, BEGAN, horizon=SECOND)
    files.add([bar(0)])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(Failed, match="cannot be written: No space left on device"):
        files.add([bar(1)])
    assert rows(tmp_path) == [("MNQH26", 0, 1)]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_bars_are_tallied_once_in_bounded_memory() -> None:
    tally = Tally(10 * SECOND)
    for n in range(20_000):
        tally.add(bar(n))
    assert len(tally._counts) <= 4_097
    tally.add(bar(19_995, revision=1, volume=4))
    assert (tally.bars["1s"], tally.trades["1s"], tally.revisions) == (20_000, 20_003, 1)


def outbox(use: Callable[[], Awaitable[object]]) -> None:
    simulate(lambda _: use())


def test_an_outbox_hands_on_in_order_and_all_that_waits_at_once() -> None:
    taken: list[list[int]] = []

    async def use() -> None:
        box = Outbox(taken.append, "numbers", period=1.0)
        box.put(1)
        await asyncio.sleep(0.5)
        box.put(2, 3)
        box.put(4)
        await asyncio.sleep(1.0)
        box.put(5)
        await box.close()
        await box.close()
        assert not box.failed.done()

    outbox(use)
    assert taken == [[1], [2, 3, 4], [5]]


def test_an_outbox_that_is_full_or_raises_has_failed_and_takes_no_more() -> None:
    async def use() -> None:
        taken: list[Any] = []
        box = Outbox(taken.append, "bars", most=3)
        box.put(1, 2, 3)
        box.put(4)
        assert "3 bars wait to be written, and nobody takes them" in str(box.failed.result())
        box.put(5)
        await box.close()
        assert taken == []

        def broken(_: list[int]) -> None:
            raise BrokenPipeError

        box = Outbox(broken, "bars")
        box.put(1)
        assert isinstance(await box.failed, BrokenPipeError)
        await box.close()

    outbox(use)
