"""The same seed, the same run: to the byte, in another process and with other hashes too."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import aiohttp.connector
import aiohttp.helpers
from aiohttp import web

from rxfeed.testing import Simulation, simulate
from tests.testing.storm import storm

ROOT = Path(__file__).parents[2]


def elsewhere(seed: int, hashes: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "testing" / "storm.py"), str(seed)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_the_same_seed_gives_the_same_log_in_any_process() -> None:
    processes = [elsewhere(1, hashes) for hashes in ("1", "2")]
    here = simulate(storm, seed=1)
    there = [process.communicate()[0].replace("__main__", "tests.testing.storm") for process in processes]
    assert there == [here, here]
    assert len(here.splitlines()) > 1_000
    for word in ("cut", "black_hole", "half_open", "refuse", "split"):
        assert f"{word} at" in here
    assert "failed: " in here


def test_the_same_seed_gives_the_same_log_whatever_ran_before_and_whenever_garbage_is_collected() -> None:
    first = simulate(storm, seed=2)
    assert first != simulate(storm, seed=3)
    threshold = gc.get_threshold()
    gc.set_threshold(200, 5, 5)
    try:
        assert simulate(storm, seed=2) == first
    finally:
        gc.set_threshold(*threshold)


def test_a_session_closes_its_connections_in_one_order() -> None:
    async def main(simulation: Simulation) -> list[int]:
        ended: list[int] = []

        async def wait(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            assert request.transport is None or request.transport.is_closing()
            ended.append(int(request.query["number"]))
            return socket

        app = web.Application()
        app.router.add_get("/", wait)
        async with simulation.network.serve("one.test", app), simulation.network.session() as session:
            kept = [await session.ws_connect(f"ws://one.test/?number={number}") for number in range(40)]
            assert session.connector is not None
            await session.connector.close()
            assert len(kept) == 40
            await asyncio.sleep(1)
        return ended

    for _ in range(5):
        assert simulate(main) == list(range(40))


def test_aiohttp_is_as_it_was_afterwards() -> None:
    async def main(simulation: Simulation) -> list[object]:
        return looked_up()

    def looked_up() -> list[object]:
        return [vars(aiohttp.connector)["monotonic"], vars(aiohttp.connector)["random"], vars(aiohttp.helpers)["time"]]

    before = looked_up()
    assert all(one is not other for one, other in zip(simulate(main), before, strict=True))
    assert all(one is other for one, other in zip(looked_up(), before, strict=True))
