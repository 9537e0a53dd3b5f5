"""`rxfeed run` from the gateway's trades to files and totals, in virtual time, against the simulator's truth."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiohttp import web
from loguru import logger

from rxfeed.cli._errors import Failed, Usage
from rxfeed.cli._live import SETTLING
from rxfeed.cli.run import finish
from rxfeed.errors import LoginRefused, TlsFailed, Unreachable
from rxfeed.feeds.simulator import Simulator
from rxfeed.model import Bar, Flag
from rxfeed.secret import exposes
from rxfeed.testing import Simulation
from tests.cli.streams import HOST, USERS, Shown, Stage, ended, job, streamed

SECOND = 1_000_000_000


def newest(bars: list[Bar]) -> dict[tuple[str, str, int], Bar]:
    return {bar.identity: bar for bar in bars}


def test_the_totals_are_the_simulators_truth_and_the_last_bars_come_out() -> None:
    end, face = ended(streamed(job(lasts=9.5, rate=300.0)))
    totals = end.totals
    assert end.error is None
    assert totals.truth is not None
    assert totals.received == totals.truth.sent == totals.in_bars > 2_000
    assert not totals.differs
    assert (totals.rejected, totals.undecoded, totals.open, totals.outside_session) == ({}, 0, 0, 0)
    assert totals.seconds == pytest.approx(9.5, abs=0.1)
    assert totals.bars == {"1s": 20, "5s": 4}
    bars = newest(face.bars)
    for timeframe in ("1s", "5s"):
        mine = [bar for bar in bars.values() if bar.timeframe == timeframe]
        assert sum(bar.count or 0 for bar in mine) == totals.received
        assert sum(bar.volume for bar in mine) == totals.truth.volume
        last = max(mine, key=lambda bar: bar.start)
        assert last.flags & Flag.PARTIAL
        assert {bar.symbol for bar in mine} == {"MNQH26", "MESH26"}
    assert face.stopped
    assert face.scene is not None
    assert (
        face.scene.banner()[0]
        == f"SIMULATED: no credentials are set, so a simulator runs inside, at {HOST}; none of this is real"
    )


def test_a_window_closes_by_the_clock_though_no_trade_follows() -> None:
    seen: list[tuple[str, int]] = []

    async def trade(stage: Stage) -> None:
        await asyncio.sleep(2)
        stage.simulator.trade("MNQ", (21_500.0, 1))
        traded = stage.simulation.clock.now
        await asyncio.sleep(4)
        closed = [bar for bar in stage.face.bars if bar.timeframe == "1s"]
        assert [(bar.symbol, bar.count, bar.flags & Flag.PARTIAL) for bar in closed] == [("MNQH26", 1, 0)]
        assert closed[0].end - traded <= SECOND

    face = Shown(on_write=lambda bars: seen.append((bars[0].timeframe, bars[0].end)))
    end, _ = ended(streamed(job(lasts=8.0, rate=0), meanwhile=trade, face=face))
    assert end.totals.received == 1
    assert [timeframe for timeframe, _ in seen] == ["1s", "5s"]


def test_whoever_stops_it_gets_the_open_bars_and_the_exit_code() -> None:
    async def stop(stage: Stage) -> None:
        await asyncio.sleep(3.3)
        stage.stop.set_result(130)

    end, face = ended(streamed(job("MNQ", t=("1m",)), meanwhile=stop))
    assert end.error is None
    assert [bar.flags for bar in face.bars] == [Flag.PARTIAL | Flag.GAP]
    assert face.bars[0].count == end.totals.received > 100


def test_what_is_under_way_when_it_ends_is_waited_for() -> None:
    async def slow(stage: Stage) -> None:
        stage.simulation.network.latency = "200ms"

    end, _ = ended(streamed(job(lasts=5.0, rate=300.0), meanwhile=slow))
    assert end.totals.truth is not None
    assert end.totals.received == end.totals.truth.sent > 200
    assert end.totals.seconds < 5.0 + 1.0


def test_stopped_before_it_streams_is_no_run() -> None:
    async def stop(stage: Stage) -> None:
        stage.stop.set_result(130)

    assert streamed(job(), meanwhile=stop)[0] is None


def test_what_was_received_and_not_sent_is_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    async def forge(stage: Stage) -> None:
        await asyncio.sleep(2)
        listed = stage.simulator.contract("MNQ")
        trade = '{"symbolId":"F.US.MNQ","price":21500.0,"timestamp":"2026-01-05T14:30:02Z","type":0,"volume":2}'
        message = f'{{"type":1,"target":"GatewayTrade","arguments":["{listed.id}",[{trade}]]}}\x1e'
        stage.simulator.raw(message.encode())

    end, _ = ended(streamed(job(lasts=4.0), meanwhile=forge))
    totals = end.totals
    assert totals.truth is not None
    assert totals.received == totals.truth.sent + 1
    forged, its_bar = totals.truth.differences  # both are the forged trade's: the sums, and the second that it is in
    numbers = [int(number.replace(",", "")) for number in re.findall(r" ([\d,]*\d)", forged)]
    assert re.sub(r"[\d,]*\d", "#", forged.removeprefix("MNQH26: ")) == (
        "trades # instead of #, lots # instead of #, sum of prices # instead of #"
    )
    assert [ours - theirs for ours, theirs in zip(numbers[::2], numbers[1::2], strict=True)] == [1, 2, 2 * 21_500 * 4]
    shown = re.fullmatch(r"MNQH26 1s \S+:02Z O 21500 .* L 21500 .* V (\d+) .*: the market's is .* V (\d+)", its_bar)
    assert shown is not None
    assert int(shown[1]) == int(shown[2]) + 2
    assert totals.seconds == pytest.approx(4.0 + SETTLING, abs=0.1)  # it waited whether they would still agree
    with pytest.raises(Failed, match="not what the simulator sent"):
        finish(end, 0, as_json=False)
    assert "THEY DIFFER" in capsys.readouterr().err


def test_rejected_and_unreadable_trades_are_counted_and_written(tmp_path: Path) -> None:
    async def send(stage: Stage) -> None:
        await asyncio.sleep(2)
        listed = stage.simulator.contract("MNQ")
        stage.simulator.trade("MNQ", (21_500.0, 1))
        for price, volume in (("21500.1", "1"), ("21500.0", "0"), ('"21500"', "1"), ("21500.25", "1.5")):
            trade = f'{{"symbolId":"F.US.MNQ","price":{price},"timestamp":"2026-01-05T14:30:02Z","type":0,"volume":{volume}}}'
            message = f'{{"type":1,"target":"GatewayTrade","arguments":["{listed.id}",[{trade}]]}}\x1e'
            stage.simulator.raw(message.encode())

    path = tmp_path / "rejects.csv"
    end, _ = ended(streamed(job(lasts=4.0, rate=0, rejects=path), meanwhile=send))
    totals = end.totals
    assert (totals.received, totals.in_bars, totals.rejected, totals.undecoded) == (5, 1, {"on_grid": 1, "size": 1}, 2)
    assert pl.read_csv(path)["rule"].to_list() == ["on_grid", "size"]
    first = totals.lines()[0]
    assert first.startswith(
        f"5 trades received = 1 in bars + 2 rejected (on_grid 1, size 1, in {path}) + 2 that could not be read"
    )


@pytest.mark.parametrize("format", ["parquet", "csv", "ndjson"])
def test_files_are_whole_at_any_moment_and_hold_each_bar_once(tmp_path: Path, format: str) -> None:
    heights: list[int] = []

    def read(folder: Path, timeframe: str) -> pl.DataFrame:
        files = sorted(folder.glob(f"{timeframe}_*.{format}"))
        reads: Any = {"parquet": pl.read_parquet, "csv": pl.read_csv, "ndjson": pl.read_ndjson}[format]
        return pl.concat([reads(file) for file in files]) if files else pl.DataFrame()

    async def look(stage: Stage) -> None:
        for _ in range(9):
            await asyncio.sleep(1.1)
            heights.append(read(tmp_path / "out" / "simulated", "1s").height)

    end, face = ended(streamed(job(lasts=10.0, output=tmp_path / "out", format=format), meanwhile=look))
    assert heights == sorted(heights)
    assert 0 < heights[3] < heights[-1]
    folder = tmp_path / "out" / "simulated"
    assert end.totals.output == str(folder)
    assert all(not path.name.startswith(".") for path in folder.iterdir())
    for timeframe in ("1s", "5s"):
        df = read(folder, timeframe)
        expected = [bar for bar in newest(face.bars).values() if bar.timeframe == timeframe]
        assert sorted(zip(df["symbol"], df["close"], df["volume"], strict=True)) == sorted(
            (bar.symbol, bar.close, bar.volume) for bar in expected
        )


def test_a_revision_replaces_its_bar_in_the_file_where_that_is(tmp_path: Path) -> None:
    async def late(stage: Stage) -> None:
        now = stage.simulation.clock.now
        await asyncio.sleep(2)
        stage.simulator.trade("MNQ", (21_500.0, 1))
        await asyncio.sleep(4)
        stage.simulator.trade("MNQ", (21_501.0, 3), time=now + 2 * SECOND + 500_000_000)

    end, face = ended(streamed(job("MNQ", lasts=10.0, rate=0, output=tmp_path, t=("1s",)), meanwhile=late))
    assert [bar.revision for bar in face.bars] == [0, 1]
    rows = pl.read_parquet(tmp_path / "simulated" / "*.parquet")
    assert rows.select("revision", "count", "volume", "high").rows() == [(1, 2, 4, 21_501.0)]
    assert (end.totals.bars, end.totals.revisions, end.totals.counted) == ({"1s": 1}, 1, {"1s": 2})


def test_a_lost_connection_is_got_back_and_what_it_cost_is_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def drop(stage: Stage) -> None:
        await asyncio.sleep(3.5)
        stage.simulation.network.cut(HOST)

    end, face = ended(streamed(job(rate=500.0, output=tmp_path, lasts=20.0), meanwhile=drop))
    totals = end.totals
    assert end.error is None
    assert not totals.differs
    assert (totals.news["losses"], totals.news["reconnects"], totals.news["gaps"], totals.news["repairs"]) == (1, 1, 2, 2)
    assert totals.truth is not None
    assert totals.truth.bars > 40
    assert any("market lost (dropped): the connection to http://sim.test/hubs/market " in line for line in face.said)
    assert any(bar.flags & Flag.REPAIRED for bar in face.bars)
    assert pl.read_parquet(tmp_path / "simulated" / "1s_*.parquet").height == totals.bars["1s"] > 0
    finish(end, 0, as_json=True)
    assert '"simulated": true' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("close", "says"),
    [
        (b'{"type":7,"error":"maintenance","allowReconnect":true}\x1e', r"lost \(closed\): .*maintenance"),
        (b'{"type":1,"target":"GatewayLogout","arguments":["bye"]}\x1e', r"lost \(logout\): .*GatewayLogout"),
    ],
)
def test_why_a_connection_was_lost_is_told(close: bytes, says: str) -> None:
    async def end_it(stage: Stage) -> None:
        await asyncio.sleep(2)
        stage.simulator.raw(close)

    end, face = ended(streamed(job(lasts=6.0), meanwhile=end_it))
    assert end.error is None
    assert any(re.search(says, line) for line in face.said)
    assert end.totals.news["reconnects"] == 1


def test_an_unknown_symbol_is_bad_usage() -> None:
    with pytest.raises(Usage, match="no contract is called 'FOO'"):
        streamed(job("MNQ", "FOO"))


def test_wrong_credentials_are_refused_once() -> None:
    asked: list[str] = []

    async def login(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"success": False, "errorCode": 3, "errorMessage": "wrong-key-0123456789", "token": None})

    def outside(_: Simulation) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", login)
        return app

    environ = USERS | {"RXFEED_KEY": "wrong-key-0123456789", "RXFEED_GATEWAY": f"https://{HOST}"}
    with pytest.raises(LoginRefused, match="the user or the key is wrong") as refused:
        streamed(job(), environ=environ, outside=outside)
    assert "wrong-key" not in str(refused.value)
    assert asked == ["/api/Auth/loginKey"]


@pytest.mark.parametrize(("fault", "error", "times"), [("refuse", Unreachable, 4), ("distrust", TlsFailed, 0)])
def test_a_host_that_is_not_there_or_not_to_be_trusted(fault: str, error: type[Exception], times: int) -> None:
    def outside(simulation: Simulation) -> web.Application:
        return Simulator(rate=0, clock=simulation.clock).app()

    face = Shown()
    with pytest.raises(error, match=HOST):
        streamed(job(), environ=USERS | {"RXFEED_GATEWAY": f"https://{HOST}"}, outside=outside, face=face, fault=fault)
    assert sum("(attempt " in line for line in face.said) == len(face.said) == times


def test_a_gateway_outside_has_a_folder_of_its_own_and_no_truth(tmp_path: Path) -> None:
    def outside(simulation: Simulation) -> web.Application:
        return Simulator(clock=simulation.clock).app()

    environ = USERS | {"RXFEED_GATEWAY": f"https://{HOST}:444"}
    end, face = ended(streamed(job(lasts=3.0, output=tmp_path), environ=environ, outside=outside))
    assert end.totals.truth is None
    assert end.totals.in_bars == end.totals.received > 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{HOST}-444"]
    assert face.scene.banner()[0] == f"gateway {HOST}:444"
    assert not face.scene.simulated


def test_a_market_that_is_closed_says_so_and_trades_then_have_no_bar() -> None:
    async def wait(_: Stage) -> None:
        pass

    # A Saturday.
    end, face = ended(streamed(job("MNQ", session="CME", lasts=3.0), meanwhile=wait, start="2026-01-10T12:00Z"))
    assert any("CME is closed and opens at 2026-01-11T17:00:00-06:00, Sunday 23:00 UTC" in line for line in face.said)
    assert face.bars == []
    assert end.totals.outside_session == end.totals.received > 0


def test_a_market_that_opens_and_one_that_is_silent_say_so() -> None:
    _, face = ended(streamed(job("MNQ", session="CME", lasts=60.0, rate=0), start="2026-01-11T22:59:50Z"))
    told = [line for line in face.said if "CME" in line]
    assert told[0].startswith("CME is closed and opens at")
    assert told[1:] == ["CME has opened", "no trade for 30 s, though CME is open"]


def test_what_is_not_well_stands_in_the_state() -> None:
    states: list[str] = []

    async def look(stage: Stage) -> None:
        for _ in range(20):
            await asyncio.sleep(10)
            states.append(stage.face.scene.state())

    streamed(job("MNQ", lasts=210.0, rate=20, faults=("silence=90s@15s",)), meanwhile=look)
    assert not any("; " in state for state in states[:7])
    assert "; stale: no trade for " in states[7]
    assert not any("; " in state for state in states[11:])


def test_what_cannot_be_written_ends_it(tmp_path: Path) -> None:
    def broken(_: list[Bar]) -> None:
        raise BrokenPipeError

    end, _ = ended(streamed(job(), face=Shown(on_write=broken)))
    assert isinstance(end.error, BrokenPipeError)
    assert end.totals.seconds < 5
    with pytest.raises(BrokenPipeError):
        finish(end, 0, as_json=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="cannot be written"):
        streamed(job(lasts=1.0, output=tmp_path / "file"))


def test_snapshots_are_of_open_bars_and_gone_when_those_have_closed() -> None:
    seen: Counter[str] = Counter()

    async def look(stage: Stage) -> None:
        for _ in range(30):
            await asyncio.sleep(0.1)
            scene = stage.face.scene
            for (symbol, timeframe), bar in ({} if scene is None else scene.open).items():
                assert (bar.symbol, bar.timeframe, bar.revision) == (symbol, timeframe, -1)
                assert bar.end > stage.simulation.clock.now - 1_300_000_000
                seen[timeframe] += 1

    end, face = ended(streamed(job(lasts=4.0), meanwhile=look, face=Shown(updates="250ms")))
    assert seen["1s"] > 10
    assert seen["5s"] > 10
    assert all(bar.revision >= 0 for bar in face.bars)
    assert face.scene.open == {}
    assert end.totals.in_bars == end.totals.received


def test_the_same_seed_gives_the_same_run() -> None:
    def once(seed: int) -> tuple[list[str], list[str], str]:
        end, face = ended(streamed(job(lasts=5.0, seed=seed), seed=seed))
        return [str(bar) for bar in face.bars], face.said, str(end.totals.as_json())

    assert once(1) == once(1)
    assert once(1)[0] != once(2)[0]


def test_no_token_is_in_what_is_said_and_logged() -> None:
    logged: list[str] = []
    tokens: list[str] = []

    async def use(stage: Stage) -> None:
        number = logger.add(logged.append, level="TRACE", diagnose=True)
        await asyncio.sleep(2)
        tokens.extend(sent.id for sent in stage.simulator.truth.connections.values())
        assert not any(exposes(line) for line in (*stage.face.said, *logged))
        stage.simulation.network.cut(HOST)
        await asyncio.sleep(1)
        assert not any(exposes(line) for line in (*stage.face.said, *logged))
        logger.remove(number)

    _, face = ended(streamed(job(lasts=6.0), meanwhile=use))
    assert tokens
    assert any("market lost" in line for line in face.said)
    assert not any("eyJ" in line for line in logged)
