"""`Rest` against a scripted gateway over memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loguru import logger

from rxfeed.errors import (
    AddressRefused,
    FeedError,
    GatewayRefused,
    LoginRefused,
    ProtocolError,
    TlsFailed,
    TokenRefused,
    TooManyRequests,
    Unreachable,
)
from rxfeed.feeds.projectx.credentials import Credentials
from rxfeed.feeds.projectx.deployment import deployment
from rxfeed.feeds.projectx.limits import Limit, Limits
from rxfeed.feeds.projectx.rest import Envelope, Rest
from rxfeed.feeds.transport import Transport
from rxfeed.secret import Secret
from tests.feeds.projectx.gateway import KEY, Gateway, World, asking, jwt

ODD = "Some/thing answered what it should not: "
CREDENTIALS = Credentials("somebody", Secret(KEY))


class Number(Envelope, frozen=True):
    number: float | None = None


def posting(answer: Any, *, again: bool = True, **more: Any) -> tuple[Any, Gateway]:
    """What one post to an endpoint gives or raises, where the gateway answers so."""
    gateway = Gateway({"Some/thing": answer})
    gateway.any_token = True

    async def use(world: World) -> Any:
        try:
            return await world.rest.post("Some/thing", {"a": 1}, Number, token=Secret(jwt()), again=again)
        except FeedError as error:
            return error

    return asking(gateway, use, **more), gateway


def logging_in(answer: Any) -> tuple[Any, Gateway]:
    gateway = Gateway({"Auth/loginKey": answer})

    async def use(world: World) -> Any:
        try:
            return await world.rest.login(CREDENTIALS)
        except FeedError as error:
            return error

    return asking(gateway, use), gateway


@pytest.fixture
def log() -> Any:
    """What is logged."""
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(handler)


def test_a_success() -> None:
    result, gateway = posting({"number": 1})
    assert result == Number(True, 0, None, 1.0)
    asked = gateway.asked[0]
    assert (asked.endpoint, asked.body, asked.token) == ("Some/thing", {"a": 1}, jwt())


@pytest.mark.parametrize("number", ["1.5", 1.5, None])
def test_numbers_may_be_text_or_nothing(number: Any) -> None:
    result, _ = posting({"number": number, "more": [1, {"x": None}]})
    assert result.number == (None if number is None else 1.5)


@pytest.mark.parametrize(
    ("answer", "kind", "code", "text"),
    [
        (
            {"success": False, "errorCode": 5, "errorMessage": "no contract"},
            GatewayRefused, 5, "Some/thing refused (errorCode 5): no contract",
        ),
        ({"success": False, "errorCode": 5}, GatewayRefused, 5, "Some/thing refused (errorCode 5)"),
        ({"success": False, "errorCode": None, "number": []}, GatewayRefused, 0, "Some/thing refused (errorCode 0)"),
        (
            {"success": False, "errorCode": 1, "errorMessage": f"bad token {jwt()} " + "x" * 300},
            GatewayRefused, 1, "Some/thing refused (errorCode 1): bad token *** " + "x" * 186,
        ),
        (401, TokenRefused, None, "Some/thing does not take this token (HTTP 401)"),
        (403, GatewayRefused, 403, "Some/thing answered HTTP 403"),
        (404, GatewayRefused, 404, "Some/thing answered HTTP 404"),
        ((200, "<html>"), ProtocolError, None, "Some/thing answered what is not JSON (6 bytes)"),
        ((200, '{"number":1,"more":' + "[" * 8_981), ProtocolError, None, "Some/thing answered what is not JSON (9000 bytes)"),
        ((200, ""), ProtocolError, None, "Some/thing answered what is not JSON (0 bytes)"),
        ((200, "{}"), ProtocolError, None, f"{ODD}Object missing required field `success`"),
        ((200, "[]"), ProtocolError, None, f"{ODD}Expected `object`, got `array`"),
        ({"number": "x"}, ProtocolError, None,
         f"{ODD}Expected `float | null`, got `str` - at `$.number`"),
        ({"number": {}}, ProtocolError, None,
         f"{ODD}Expected `float | null`, got `object` - at `$.number`"),
        ((302, "", {"Location": "/elsewhere"}), ProtocolError, None,
         "http://api.test/api/Some/thing answered with a redirect (HTTP 302), which a POST does not follow"),
    ],
)  # fmt: skip
def test_what_cannot_be_helped_is_asked_once(answer: Any, kind: type[FeedError], code: int | None, text: str) -> None:
    error, gateway = posting(answer)
    assert type(error) is kind
    assert str(error) == text
    assert getattr(error, "code", None) == code
    assert (error.__cause__, error.__context__) == (None, None)
    assert len(gateway.asked) == 1


def test_a_broken_gateway_is_asked_again_more_and_more_slowly(log: list[str]) -> None:
    result, gateway = posting([503, 502, (500, "<html>"), {"number": 3}])
    assert result.number == 3
    waits = [b - a for a, b in zip(gateway.times, gateway.times[1:], strict=False)]
    for ceiling, wait in zip((0.5, 1.0, 2.0), waits, strict=True):
        assert ceiling / 2 <= wait <= ceiling
    assert log[0] == f"Some/thing answered HTTP 503 (attempt 1); again in {waits[0]:.1f} s"
    assert len(log) == 3


def test_a_gateway_that_stays_broken() -> None:
    error, gateway = posting(503)
    assert (type(error), error.code) == (GatewayRefused, 503)
    assert len(gateway.asked) == 5
    error, gateway = posting(503, again=False)
    assert len(gateway.asked) == 1


def test_the_same_seed_waits_the_same() -> None:
    assert posting(503, seed=3)[1].times == posting(503, seed=3)[1].times != posting(503, seed=4)[1].times


def test_too_many_requests_waits_as_long_as_it_is_told() -> None:
    result, gateway = posting([(429, "", {"Retry-After": "20"}), {"number": 1}])
    assert result.number == 1
    assert gateway.times == [0.0, 20.0]


def test_too_many_requests_for_too_long() -> None:
    error, gateway = posting((429, "", {"Retry-After": "3600"}))
    assert (type(error), error.retry_after, len(gateway.asked)) == (TooManyRequests, 3600.0, 1)
    assert str(error) == "Some/thing wants fewer requests (HTTP 429, after 3600 s)"
    error, gateway = posting(429)
    assert (type(error), error.retry_after, len(gateway.asked)) == (TooManyRequests, None, 5)


def test_too_many_requests_of_one_makes_all_wait() -> None:
    gateway = Gateway({"Some/thing": [(429, "", {"Retry-After": "20"}), {"number": 1}], "Other/thing": {"number": 2}})
    gateway.any_token = True

    async def use(world: World) -> None:
        first = asyncio.create_task(world.rest.post("Some/thing", None, Number))
        await asyncio.sleep(1.0)
        await asyncio.gather(first, *(world.rest.post("Other/thing", None, Number) for _ in range(3)))
        assert gateway.times == [0.0, 20.0, 20.0, 20.0, 20.0]

    asking(gateway, use)


def test_never_faster_than_the_limits() -> None:
    gateway = Gateway({"Some/thing": {"number": 1}, "History/retrieveBars": {"bars": []}})
    gateway.any_token = True

    async def use(world: World) -> None:
        some = [world.rest.post("Some/thing", None, Number) for _ in range(250)]
        bars = [world.rest.post("History/retrieveBars", None, Number) for _ in range(70)]
        await asyncio.gather(*some, *bars)
        for endpoint, most, period in (("Some/thing", 200, 60.0), ("History/retrieveBars", 30, 30.0)):
            at = [asked.at for asked in gateway.asked if asked.endpoint == endpoint]
            assert all(last - first >= period for first, last in zip(at, at[most:], strict=False))
        assert world.now == pytest.approx(60.0, abs=0.1)
        assert [limiter.stats.granted for limiter in world.rest.limits] == [70, 250]

    asking(gateway, use)


def test_a_gateway_that_is_not_there() -> None:
    async def use(world: World) -> None:
        network, gateway = world.simulation.network, world.gateway
        network.refuse("api.test")
        with pytest.raises(Unreachable, match=r"^no connection to http://api.test:80: "):
            await world.rest.post("Some/thing", None, Number)
        network.heal("api.test")
        network.black_hole("api.test")
        began = world.now
        with pytest.raises(Unreachable, match=r"^http://api.test/api/Some/thing did not answer in 30 s$"):
            await world.rest.post("Some/thing", None, Number)
        # Four attempts of 30 s: a fifth would have begun after two minutes.
        assert 120.0 < world.now - began < 130.0
        network.heal("api.test")
        assert gateway.asked == []

    asking(Gateway(), use)


def test_a_wrong_host_and_a_wrong_certificate_are_one_line_each() -> None:
    async def use(world: World) -> None:
        network = world.simulation.network
        there = deployment("https://gw.test")
        transport = Transport(network.session, origins=there.origins)
        rest = Rest(transport, there, random=world.simulation.random)
        async with network.serve("gw.test", Gateway().app()):
            network.distrust("gw.test")
            with pytest.raises(TlsFailed) as caught:
                await rest.login(CREDENTIALS)
        assert "\n" not in str(caught.value)
        assert world.now == 0.0
        elsewhere = Rest(transport, deployment("https://other.test"), random=world.simulation.random)
        with pytest.raises(
            AddressRefused, match=r"^https://other.test:443 is not an allowed origin; allowed are https://gw.test:443$"
        ):
            await elsewhere.login(CREDENTIALS)
        await transport.close()

    asking(Gateway(), use)


def test_login() -> None:
    token, gateway = logging_in({"token": jwt(1)})
    assert token.reveal() == jwt(1)
    assert gateway.asked[0].body == {"userName": "somebody", "apiKey": KEY}
    assert gateway.asked[0].token is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            {"success": False, "errorCode": 3, "token": None},
            "the user or the key is wrong, or the key was revoked (errorCode 3)",
        ),
        ({"success": False, "errorCode": 1}, "no such user (errorCode 1)"),
        ({"success": False, "errorCode": 9}, "the account has no API subscription (errorCode 9)"),
        (403, "HTTP 403"),
    ],
)
def test_wrong_credentials_are_asked_about_once(answer: Any, why: str) -> None:
    error, gateway = logging_in(answer)
    assert type(error) is LoginRefused
    assert str(error) == f"api.test does not let this user in with this key: {why}"
    assert error.permanent
    assert len(gateway.asked) == 1


def test_wrong_credentials_by_status() -> None:
    error, gateway = logging_in(401)
    assert (type(error), len(gateway.asked)) == (LoginRefused, 1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"success": False, "errorCode": 8}, GatewayRefused),
        ({"success": False, "errorCode": 77}, GatewayRefused),
        ({"token": None}, ProtocolError),
        ({"token": ""}, ProtocolError),
        ({"token": 7}, ProtocolError),
        ((200, "pong"), ProtocolError),
    ],
)
def test_a_login_that_fails_for_another_reason(answer: Any, kind: type[FeedError]) -> None:
    error, gateway = logging_in(answer)
    assert (type(error), len(gateway.asked)) == (kind, 1)


def test_a_login_is_tried_again_where_that_helps() -> None:
    token, gateway = logging_in([503, {"token": jwt(1)}])
    assert (token.reveal(), len(gateway.asked)) == (jwt(1), 2)


@pytest.mark.parametrize(
    ("answer", "token"),
    [({"newToken": jwt(2)}, jwt(2)), ({"token": jwt(3)}, jwt(3)), ({"newToken": None}, jwt(1)), ({}, jwt(1))],
)
def test_validate(answer: Any, token: str) -> None:
    gateway = Gateway({"Auth/validate": answer})
    gateway.token = jwt(1)

    async def use(world: World) -> None:
        assert (await world.rest.validate(Secret(jwt(1)))).reveal() == token
        assert (gateway.asked[0].body, gateway.asked[0].token) == (None, jwt(1))

    asking(gateway, use)


@pytest.mark.parametrize("answer", [401, {"success": False, "errorCode": 1}])
def test_validate_says_no(answer: Any) -> None:
    gateway = Gateway({"Auth/validate": answer})
    gateway.any_token = True

    async def use(world: World) -> None:
        with pytest.raises(TokenRefused):
            await world.rest.validate(Secret(jwt(1)))

    asking(gateway, use)


def test_logout_is_asked_once() -> None:
    gateway = Gateway({"Auth/logout": [503, {}]})
    gateway.any_token = True

    async def use(world: World) -> None:
        with pytest.raises(GatewayRefused):
            await world.rest.logout(Secret(jwt(1)))
        await world.rest.logout(Secret(jwt(1)))
        assert gateway.endpoints == ["Auth/logout"] * 2

    asking(gateway, use)


def test_bad_arguments() -> None:
    async def use(world: World) -> None:
        with pytest.raises(ValueError, match="timeout must be more than 0, got 0"):
            Rest(world.transport, world.rest.deployment, random=world.simulation.random, timeout=0)

    asking(Gateway(), use, limits=Limits(Limit(1, "1s"), Limit(1, "1s")))
