"""Health over HTTP: `/health` for whoever decides whether this process is well, `/metrics` for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from rxfeed.errors import PortRefused
from rxfeed.health import Health, Report
from rxfeed.times import SECOND, iso

from .healthmetrics import TYPE, metrics


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs. Spans of time are seconds."""
    return {
        "state": report.state, "well": report.well, "time": iso(report.time), "since": iso(report.since),
        "reasons": [{"name": reason.name, "state": reason.state, "text": reason.text} for reason in report.reasons],
        "figures": report.figures._asdict(), "totals": report.totals._asdict(), "token_age": report.token_age,
        "token_left": report.token_left, "clock_offset": report.offset,
        "age": max(0, report.time - report.since) / SECOND,
    }  # fmt: skip


def make_app(health: Health) -> web.Application:
    """Return health as an aiohttp application."""

    async def tell(_: web.Request) -> web.Response:
        report = health.now()
        body = msgspec.json.encode(as_json(report)) + b"\n"
        status, headers = (200 if report.well else 503), {"Cache-Control": "no-store"}
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)

    async def measure(_: web.Request) -> web.Response:
        try:
            body = metrics(health)
        except ImportError as error:
            return web.Response(status=501, text=f"{error}\n")
        return web.Response(body=body, headers={"Content-Type": TYPE})

    app = web.Application()
    app.router.add_get("/health", tell)
    app.router.add_get("/metrics", measure)
    return app


@asynccontextmanager
async def serve_health(health: Health, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str, None]:
    """Serve `/health` and `/metrics`, and give their address, such as `http://127.0.0.1:8787`.

    Nothing that it tells is a secret, but nobody is asked who he is: another host than loopback is for a network of one's own.

    Args:
        health: what to tell of.
        host: an address of this machine; by default nobody else's machine reaches it.
        port: from 1 to 65535, or 0 for a free one.

    Raises:
        ValueError: no such port.
        PortRefused: the port is taken, or this user may not have it, or the host is not this machine's.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"port must be from 0 to 65535, got {port}")
    runner = web.AppRunner(make_app(health), access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    refused: str | None = None
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            refused = error.strerror or str(error)
        if refused is None:
            bound = runner.addresses[0][1]
            yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()
    if refused is not None:
        raise PortRefused(f"port {port} of {host} cannot be had: {refused}; 0 takes a free one")
