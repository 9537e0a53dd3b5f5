"""A busy simulation with faults by chance, told by its log: what must be the same for the same seed, to the byte."""

from __future__ import annotations

import asyncio
import hashlib
import sys

import aiohttp
from aiohttp import web
from loguru import logger

from rxfeed.testing import Simulation, simulate

HOSTS = ("one.test", "two.test", "three.test")


async def ticks(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)

    async def pump() -> None:
        number = 0
        while True:
            await socket.send_str(f"{request.host} {number} " + "x" * (number * 37 % 1000))
            number += 1
            await asyncio.sleep(0.7)

    pumping = asyncio.create_task(pump())
    try:
        async for message in socket:
            logger.debug("server {} heard {}", request.host, message.data)
    finally:
        pumping.cancel()
        (ended,) = await asyncio.gather(pumping, return_exceptions=True)
        logger.info("server {} ended with {}", request.host, type(ended).__name__)
    return socket


async def client(simulation: Simulation, session: aiohttp.ClientSession, host: str) -> None:
    name = asyncio.current_task().get_name()  # pyright: ignore[reportOptionalMemberAccess]
    while True:
        try:
            async with session.ws_connect(f"wss://{host}/", heartbeat=5) as socket:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    logger.info("{} got {}", name, hashlib.sha256(message.data.encode()).hexdigest()[:8])
                    if simulation.random.random() < 0.1:
                        await socket.send_str(f"from {name}")
            logger.warning("{} lost {}: {}", name, host, socket.close_code)
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("{} failed: {}", name, type(error).__name__)
        await asyncio.sleep(simulation.random.uniform(0.1, 2))


async def weather(simulation: Simulation) -> None:
    network, random = simulation.network, simulation.random
    while True:
        await asyncio.sleep(random.expovariate(1 / 2))
        host = random.choice(HOSTS)
        fault = random.choice(("cut", "cut", "black_hole", "half_open", "refuse", "split", "heal", "heal", "heal"))
        logger.error("{} at {}", fault, host)
        getattr(network, fault)(host)


async def storm(simulation: Simulation) -> str:
    network = simulation.network
    network.latency, network.jitter = "20ms", "15ms"
    servers = []
    for host in HOSTS:
        app = web.Application()
        app.router.add_get("/", ticks)
        servers.append(await network.serve(host, app, shutdown_timeout=1))
    session = network.session(timeout=aiohttp.ClientTimeout(sock_connect=3, total=10))
    names = {asyncio.create_task(client(simulation, session, host)) for host in HOSTS for _ in range(3)}
    names.add(asyncio.create_task(weather(simulation)))
    await asyncio.sleep(100)
    for task in names:  # a set: its order must not be that of addresses
        logger.debug("ends {}", task.get_name())
        task.cancel()
        await asyncio.sleep(0.01)
    ended = await asyncio.gather(*names, return_exceptions=True)
    assert {type(error) for error in ended} == {asyncio.CancelledError}
    for host in HOSTS:
        network.heal(host)
    await session.close()
    for server in servers:
        await server.close()
    return simulation.logs.text


if __name__ == "__main__":
    logger.remove()
    sys.stdout.write(simulate(storm, seed=int(sys.argv[1])))
