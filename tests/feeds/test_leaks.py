"""Every way in which tokens and keys got out in trials: first that they do, with aiohttp, loguru and tenacity as they are,
then that with ours they do not."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import aiohttp
import msgspec
import pytest
import tenacity
from aiohttp import web
from loguru import logger
from yarl import URL

from rxfeed.errors import FeedError, GatewayRefused, LoginRefused, ProtocolError, TokenRefused, Unreachable
from rxfeed.feeds.projectx.credentials import Credentials, clean_environment, credentials_from
from rxfeed.feeds.projectx.deployment import Deployment, deployment
from rxfeed.feeds.projectx.login import Login
from rxfeed.feeds.projectx.rest import Rest
from rxfeed.feeds.retrying import Retries, may_help, retrying
from rxfeed.feeds.transport import Place, Transport
from rxfeed.secret import Secret, redacting
from tests.feeds.projectx.gateway import KEY
from tests.feeds.web import TOKEN, Served, serving

T = TypeVar("T")
WAIT = 5.0


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run in debug mode, where asyncio tells the most."""
    return asyncio.run(main(), debug=True)


PLACES: list[Place] = ["query", "header"]


def leaks(*texts: object) -> bool:
    """Whether a text holds twelve characters of the token or of the key that stand together."""
    text = "\n".join(map(str, texts))
    return any(
        one[at : at + 12] in text for one in (TOKEN, KEY, str(URL("/").update_query(k=KEY))[4:]) for at in range(len(one) - 11)
    )


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all that hangs on it."""
    seen: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if one is not None and one not in seen:
            seen.append(one)
            yield one
            left += [one.__cause__, one.__context__]


def told(error: BaseException) -> str:
    """All that an error shows: text, repr and arguments of it and of what hangs on it, and its traceback with all locals."""
    parts = [part for one in chain(error) for part in (str(one), repr(one), repr(one.args), repr(getattr(one, "__dict__", "")))]
    return "\n".join([*parts, *traceback.TracebackException.from_exception(error, capture_locals=True).format()])


def at(url: str, place: Place) -> tuple[URL, dict[str, str]]:
    """How one would give the token without us."""
    if place == "query":
        return URL(url).update_query(access_token=TOKEN), {}
    return URL(url), {"Authorization": f"Bearer {TOKEN}"}


async def caught(work: Awaitable[object], kind: type[BaseException] = Exception) -> BaseException:
    with pytest.raises(kind) as found:
        await work
    return found.value


async def server(request: web.Request) -> web.StreamResponse:
    match request.path.split("/")[1]:
        case "ok":
            return web.Response(text="{}", content_type="text/html")
        case "round":
            return web.Response(status=302, headers={"Location": str(request.rel_url)})
        case "slow":
            await asyncio.sleep(0.2)
            return web.Response()
        case _:
            return web.Response(status=503)


def with_both(
    bare: Callable[[aiohttp.ClientSession, Served], Awaitable[Any]],
    ours: Callable[[Transport, Served], Awaitable[Any]],
    **more: Any,
) -> tuple[Any, Any]:
    """What both give, against one server."""

    async def main() -> tuple[Any, Any]:
        async with serving(server) as served:
            async with aiohttp.ClientSession() as session:
                first = await bare(session, served)
            transport = Transport(origins=[served.url])
            try:
                return first, await ours(transport, served)
            finally:
                await transport.close()

    return run(main)


@pytest.mark.parametrize("place", PLACES)
def test_errors_of_the_handshake(place: Place) -> None:
    async def bare(session: aiohttp.ClientSession, served: Served) -> BaseException:
        url, headers = at(f"{served.url}/no", place)
        return await caught(session.ws_connect(url, headers=headers), aiohttp.WSServerHandshakeError)

    async def ours(transport: Transport, served: Served) -> BaseException:
        return await caught(
            transport.websocket(f"{served.url}/no", token=Secret(TOKEN), place=place, timeout=WAIT), GatewayRefused
        )

    theirs, error = with_both(bare, ours)
    assert leaks(str(theirs)) == (place == "query")
    assert leaks(repr(theirs))
    assert not leaks(told(error))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", ["ok", "round"])
def test_errors_of_answers(path: str, place: Place) -> None:
    async def bare(session: aiohttp.ClientSession, served: Served) -> BaseException:
        url, headers = at(f"{served.url}/{path}", place)

        async def read() -> None:
            async with session.get(url, headers=headers, max_redirects=2) as response:
                await response.json()

        return await caught(read(), aiohttp.ContentTypeError if path == "ok" else aiohttp.TooManyRedirects)

    async def ours(transport: Transport, served: Served) -> BaseException:
        token, url = Secret(TOKEN), f"{served.url}/{path}"
        if path == "round":
            return await caught(transport.post(url, token=token, place=place, timeout=WAIT), ProtocolError)
        there = Deployment(name="x", api=f"{served.url}/ok", market=f"{served.url}/m", user=f"{served.url}/u")
        rest = Rest(transport, there, random=Random(1))
        return await caught(rest.validate(token), ProtocolError)

    theirs, error = with_both(bare, ours)
    assert leaks(str(theirs)) == (place == "query")
    assert leaks(repr(theirs))
    assert not leaks(told(error))


def test_errors_of_addresses() -> None:
    async def bare(session: aiohttp.ClientSession, served: Served) -> BaseException:
        return await caught(session.get(f"http://[oops?access_token={TOKEN}"), aiohttp.InvalidURL)

    async def ours(transport: Transport, served: Served) -> list[BaseException]:
        urls = ["http://[oops", "ftp://x", f"http://{'a' * 70}.com", "https://elsewhere.com", f"{served.url}#x"]
        return [await caught(transport.websocket(url, token=Secret(TOKEN), timeout=WAIT), FeedError) for url in urls]

    theirs, errors = with_both(bare, ours)
    assert leaks(str(theirs))
    assert not leaks(*map(told, errors))


@pytest.mark.parametrize("place", PLACES)
def test_the_chain_of_errors(place: Place) -> None:
    """`from None` hides what came before from tracebacks, but keeps it."""

    async def bare(session: aiohttp.ClientSession, served: Served) -> BaseException:
        url, headers = at(f"{served.url}/no", place)

        async def tidy() -> None:
            try:
                await session.ws_connect(url, headers=headers)
            except aiohttp.ClientError:
                raise Unreachable("no connection") from None

        return await caught(tidy(), Unreachable)

    async def ours(transport: Transport, served: Served) -> BaseException:
        return await caught(transport.websocket(f"{served.url}/no", token=Secret(TOKEN), place=place, timeout=WAIT), FeedError)

    theirs, error = with_both(bare, ours)
    assert not leaks(str(theirs), *traceback.format_exception(theirs))
    assert leaks(*map(repr, chain(theirs)))
    assert list(chain(error)) == [error]


@pytest.mark.parametrize("place", PLACES)
def test_tracebacks_with_locals(place: Place) -> None:
    async def bare(session: aiohttp.ClientSession, served: Served) -> str:
        async def connect(token: str) -> None:
            url, headers = at(f"{served.url}/no", place)
            with suppress(aiohttp.ClientError):
                await session.ws_connect(url, headers=headers)
            raise Unreachable("no connection")

        return told(await caught(connect(TOKEN)))

    async def ours(transport: Transport, served: Served) -> str:
        texts: list[str] = []
        for ask in (transport.websocket, transport.post):
            for path in ("no", "round"):
                try:
                    await ask(f"{served.url}/{path}", token=Secret(TOKEN), place=place, timeout=WAIT)
                except FeedError as error:
                    texts.append(told(error))
        return "\n".join(texts)

    theirs, texts = with_both(bare, ours)
    assert leaks(theirs)
    assert "transport.py" in texts
    assert not leaks(texts)


@pytest.mark.parametrize("place", PLACES)
def test_what_hangs_on_a_timeout_of_the_callers(place: Place) -> None:
    """A cancelled handshake has a traceback through aiohttp, and the caller's TimeoutError keeps it as its cause."""

    async def waiting(work: Coroutine[Any, Any, object]) -> BaseException:
        async def wait() -> None:
            async with asyncio.timeout(0.05):
                await work

        return await caught(wait(), TimeoutError)

    async def bare(session: aiohttp.ClientSession, served: Served) -> str:
        url, headers = at(f"{served.url}/slow", place)

        async def connect() -> None:
            await session.ws_connect(url, headers=headers)

        return told(await waiting(connect()))

    async def ours(transport: Transport, served: Served) -> str:
        url = f"{served.url}/slow"
        texts = [
            told(await waiting(ask(url, token=Secret(TOKEN), place=place, timeout=WAIT)))
            for ask in (transport.websocket, transport.post)
        ]
        await asyncio.sleep(0.2)  # the server's side
        return "\n".join(texts)

    theirs, texts = with_both(bare, ours)
    assert leaks(theirs)
    assert "CancelledError" in texts
    assert not leaks(texts)


