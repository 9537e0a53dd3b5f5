"""A server on this machine that does what a test says, and notes what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzaW11bGF0b3IiLCJleHAiOjE3NjcyMjU2MDB9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Served:
    """A running server.

    Args:
        url: http://127.0.0.1 and its port.
        asked: every request so far.
    """

    def __init__(self, url: str, asked: list[web.Request]) -> None:
        self.url = url
        self.asked = asked

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.asked]


@asynccontextmanager
async def serving(handler: Handler, **more: Any) -> AsyncIterator[Served]:
    """Serve one handler for every path and method over loopback."""
    asked: list[web.Request] = []

    async def note(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return await handler(request)

    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", note)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, **more)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield Served(f"{'https' if 'ssl_context' in more else 'http'}://127.0.0.1:{port}", asked)
    finally:
        await runner.cleanup()


def answer(status: int = 200, text: str = "{}", **headers: str) -> Handler:
    """Always the same answer; `retry_after="3"` is the header Retry-After."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler
