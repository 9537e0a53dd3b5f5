"""Health over HTTP, on real loopback and in memory; nothing is left open."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from rxfeed.clock import LiveClock, VirtualClock
from rxfeed.errors import PortRefused, RxfeedError
from rxfeed.events import Connected, Gapped, GaveUp
from rxfeed.feeds.healthmetrics import TYPE, metrics
from rxfeed.feeds.healthserver import make_app, serve_health
from rxfeed.health import Health
from rxfeed.model import ONGOING, Gap
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from tests.builders import T0

CONNECTED = Connected(time=0, hub="market", epoch=1, attempts=1)
Got = tuple[int, str, str]


def asked(use: Callable[[Simulation, Health, Callable[[str], Awaitable[Got]]], Awaitable[Any]]) -> Any:
    async def main(simulation: Simulation) -> Any:
        health = Health(simulation.clock)
        async with simulation.network.serve("health.test", make_app(health)), simulation.network.session() as session:

            async def get(path: str) -> Got:
                async with session.get(f"http://health.test{path}") as answer:
                    return answer.status, answer.headers["Content-Type"], await answer.text()

            return await use(simulation, health, get)

    return simulate(main)


def test_it_is_200_while_it_is_well_and_503_with_reasons_while_it_is_not() -> None:
    async def use(simulation: Simulation, health: Health, get: Callable[[str], Awaitable[Got]]) -> None:
        status, kind, text = await get("/health")
        assert (status, kind) == (503, "application/json")
        assert json.loads(text)["state"] == "connecting"
        health.heard(CONNECTED)
        health.saw(3, simulation.clock.now - SECOND)
        status, _, text = await get("/health")
        told = json.loads(text)
        assert (status, told["state"], told["reasons"], told["well"]) == (200, "live", [], True)
        assert told["totals"]["trades"] == 3
        assert told["clock_offset"] == pytest.approx(1, abs=0.1)
        health.heard(Gapped(time=0, gap=Gap("MNQ", 1, ONGOING, "dropped")))
        status, _, text = await get("/health")
        assert (status, json.loads(text)["reasons"]) == (
            200, [{"name": "gap", "state": "degraded", "text": "1 symbol in a gap"}],
        )  # fmt: skip
        health.heard(GaveUp(time=0, hub="market", text="wrong key"))
        status, _, text = await get("/health")
        assert (status, json.loads(text)["reasons"][0]["text"]) == (503, "given up: wrong key")

    asked(use)


def test_metrics_are_what_prometheus_reads() -> None:
    async def use(simulation: Simulation, health: Health, get: Callable[[str], Awaitable[Got]]) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        health.heard(CONNECTED)
        for number in range(100):
            health.heard(Gapped(time=0, gap=Gap(f'S"{number}\n', 1, 2, "dropped")))
        for _ in range(70):
            health.saw(2, simulation.clock.now, simulation.clock.now)
            health.made(simulation.clock.now - SECOND // 2)
            await asyncio.sleep(1)
        status, kind, text = await get("/metrics")
        assert (status, kind) == (200, TYPE)
        families = {family.name: family for family in text_string_to_metric_families(text)}
        values = {name: family.samples[0].value for name, family in families.items()}
        assert {sample.labels["state"]: sample.value for sample in families["rxfeed_state"].samples} == {
            "connecting": 0, "live": 1, "degraded": 0, "stale": 0, "down": 0, "closed": 0,
        }  # fmt: skip
        assert values["rxfeed_well"] == 1
        assert values["rxfeed_trades"] == 140
        assert values["rxfeed_connected"] == 1
        assert values["rxfeed_idle_seconds"] == pytest.approx(1, abs=0.1)
        assert "rxfeed_heartbeat_age_seconds" not in values  # nobody told
        gaps = families["rxfeed_gaps"].samples
        assert len(gaps) == 65
        assert gaps[-1].labels == {"symbol": "other"}
        assert sum(sample.value for sample in gaps) == 100
        quantiles = {sample.labels["quantile"]: sample.value for sample in families["rxfeed_behind_seconds"].samples}
        assert quantiles["0.5"] == pytest.approx(0.5, rel=0.01)
        assert all(family.documentation for family in families.values())

    asked(use)


def test_each_has_a_registry_of_its_own() -> None:
    from prometheus_client import REGISTRY

    health = Health(VirtualClock(T0))
    assert metrics(health) == metrics(health)
    assert metrics(Health(VirtualClock(T0), symbols=1))
    assert not [family for family in REGISTRY.collect() if family.name.startswith("rxfeed")]


def test_without_prometheus_client_only_metrics_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(_: Simulation, health: Health, get: Callable[[str], Awaitable[Got]]) -> None:
        assert await get("/metrics") == (
            501, "text/plain; charset=utf-8", "/metrics needs prometheus-client: pip install 'rxfeed[metrics]'\n",
        )  # fmt: skip
        assert (await get("/health"))[0] == 503
        assert (await get("/nothing"))[0] == 404

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    asked(use)


def test_it_is_served_on_loopback_and_closes_with_nothing_left() -> None:
    async def main() -> None:
        health = Health(LiveClock())
        async with serve_health(health) as address:
            assert address.startswith("http://127.0.0.1:")
            async with aiohttp.ClientSession() as session, session.get(f"{address}/health") as answer:
                assert answer.status == 503
            port = int(address.rpartition(":")[2])
            with pytest.raises(
                PortRefused, match=rf"port {port} of 127\.0\.0\.1 cannot be had: .*; 0 takes a free one"
            ) as wrong:
                async with serve_health(health, port=port):
                    pass
            assert isinstance(wrong.value, RxfeedError)
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_somebody_who_hangs_on_does_not_keep_it_from_closing() -> None:
    async def main() -> None:
        async with serve_health(Health(LiveClock())) as address:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"503" in await reader.readline()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        writer.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"port": -1}, ValueError, "port must be from 0 to 65535, got -1"),
        ({"port": 65_536}, ValueError, "port must be from 0 to 65535, got 65536"),
        ({"host": "192.0.2.1"}, PortRefused, "port 0 of 192.0.2.1 cannot be had"),
    ],
)
def test_what_cannot_be_served_is_refused(wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=text):
            async with serve_health(Health(LiveClock()), **wrong):
                pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