def test_answers_and_sockets() -> None:
    async def bare(session: aiohttp.ClientSession, served: Served) -> str:
        async with session.get(at(f"{served.url}/ok", "query")[0]) as response:
            return repr(response)

    async def ours(transport: Transport, served: Served) -> list[str]:
        answer = await transport.post(
            f"{served.url}/ok", {"apiKey": Secret(KEY)}, token=Secret(TOKEN), place="query", timeout=WAIT
        )
        return [repr(answer), repr(transport)]

    theirs, texts = with_both(bare, ours)
    assert leaks(theirs)
    assert not leaks(*texts)


def test_an_open_socket() -> None:
    async def upgrade(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(timeout=0.2)
        await ws.prepare(request)
        await ws.close(code=1008, message=f"expired: {TOKEN}"[:120].encode())
        return ws

    async def main() -> None:
        async with serving(upgrade) as served:
            transport = Transport(origins=[served.url])
            token = Secret(TOKEN)
            socket = await transport.websocket(f"{served.url}/hub", token=token, query={"id": Secret(KEY)}, timeout=WAIT)
            assert not leaks(repr(socket))
            error = await caught(socket.receive())
            assert "1008 policy violation: expired: ***" in str(error)
            assert not leaks(told(error))
            await socket.close()
            await transport.close()

    run(main)


@pytest.mark.leaks
def test_access_logs_of_a_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main(**more: Any) -> str:
        app = web.Application()
        app.router.add_post("/{path:.*}", server)
        runner = web.AppRunner(app, **more)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        transport = Transport(origins=[url])
        caplog.clear()
        await transport.post(f"{url}/ok", token=Secret(TOKEN), place="query", timeout=WAIT)
        await transport.close()
        await runner.cleanup()
        return caplog.text

    assert leaks(run(main))
    assert not leaks(run(lambda: main(access_log=None)))


def never_retrieved(task: Callable[[], asyncio.Task[Any]]) -> Callable[[], Awaitable[str]]:
    """The repr of a task that fails, and what asyncio logs of it when nobody asks for its error."""

    async def use() -> str:
        failing = task()
        await asyncio.wait([failing])
        shown = repr(failing)
        del failing
        gc.collect()
        return shown

    return use


@pytest.mark.leaks
@pytest.mark.parametrize("place", PLACES)
def test_tasks_that_fail(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    logged: list[str] = []

    def note() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: loop.default_exception_handler(context))

    async def bare(session: aiohttp.ClientSession, served: Served) -> str:
        note()
        url, headers = at(f"{served.url}/no", place)

        async def connect() -> None:
            await session.ws_connect(url, headers=headers)

        shown = await never_retrieved(lambda: asyncio.create_task(connect()))()
        logged.append(caplog.text)
        caplog.clear()
        return shown

    async def ours(transport: Transport, served: Served) -> str:
        work = transport.websocket(f"{served.url}/no", token=Secret(TOKEN), place=place, timeout=WAIT)
        shown = await never_retrieved(lambda: asyncio.create_task(work))()
        logged.append(caplog.text)
        return shown

    theirs, shown = with_both(bare, ours)
    assert leaks(theirs)
    assert "never retrieved" in logged[0]
    assert leaks(logged[0])
    assert "never retrieved" in logged[1]
    assert not leaks(shown, logged[1])


class NotingLoop(asyncio.SelectorEventLoop):
    """Notes how each of its handles looks, as the debug mode would log it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def call_soon(self, callback: Any, *args: Any, **more: Any) -> Any:
        handle = super().call_soon(callback, *args, **more)
        self.seen.append(repr(handle))
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, **more: Any) -> Any:
        handle = super().call_at(when, callback, *args, **more)
        self.seen.append(repr(handle))
        return handle


def noted(main: Callable[[], Coroutine[Any, Any, None]]) -> list[str]:
    """All handles of a run, and all tasks that there were meanwhile."""
    with asyncio.Runner(debug=True, loop_factory=NotingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, NotingLoop)
        loop.slow_callback_duration = 3_600.0  # what it would log of a busy machine are the same texts once more
        runner.run(main())
        return loop.seen


def test_handles_and_task_names_in_debug_mode() -> None:
    async def bare() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(str, TOKEN)
        await asyncio.create_task(asyncio.sleep(0), name=f"connect wss://x/hub?access_token={TOKEN}")

    async def ours() -> None:
        tasks: list[str] = []

        async def gateway(request: web.Request) -> web.StreamResponse:
            tasks.extend(map(repr, asyncio.all_tasks()))
            if request.path.endswith("loginKey"):
                return web.json_response({"success": True, "token": TOKEN})
            return await server(request)

        async with serving(gateway) as served:
            there = deployment(served.url)
            transport = Transport(origins=there.origins)
            login = Login(Rest(transport, there, random=Random(1)), Credentials("somebody", Secret(KEY)))
            token = await login.token()
            await caught(transport.websocket(there.market, token=token, timeout=WAIT), GatewayRefused)
            await login.close()
            await transport.close()
        assert any("rxfeed login" in task for task in tasks)
        assert not leaks(*tasks)

    assert leaks(*noted(bare))
    handles = noted(ours)
    assert len(handles) > 20
    assert not leaks(*handles)


@pytest.fixture
def users_log() -> Iterator[list[str]]:
    """A user's own loguru, as it comes: with the values of all variables."""
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message}", diagnose=True, backtrace=True, level=0)
    yield lines
    logger.remove(handler)


