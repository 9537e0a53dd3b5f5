"""A gateway that answers what a test says: an oracle of the REST wire, written from its documentation."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web

from rxfeed.events import Event
from rxfeed.feeds.projectx.credentials import Credentials
from rxfeed.feeds.projectx.deployment import deployment
from rxfeed.feeds.projectx.limits import Limits
from rxfeed.feeds.projectx.login import Login
from rxfeed.feeds.projectx.rest import Rest
from rxfeed.feeds.transport import Transport
from rxfeed.secret import Secret
from rxfeed.testing import Simulation, simulate

DEPLOYMENT = deployment("http://api.test")
KEY = "kV2/+9q=Zt7w-secret"
OK = {"success": True, "errorCode": 0, "errorMessage": None}


START = 1_767_623_400.0
"""When a simulation begins, in seconds since the epoch."""


def jwt(number: int = 1, life: float | None = 86_400.0, made: float = START, **claims: Any) -> str:
    """A token as the gateway gives."""
    if life is not None:
        claims = {"iat": int(made), "exp": int(made) + life, **claims}
    parts = ({"alg": "HS256", "typ": "JWT"}, {"name": f"user number {number}", **claims})
    head, body = (urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.c2lnbmF0dXJl{number:04d}"


class Asked(NamedTuple):
    at: float
    endpoint: str
    body: Any
    token: str | None


class Gateway:
    """Answers each endpoint by its script: one answer after another, the last one for ever.

    Args:
        script: an answer, or a list of them, by endpoint. An answer is a payload, whose envelope says success; a status; a
            status and its text and headers; or a function of the body, which gives one of these. `Auth/loginKey` gives a
            new token each time unless there is a script for it, and so does `Auth/validate`; endpoints take none but the
            newest.
    """

    def __init__(self, script: dict[str, Any] | None = None, *, life: float | None = 86_400.0) -> None:
        self.script = {name: list(value) if isinstance(value, list) else [value] for name, value in (script or {}).items()}
        self.life = life
        self.asked: list[Asked] = []
        self.delay = 0.0
        self.logins = 0
        self.any_token = False
        self.skew = 0.0
        """Seconds that its clock is ahead."""
        self.token = jwt(0, life)
        """The newest token."""

    def issue(self) -> str:
        """Give a new token."""
        self.logins += 1
        self.token = jwt(self.logins, self.life, START + self.skew + asyncio.get_running_loop().time())
        return self.token

    @property
    def endpoints(self) -> list[str]:
        return [asked.endpoint for asked in self.asked]

    @property
    def times(self) -> list[float]:
        return [asked.at for asked in self.asked]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/{endpoint:.+}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        endpoint = request.match_info["endpoint"]
        text = await request.text()
        assert (request.content_type == "application/json") == bool(text)
        bearer = request.headers.get("Authorization")
        asked = Asked(
            asyncio.get_running_loop().time(),
            endpoint,
            json.loads(text) if text else None,
            bearer.removeprefix("Bearer ") if bearer else None,
        )
        self.asked.append(asked)
        if self.delay:
            await asyncio.sleep(self.delay)
        return self.of(asked)

    def of(self, asked: Asked) -> web.Response:
        scripted: Any = self.script.get(asked.endpoint)
        if scripted is None and asked.endpoint == "Auth/loginKey":
            return web.json_response({**OK, "token": self.issue()})
        if asked.endpoint != "Auth/loginKey" and not self.any_token and asked.token != self.token:
            return web.Response(status=401)
        if scripted is None and asked.endpoint == "Auth/validate":
            return web.json_response({**OK, "newToken": self.issue()})
        assert scripted is not None, f"no script for {asked.endpoint}"
        given: Any = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        if callable(given):
            given = given(asked.body)
        if isinstance(given, int):
            given = (given, "", {})
        if isinstance(given, dict):
            return web.json_response({**OK, **given})
        status, text, *headers = given
        return web.Response(status=status, text=text, headers=headers[0] if headers else {})


class World(NamedTuple):
    """What a test uses."""

    simulation: Simulation
    gateway: Gateway
    transport: Transport
    rest: Rest
    login: Login
    told: list[Event]

    @property
    def now(self) -> float:
        return self.simulation.loop.time()


def asking(gateway: Gateway, use: Callable[[World], Awaitable[Any]], *, seed: int = 0, **more: Any) -> Any:
    """What `use` returns, in a world where the gateway is served; nothing may be left afterwards."""

    async def main(simulation: Simulation) -> Any:
        told: list[Event] = []
        async with simulation.network.serve("api.test", gateway.app()):
            transport = Transport(simulation.network.session, origins=DEPLOYMENT.origins)
            rest = Rest(transport, DEPLOYMENT, random=simulation.random, limits=more.pop("limits", Limits()), **more)
            login = Login(
                rest, Credentials("somebody", Secret(KEY)), clock=simulation.clock, random=simulation.random, told=told.append
            )  # fmt: skip
            try:
                return await use(World(simulation, gateway, transport, rest, login, told))
            finally:
                await login.close()
                await transport.close()

    return simulate(main, seed=seed)
