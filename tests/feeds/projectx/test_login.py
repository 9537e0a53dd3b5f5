"""`Login`: one flight for all who ask, and a token no longer than it lives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxfeed.errors import FeedError, GatewayRefused, LoginRefused, TokenRefused, Unreachable
from rxfeed.events import ClockOff, TokenChanged, TokenFailed
from rxfeed.feeds.projectx import Credentials
from rxfeed.feeds.projectx import Gateway as Opened
from rxfeed.feeds.projectx.rest import Envelope
from rxfeed.secret import Secret
from rxfeed.testing import Simulation, simulate
from tests.feeds.projectx.gateway import DEPLOYMENT, KEY, Gateway, World, asking, jwt
from tests.loops import settle


def test_one_login_for_all_who_ask_at_once() -> None:
    gateway = Gateway()
    gateway.delay = 2.0

    async def use(world: World) -> None:
        tokens = await asyncio.gather(*(world.login.token() for _ in range(20)))
        assert {token.reveal() for token in tokens} == {gateway.token}
        assert (await world.login.token()).reveal() == gateway.token
        assert gateway.endpoints == ["Auth/loginKey"]
        assert (world.login.logins, world.now) == (1, 2.0)

    asking(gateway, use)


def test_who_is_cancelled_does_not_stop_it_for_the_others() -> None:
    gateway = Gateway()
    gateway.delay = 2.0

    async def use(world: World) -> None:
        tasks = [asyncio.create_task(world.login.token()) for _ in range(3)]
        await asyncio.sleep(1.0)
        tasks[0].cancel()  # it was the one that began
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert [isinstance(result, Secret) for result in results[1:]] == [True, True]
        assert len(gateway.asked) == 1

    asking(gateway, use)


def test_with_the_last_who_is_cancelled_the_login_ends_and_the_next_begins_anew() -> None:
    gateway = Gateway()
    gateway.delay = 2.0

    async def use(world: World) -> None:
        tasks = [asyncio.create_task(world.login.token()) for _ in range(3)]
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await settle()
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("rxfeed login")] == []
        token = await world.login.token()
        assert token.reveal() == gateway.token
        assert (gateway.times, world.now) == ([0.0, 1.0], 3.0)

    asking(gateway, use)


def test_wrong_credentials_are_never_tried_again() -> None:
    gateway = Gateway({"Auth/loginKey": {"success": False, "errorCode": 3}})
    gateway.delay = 1.0

    async def use(world: World) -> None:
        results = await asyncio.gather(*(world.login.token() for _ in range(10)), return_exceptions=True)
        results += await asyncio.gather(
            *(world.login.post("Some/thing", None, Envelope) for _ in range(10)), return_exceptions=True
        )
        assert {type(result) for result in results} == {LoginRefused}
        assert len({str(result) for result in results}) == 1
        assert len(gateway.asked) == 1

    asking(gateway, use)


def test_a_login_that_failed_otherwise_is_tried_by_the_next_call() -> None:
    gateway = Gateway({"Auth/loginKey": [{"success": False, "errorCode": 8}, {"token": jwt(1)}]})

    async def use(world: World) -> None:
        results = await asyncio.gather(*(world.login.token() for _ in range(3)), return_exceptions=True)
        assert [str(result) for result in results] == ["Auth/loginKey refused (errorCode 8)"] * 3
        assert (await world.login.token()).reveal() == jwt(1)
        assert world.login.logins == 2

    asking(gateway, use)


def test_a_token_lives_by_its_own_claims_on_the_loops_time() -> None:
    gateway = Gateway(life=60.0)
    gateway.delay = 1.0

    async def use(world: World) -> None:
        first = await world.login.token()
        held = world.login.held
        assert held is not None
        # It may have been made at once when it was asked for.
        assert (held.since, held.life, held.left(world.now)) == (0.0, 60.0, 59.0)
        await asyncio.sleep(58.5)
        assert await world.login.token() == first
        await asyncio.sleep(0.5)
        assert await world.login.token() != first
        assert gateway.times == [0.0, 60.0]

    asking(gateway, use)


def test_a_refused_token_is_replaced_once_for_all() -> None:
    gateway = Gateway({"Some/thing": {}})
    gateway.delay = 0.5

    async def use(world: World) -> None:
        await world.login.post("Some/thing", None, Envelope)
        gateway.issue()  # another session has begun, and ours is over
        await asyncio.gather(*(world.login.post("Some/thing", None, Envelope) for _ in range(5)))
        assert gateway.endpoints.count("Auth/loginKey") == 2
        assert gateway.endpoints.count("Some/thing") == 1 + 5 + 5

    asking(gateway, use)


def test_a_gateway_that_takes_no_token_at_all() -> None:
    gateway = Gateway({"Some/thing": 401})
    gateway.any_token = True

    async def use(world: World) -> None:
        with pytest.raises(TokenRefused):
            await world.login.post("Some/thing", None, Envelope)
        assert gateway.endpoints == ["Auth/loginKey", "Some/thing", "Auth/loginKey", "Some/thing"]

    asking(gateway, use)


def test_the_same_token_is_not_tried_twice() -> None:
    gateway = Gateway({"Some/thing": 401, "Auth/loginKey": {"token": jwt(1)}})
    gateway.any_token = True

    async def use(world: World) -> None:
        with pytest.raises(TokenRefused) as caught:
            await world.login.post("Some/thing", None, Envelope)
        assert gateway.endpoints == ["Auth/loginKey", "Some/thing", "Auth/loginKey"]
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    asking(gateway, use)


def test_forget_is_of_that_token_only() -> None:
    async def use(world: World) -> None:
        token = await world.login.token()
        world.login.forget(Secret("another"))
        assert await world.login.token() == token
        world.login.forget(token)
        assert await world.login.token() != token

    asking(Gateway(), use)


def test_closing_ends_a_login_under_way() -> None:
    gateway = Gateway()
    gateway.delay = 5.0

    async def use(world: World) -> None:
        waiting = [asyncio.create_task(world.login.token()) for _ in range(2)]
        await asyncio.sleep(1.0)
        await world.login.close()
        results: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(result) for result in results] == ["the login was given up, as its owner was closed"] * 2
        assert {type(result) for result in results} == {FeedError}
        assert world.login.held is None
        with pytest.raises(RuntimeError, match="closed"):
            await world.login.token()
        assert world.now == 1.0

    asking(gateway, use)


def test_closing_while_the_one_who_waits_is_cancelled() -> None:
    gateway = Gateway()
    gateway.delay = 5.0

    async def use(world: World) -> None:
        waiting = asyncio.create_task(world.login.token())
        await asyncio.sleep(1.0)
        closing = asyncio.create_task(world.login.close())
        waiting.cancel()
        await closing
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asking(gateway, use)


def test_an_unreachable_gateway_is_no_refusal() -> None:
    async def use(world: World) -> None:
        world.simulation.network.refuse("api.test")
        with pytest.raises(Unreachable):
            await world.login.token()
        world.simulation.network.heal("api.test")
        assert await world.login.token()

    asking(Gateway(), use)


# Over the wire, ahead of its end


DAY = 86_400.0


def kept(gateway: Gateway, use: Any, **more: Any) -> None:
    """Keep the token for nearly a day, and then use it."""

    async def main(world: World) -> None:
        await world.login.token()
        world.login.tokens.keep(lambda: None)
        await asyncio.sleep(DAY - 1)
        await use(world)

    asking(gateway, main, **more)


def auth(gateway: Gateway) -> list[str]:
    return [asked.endpoint.removeprefix("Auth/") for asked in gateway.asked if asked.endpoint.startswith("Auth/")]


def test_a_refresh_validates_with_the_old_token() -> None:
    gateway = Gateway({"Some/thing": {}})

    async def use(world: World) -> None:
        assert auth(gateway) == ["loginKey", "validate"]
        assert (gateway.asked[1].body, gateway.asked[1].token) == (None, jwt(1))
        assert (await world.login.token()).reveal() == gateway.token
        await world.login.post("Some/thing", None, Envelope)
        assert world.login.held is not None
        assert (world.login.held.how, world.login.logins) == ("validate", 1)
        assert [str(event) for event in world.told] == [
            "new token by login, good for 86400 s", "new token by validate, good for 86400 s",
        ]  # fmt: skip

    kept(gateway, use)


@pytest.mark.parametrize(
    "answer",
    [
        401,
        404,
        {"success": False, "errorCode": 1, "newToken": None},
        {"newToken": None},  # success, and no token: the old one goes on, which is no refresh
        {"newToken": jwt(1)},
        {"newToken": jwt(2, life=DAY)},  # its exp is the old one's
        {"newToken": jwt(2, life=DAY - 1)},
        {"newToken": 7},
        (200, "no JSON", {}),
    ],
)
def test_a_validate_that_gives_nothing_newer_is_followed_by_a_login(answer: Any) -> None:
    gateway = Gateway({"Auth/validate": answer})

    async def use(world: World) -> None:
        assert auth(gateway) == ["loginKey", "validate", "loginKey"]
        assert gateway.times[1] == gateway.times[2]
        assert (await world.login.token()).reveal() == gateway.token
        assert [type(event) for event in world.told] == [TokenChanged] * 2

    kept(gateway, use)


def test_a_validate_that_is_broken_is_asked_three_times_and_each_failure_told() -> None:
    gateway = Gateway({"Auth/validate": 503})

    async def use(world: World) -> None:
        assert auth(gateway) == ["loginKey", *["validate"] * 3, "loginKey"]
        failed = [event for event in world.told if isinstance(event, TokenFailed)]
        assert [event.text for event in failed] == ["Auth/validate answered HTTP 503"] * 3
        left = DAY - gateway.times[1]
        assert str(failed[0]) == f"the token could not be changed ({left:.0f} s left): Auth/validate answered HTTP 503"
        assert world.now - gateway.times[4] > 290

    kept(gateway, use)


def test_a_gateway_that_is_away_for_an_hour_is_asked_until_it_is_back() -> None:
    gateway = Gateway()

    async def use(world: World) -> None:
        world.simulation.network.refuse("api.test")
        await asyncio.sleep(DAY)
        failures = len(world.told)
        world.simulation.network.heal("api.test")
        await asyncio.sleep(31)
        assert isinstance(world.told[-1], TokenChanged)
        assert (await world.login.token()).reveal() == gateway.token
        assert failures < 3_000

    kept(gateway, use)


def test_a_gateway_that_is_broken_is_asked_five_times_to_let_us_in() -> None:
    gateway = Gateway({"Auth/loginKey": 503})

    async def use(world: World) -> None:
        with pytest.raises(GatewayRefused, match=r"^Auth/loginKey answered HTTP 503$"):
            await world.login.token()
        assert auth(gateway) == ["loginKey"] * 5

    asking(gateway, use)


def test_a_storm_of_401_is_one_login() -> None:
    gateway = Gateway({"Some/thing": {}})
    gateway.delay = 0.5

    async def use(world: World) -> None:
        await world.login.token()
        for _ in range(3):
            gateway.issue()
            await asyncio.gather(*(world.login.post("Some/thing", None, Envelope) for _ in range(20)))
        assert auth(gateway) == ["loginKey"] * 4

    asking(gateway, use)


def test_an_endpoint_that_refuses_every_token_costs_one_login_a_call() -> None:
    gateway = Gateway({"Some/thing": 401, "Other/thing": {}})

    async def use(world: World) -> None:
        for number in range(1, 4):
            results = await asyncio.gather(
                *(world.login.post("Some/thing", None, Envelope) for _ in range(20)), return_exceptions=True
            )
            assert {type(result) for result in results} == {TokenRefused}
            await world.login.post("Other/thing", None, Envelope)
            assert auth(gateway) == ["loginKey"] * (number + 1)

    asking(gateway, use)


@pytest.mark.parametrize(("skew", "text"), [(3_600.0, "3600 s behind"), (-3_600.0, "3600 s ahead of")])
def test_a_clock_that_is_an_hour_off_for_two_days(skew: float, text: str) -> None:
    gateway = Gateway()
    gateway.skew = skew

    async def use(world: World) -> None:
        await asyncio.sleep(DAY)
        assert auth(gateway) == ["loginKey", "validate", "validate"]
        assert [str(event) for event in world.told if isinstance(event, ClockOff)] == [
            f"this machine's clock is {text} the gateway's"
        ]

    kept(gateway, use)


def test_another_way_to_get_tokens() -> None:
    class Mine:
        asked: list[Secret | None] = []  # noqa: RUF012

        async def token(self, old: Secret | None) -> Secret:
            self.asked.append(old)
            return Secret(f"a-token-of-mine-{len(self.asked)}")

    async def main(simulation: Simulation) -> None:
        source = Mine()
        gateway = Opened(
            tokens=source, deployment=DEPLOYMENT, session=simulation.network.session, clock=simulation.clock,
            random=simulation.random,
        )  # fmt: skip
        scripted = Gateway({"Account/search": {"accounts": []}})
        scripted.token = "a-token-of-mine-1"
        async with simulation.network.serve("api.test", scripted.app()), gateway:
            assert await gateway.account_list() == []
            assert (source.asked, scripted.endpoints) == ([None], ["Account/search"])

    simulate(main)
    with pytest.raises(ValueError, match=r"^give credentials or tokens, not both$"):
        Opened(Credentials("somebody", Secret(KEY)), tokens=Mine(), deployment=DEPLOYMENT)