def refusing(code: int) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"success": False, "errorCode": code, "errorMessage": f"no {KEY}"})

    return handler


@pytest.mark.leaks
def test_loguru_shows_variables(users_log: list[str]) -> None:
    async def bare(url: str, key: str) -> None:
        async with aiohttp.ClientSession() as session:
            body = {"userName": "somebody", "apiKey": key}
            async with session.post(url, json=body) as response:
                if not (await response.json())["success"]:
                    raise LoginRefused("no")

    async def ours(url: str) -> None:
        there = deployment(url)
        transport = Transport(origins=there.origins)
        rest = Rest(transport, there, random=Random(1))
        login = Login(rest, Credentials("somebody", Secret(KEY)))
        try:
            await login.token()
        finally:
            await login.close()
            await transport.close()

    async def main() -> None:
        for code in (3, 8):
            async with serving(refusing(code)) as served:
                try:
                    await bare(served.url, KEY)
                except LoginRefused:
                    logger.exception("bare")
                assert leaks(*users_log)
                users_log.clear()
                try:
                    await ours(served.url)
                except FeedError:
                    logger.exception("ours")
                assert "rest.py" in "".join(users_log)
                assert not leaks(*users_log)
                users_log.clear()

    run(main)


@pytest.mark.leaks
def test_our_own_sinks_show_nothing_whoever_writes_to_them() -> None:
    lines: list[str] = []
    alive = Secret(KEY), Secret(TOKEN)

    def oops(key: str, url: str) -> None:
        raise ValueError(f"cannot connect to {url}")

    def log(**more: Any) -> None:
        lines.clear()
        sink = more.pop("sink", lines.append)
        handler = logger.add(sink, format="{message}", **more)
        try:
            oops(KEY, f"wss://x/hub?access_token={TOKEN}")
        except ValueError:
            logger.exception("it failed for {}", KEY[:9])
        logger.remove(handler)

    log(diagnose=True)
    assert leaks(*lines)
    log(diagnose=False)
    assert leaks(*lines)  # the error's text
    for diagnose in (True, False):
        log(sink=redacting(lines.append), diagnose=diagnose)
        assert "cannot connect to wss://x/hub?access_token=***" in "".join(lines)
        assert "it failed for ***" in "".join(lines)
        assert not leaks(*lines)
    assert len(alive) == 2


@pytest.mark.leaks
def test_tenacity(caplog: pytest.LogCaptureFixture) -> None:
    states: list[str] = []

    def wait(state: tenacity.RetryCallState) -> float:
        states.append(f"{state!r} {state.fn!r} {state.args!r} {state.kwargs!r} {state.outcome!r} {vars(state)!r}")
        return 0.0

    async def bare(session: aiohttp.ClientSession, served: Served) -> tuple[str, str, str]:
        @tenacity.retry(
            stop=tenacity.stop_after_attempt(2),
            wait=wait,
            before_sleep=tenacity.before_sleep_log(logging.getLogger("x"), logging.WARNING),
        )
        async def connect(url: str) -> None:
            await session.ws_connect(url)

        error = await caught(connect(str(at(f"{served.url}/no", "query")[0])), tenacity.RetryError)
        assert isinstance(error, tenacity.RetryError)
        text = caplog.text
        caplog.clear()
        shown = "".join(states)
        states.clear()
        return text, shown, f"{error} {error.last_attempt.exception()}"

    async def ours(transport: Transport, served: Served) -> tuple[str, str, str]:
        retries = Retries(tenacity.retry_if_exception(may_help), wait, tenacity.stop_after_attempt(3))
        heard: list[Any] = []

        async def connect() -> None:
            await transport.websocket(f"{served.url}/no", token=Secret(TOKEN), timeout=WAIT)

        error = await caught(retrying(connect, retries, lambda *what: heard.append(what)), GatewayRefused)
        assert len(heard) == len(states) - 1 == 2
        return caplog.text + str(heard), "".join(states), told(error)

    theirs, texts = with_both(bare, ours)
    assert [leaks(text) for text in theirs] == [True, True, True]
    assert [leaks(text) for text in texts] == [False, False, False]


def test_reprs_and_vars() -> None:
    @dataclasses.dataclass
    class Plain:
        token: str

    class Struct(msgspec.Struct):
        token: str

    class Object:
        def __init__(self, token: str) -> None:
            self.token = token

    assert leaks(Plain(TOKEN))
    assert leaks(Struct(TOKEN))
    assert leaks(vars(Object(TOKEN)))

    async def gateway(_: web.Request) -> web.Response:
        return web.json_response({"success": True, "token": TOKEN})

    async def main() -> None:
        async with serving(gateway) as served:
            there = deployment(served.url)
            transport = Transport(origins=there.origins)
            rest = Rest(transport, there, random=Random(1))
            credentials = Credentials("somebody", Secret(KEY))
            login = Login(rest, credentials)
            await login.token()
            everything = [
                credentials,
                login.held,
                vars(login),
                vars(rest),
                transport,
                dataclasses.replace(Plain(""), token=Secret(KEY)),
            ]
            everything += [msgspec.structs.asdict(credentials), msgspec.structs.astuple(credentials)]
            assert "Secret(***)" in repr(everything)
            assert not leaks(*map(repr, everything), *map(str, everything))
            with pytest.raises(TypeError):
                msgspec.json.encode(credentials)
            await login.close()
            await transport.close()

    run(main)


def environment_of_child(environ: dict[str, str]) -> str:
    code = "import os, pathlib; p = pathlib.Path('/proc/self/environ'); print(os.environ, p.read_bytes() if p.exists() else '')"
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True).stdout


def test_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "key.toml"
    path.write_text(f"user = 'somebody'\nkey = '{KEY}'\n")
    path.chmod(0o600)
    base = {"PATH": os.environ.get("PATH", "")}
    environ = {**base, "RXFEED_USER": "somebody", "RXFEED_KEY": KEY}
    assert leaks(environment_of_child(environ))
    assert not leaks(environment_of_child(clean_environment(environ)))
    # A file keeps it out of /proc too.
    environ = {**base, "RXFEED_CREDENTIALS": str(path)}
    assert not leaks(environment_of_child(environ))
    credentials = credentials_from(environ)
    assert credentials is not None
    assert credentials.key.reveal() == KEY


@pytest.mark.parametrize("place", PLACES)
def test_redirects_of_the_handshake(place: Place) -> None:
    """aiohttp follows them, wherever they lead, and there is no way to tell it not to."""

    async def main() -> None:
        async with serving(server) as evil:

            async def away(request: web.Request) -> web.Response:
                return web.Response(status=302, headers={"Location": f"{evil.url}{request.rel_url}"})

            async with serving(away) as served:
                async with aiohttp.ClientSession() as session:
                    url, headers = at(f"{served.url}/hub", place)
                    await caught(session.ws_connect(url, headers={**headers, "X-Api-Key": KEY}), aiohttp.WSServerHandshakeError)
                    assert len(evil.asked) == 1
                    assert leaks(evil.asked[0].headers, evil.asked[0].rel_url)
                    evil.asked.clear()
                transport = Transport(origins=[served.url])
                error = await caught(
                    transport.websocket(f"{served.url}/hub", token=Secret(TOKEN), place=place, timeout=WAIT), FeedError
                )
                assert "redirects where no token may go" in str(error)
                assert not leaks(told(error))
                assert evil.asked == []
                await transport.close()

    run(main)


def test_a_refused_token_is_not_in_the_error() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=401)

    async def main() -> None:
        async with serving(handler) as served:
            there = deployment(served.url)
            transport = Transport(origins=there.origins)
            rest = Rest(transport, there, random=Random(1))
            for work in (
                rest.validate(Secret(TOKEN)),
                rest.logout(Secret(TOKEN)),
                transport.websocket(there.user, token=Secret(TOKEN), timeout=1),
            ):
                assert not leaks(told(await caught(work, TokenRefused)))
            await transport.close()

    run(main)
