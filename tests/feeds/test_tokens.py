"""`Tokens`: one request for all who ask, refreshed ahead of its end, with sources that fail in every way they can."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
import tenacity

from rxfeed.errors import FeedError, GatewayRefused, LoginRefused, ProtocolError, TlsFailed, TokenRefused, Unreachable
from rxfeed.events import ClockOff, Event, TokenChanged, TokenFailed
from rxfeed.feeds.retrying import Retries
from rxfeed.feeds.tokens import Tokens
from rxfeed.secret import Secret
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from tests.loops import settle

DAY = 86_400.0


def jwt(**claims: Any) -> Secret:
    return Secret(f"aGVhZA.{urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2lnbmF0dXJl")


class Source:
    """Gives tokens by the world's clock, each a new one, and what a test puts first."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.life = DAY
        self.skew = 0.0
        self.delay = 0.0
        self.next: list[Any] = []
        """What the next requests give: an error, "hang", a token, or a function that gives a token."""
        self.asked: list[tuple[float, Secret | None]] = []
        self.bell = asyncio.Event()
        self.busy = 0
        self.number = 0

    @property
    def how(self) -> list[str]:
        return ["login" if old is None else "validate" for _, old in self.asked]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.asked]

    def make(self, **more: Any) -> Secret:
        self.number += 1
        made = self._simulation.clock.now // SECOND + int(self.skew)
        return jwt(number=self.number, **({"iat": made, "exp": made + self.life} | more))

    async def token(self, old: Secret | None) -> Secret:
        self.asked.append((asyncio.get_running_loop().time(), old))
        self.bell.set()
        self.busy += 1
        assert self.busy == 1, "two requests at once"
        try:
            await asyncio.sleep(self.delay)
            given: Any = self.next.pop(0) if self.next else self.make
            if given == "hang":
                await asyncio.Event().wait()
            if isinstance(given, Exception):
                raise given
            token: Any = given() if callable(given) else given
            return token
        finally:
            self.busy -= 1


class World:
    def __init__(self, simulation: Simulation, source: Source, tokens: Tokens, told: list[Event]) -> None:
        self.simulation, self.source, self.tokens, self.told = simulation, source, tokens, told
        self.changes: list[float] = []

    @property
    def now(self) -> float:
        return self.simulation.loop.time()

    @property
    def warnings(self) -> list[str]:
        return [re.sub(r"^.*?:\w+:\d+ ", "", line.split("\n")[0]) for line in self.simulation.logs.lines if "WARNING" in line]

    def changed(self) -> None:
        self.changes.append(self.now)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


def world(use: Callable[[World], Awaitable[Any]], *, seed: int = 0, **options: Any) -> Any:
    async def main(simulation: Simulation) -> Any:
        told: list[Event] = []
        source = Source(simulation)
        given: dict[str, Any] = {"clock": simulation.clock, "random": simulation.random, "told": told.append} | options
        tokens = Tokens(source, **given)
        try:
            return await use(World(simulation, source, tokens, told))
        finally:
            await tokens.close()
            assert (tokens.held, len(tokens._tasks), source.busy) == (None, 0, 0)

    return simulate(main, seed=seed)


# Who asks


def test_a_hundred_askers_are_one_login() -> None:
    async def use(world: World) -> None:
        world.source.delay = 2.0
        tokens = await asyncio.gather(*(world.tokens.get() for _ in range(100)))
        assert len(set(tokens)) == 1
        assert (world.source.times, world.tokens.logins, world.now) == ([0.0], 1, 2.0)
        held = world.tokens.held
        assert held is not None
        assert (held.since, held.life, held.how, held.left(world.now)) == (0.0, DAY, "login", DAY - 2)
        assert (world.tokens.age, world.tokens.left, world.tokens.refreshes) == (2.0, DAY - 2, 0)
        assert [str(event) for event in world.told] == ["new token by login, good for 86400 s"]
        assert world.told[0].time == world.simulation.clock.now

    world(use)


def test_who_asks_during_a_refresh_gets_the_old_one_at_once() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.delay = 5.0
        await until_asked(world, 2)
        began = world.now
        assert set(await asyncio.gather(*(world.tokens.get() for _ in range(50)))) == {first}
        assert world.now == began
        await asyncio.sleep(6)
        assert await world.tokens.get() != first
        assert world.source.how == ["login", "validate"]

    world(use)


def test_who_asks_while_a_refresh_of_a_dead_token_is_under_way_gets_what_comes_of_it() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.delay = 5.0
        await until_asked(world, 2)
        world.tokens.forget(first)
        tokens = await asyncio.gather(*(world.tokens.get() for _ in range(50)))
        assert (len(set(tokens)), first in tokens, world.source.how) == (1, False, ["login", "validate"])
        # And where the attempt fails, he logs in and is not told of it.
        await until_asked(world, 3)
        world.source.next = [Unreachable("gone")]
        world.tokens.forget(tokens[0])
        again = await asyncio.gather(*(world.tokens.get() for _ in range(50)))
        assert (len(set(again)), world.source.how) == (1, ["login", "validate", "validate", "login"])
        assert world.tokens.logins == 2

    world(use)


async def until_asked(world: World, times: int) -> None:
    while len(world.source.asked) < times:
        world.source.bell.clear()
        await world.source.bell.wait()


def test_an_asker_who_is_cancelled_stops_nobody_and_the_last_one_stops_it() -> None:
    async def use(world: World) -> None:
        world.source.delay = 2.0
        asking = [asyncio.create_task(world.tokens.get()) for _ in range(3)]
        await asyncio.sleep(1)
        asking[0].cancel()
        await asyncio.wait(asking)
        assert [task.cancelled() for task in asking] == [True, False, False]
        world.tokens.forget(asking[1].result())
        asking = [asyncio.create_task(world.tokens.get()) for _ in range(3)]
        await asyncio.sleep(1)
        for task in asking:
            task.cancel()
        await settle()
        assert world.source.busy == 0
        await world.tokens.get()
        assert world.source.times == [0.0, 2.0, 3.0]

    world(use)


def test_who_asks_as_soon_as_the_last_one_has_gone_begins_anew() -> None:
    async def use(world: World) -> None:
        async def twice() -> Secret:
            try:
                return await world.tokens.get()
            except asyncio.CancelledError:
                return await world.tokens.get()  # in the turn in which the request is being cancelled

        world.source.next = ["hang"]
        asking = asyncio.create_task(twice())
        await settle()
        asking.cancel()
        assert await asking
        assert len(world.source.asked) == 2

    world(use)


def test_a_login_is_tried_again_and_ends_in_one_error() -> None:
    async def use(world: World) -> None:
        world.source.next = [Unreachable(f"attempt {number}") for number in range(1, 7)]
        results = await asyncio.gather(*(world.tokens.get() for _ in range(100)), return_exceptions=True)
        assert {str(result) for result in results} == {"attempt 5"}
        assert (len(world.source.asked), world.tokens.logins) == (5, 1)
        assert [line.split(";")[0] for line in world.warnings] == [f"attempt {n} (attempt {n})" for n in range(1, 5)]
        assert await world.tokens.get()  # the sixth failed too; the policy began anew
        assert (len(world.source.asked), world.tokens.logins) == (7, 2)

    world(use)


def test_a_login_that_hangs_times_out() -> None:
    async def use(world: World) -> None:
        world.source.next = ["hang"] * 2
        retries = Retries(tenacity.retry_if_exception_type(Unreachable), tenacity.wait_fixed(1), tenacity.stop_after_attempt(2))
        tokens = Tokens(
            world.source, clock=world.simulation.clock, random=world.simulation.random, retries=retries, timeout="10s"
        )
        with pytest.raises(Unreachable, match=r"^no token came within 10 s$") as caught:
            await tokens.get()
        assert (world.now, caught.value.__context__, caught.value.__cause__) == (21.0, None, None)
        await tokens.close()

    world(use)


def test_who_is_not_let_in_never_asks_again() -> None:
    async def use(world: World) -> None:
        world.source.next = [LoginRefused("no such user")]
        for _ in range(2):
            results = await asyncio.gather(*(world.tokens.get() for _ in range(10)), return_exceptions=True)
            assert {(type(result), str(result)) for result in results} == {(LoginRefused, "no such user")}
        assert len(world.source.asked) == 1

    world(use)


def test_a_refused_token_is_never_given_again() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.forget(Secret("another"))
        assert await world.tokens.get() == first
        for _ in range(3):  # each of those whom it was refused to
            world.tokens.forget(first)
        assert world.tokens.held is world.tokens.left is world.tokens.age is None
        world.source.next = [first]
        with pytest.raises(TokenRefused, match=r"^the login gives the token again that was refused \(HTTP 401\)$"):
            await world.tokens.get()
        assert await world.tokens.get() != first
        assert len(world.source.asked) == 3

    world(use)


def test_a_token_whose_session_has_ended_may_come_again() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.forget(first, refused=False)
        world.source.next = [first]
        assert await world.tokens.get() == first
        assert len(world.source.asked) == 2

    world(use)


def test_what_a_source_gives_that_is_no_secret_is_refused() -> None:
    async def use(world: World) -> None:
        world.source.next = ["text", None]
        with pytest.raises(TypeError, match=r"^a TokenSource must give a Secret, got str$"):
            await world.tokens.get()
        with pytest.raises(TypeError, match=r"^a TokenSource must give a Secret, got NoneType$"):
            await world.tokens.get()

    world(use)


@pytest.mark.parametrize("name", ["timeout", "ahead"])
def test_bad_arguments(name: str) -> None:
    async def use(_: World) -> None: ...

    for value, text in ((0, "be more than 0, got 0"), ("soon", 'look like "250ms"')):
        given: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"^{name} must {text}"):
            world(use, **given)


# Ahead of its end


def test_nobody_keeps_it_and_nothing_is_refreshed() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        await asyncio.sleep(DAY - 0.5)
        assert await world.tokens.get() == first
        await asyncio.sleep(0.5)
        assert await world.tokens.get() != first
        assert world.source.how == ["login", "login"]

    world(use)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("life", "earliest", "latest"), [(DAY, 600, 300), (3_600, 600, 300), (600, 240, 120), (60, 24, 12)])
def test_it_is_refreshed_ahead_of_its_end_with_jitter(life: float, earliest: float, latest: float, seed: int) -> None:
    async def use(world: World) -> None:
        world.source.life = life
        await world.tokens.get()
        world.tokens.keep(world.changed)
        await until_asked(world, 5)
        await asyncio.sleep(0.1)
        lives = [after - before for before, after in pairwise(world.source.times)]
        assert all(life - earliest <= lived <= life - latest for lived in lives)
        assert len(set(lives)) == 4
        assert world.source.how == ["login"] + ["validate"] * 4
        assert world.changes == world.source.times[1:]
        assert (world.tokens.refreshes, world.tokens.logins) == (4, 1)
        assert [event.how for event in world.of(TokenChanged)] == world.source.how
        assert world.warnings == []

    world(use, seed=seed)


def test_all_who_keep_it_are_told_once_and_none_costs_the_others() -> None:
    async def use(world: World) -> None:
        heard: list[str] = []

        def raises() -> None:
            heard.append("raises")
            raise ValueError("no")

        await world.tokens.get()
        world.tokens.keep(lambda: heard.append("first"))
        world.tokens.keep(raises)
        world.tokens.keep(lambda: heard.append("last"))
        gone = world.tokens.keep(lambda: heard.append("gone"))
        gone.dispose()
        gone.dispose()
        await asyncio.sleep(DAY)
        assert heard == ["first", "raises", "last"]
        assert "raises raised in on_next; its subscription has ended" in world.simulation.logs.text
        assert len(world.source.asked) == 2

    world(use)


def test_nothing_goes_on_when_the_last_who_keeps_it_is_gone() -> None:
    async def use(world: World) -> None:
        await world.tokens.get()
        kept = [world.tokens.keep(world.changed) for _ in range(2)]
        kept[0].dispose()
        world.source.next = ["hang"]
        await until_asked(world, 2)
        kept[1].dispose()  # in the middle of a refresh
        await settle()
        assert world.source.busy == 0
        await asyncio.sleep(10 * DAY)
        assert len(world.source.asked) == 2
        again = world.tokens.keep(world.changed)
        await world.tokens.get()
        await asyncio.sleep(DAY)
        assert len(world.source.asked) == 4
        again.dispose()
        # Gone and back before the end of the refresh has been noted.
        again = world.tokens.keep(world.changed)
        world.source.next = ["hang"]
        await until_asked(world, 5)
        again.dispose()
        world.tokens.keep(world.changed)
        await asyncio.sleep(10)
        assert len(world.source.asked) == 6

    world(use)


def test_who_keeps_it_may_end_that_when_told() -> None:
    async def use(world: World) -> None:
        await world.tokens.get()
        kept: list[Any] = []

        def changed() -> None:
            kept.pop().dispose()
            kept.append(world.tokens.keep(changed))
            world.changed()

        kept.append(world.tokens.keep(changed))
        await asyncio.sleep(3 * DAY)
        assert len(world.changes) == 3

    world(use)


def test_keeping_what_is_already_due_refreshes_now() -> None:
    async def use(world: World) -> None:
        await world.tokens.get()
        await asyncio.sleep(DAY - 10)
        world.tokens.keep(world.changed)
        await asyncio.sleep(0.1)
        assert world.source.times == [0.0, DAY - 10]

    world(use)


def test_a_refresh_that_hangs_times_out_and_is_tried_again() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.next = ["hang", "hang"]
        await until_asked(world, 3)
        assert await world.tokens.get() == first
        await until_asked(world, 4)
        await asyncio.sleep(0.1)
        failed = world.of(TokenFailed)
        assert [event.text for event in failed] == ["no token came within 30 s"] * 2
        assert failed[0].left == pytest.approx(DAY - world.source.times[1] - 30)
        assert str(failed[0]) in world.warnings
        assert (world.source.how, len(world.changes)) == (["login"] + ["validate"] * 3, 1)
        assert await world.tokens.get() != first

    world(use)


@pytest.mark.parametrize("error", [Unreachable("gone"), GatewayRefused("HTTP 503", 503), TlsFailed("proxy"), ValueError("bug")])
@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_a_refresh_that_fails_is_tried_again_and_then_by_login(error: Exception, times: int) -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.next = [error] * times
        await until_asked(world, 2 + times)
        assert await world.tokens.get() == first or world.changes
        await asyncio.sleep(0.1)
        assert [event.text for event in world.of(TokenFailed)] == [str(error)] * times
        assert world.source.how == (["login"] + ["validate"] * 3 + ["login"] * 9)[: 2 + times]
        assert all(after - before >= 1 for before, after in pairwise(world.source.times))
        assert len(world.changes) == 1
        assert world.now < DAY

    world(use)


def test_a_refresh_that_fails_past_the_end_goes_on() -> None:
    async def use(world: World) -> None:
        await world.tokens.get()
        world.tokens.keep(world.changed)
        await asyncio.sleep(DAY - 601)
        world.source.next = [Unreachable("gone")] * 1_000
        await asyncio.sleep(2 * 3_600)
        failed = world.of(TokenFailed)
        assert failed[-1].left == 0.0
        assert 200 < len(failed) < 400  # one in half a minute at most, but for the first few
        world.source.next = []
        await asyncio.sleep(31)
        assert (len(world.changes), world.tokens.refreshes) == (1, 1)
        assert world.tokens.left == pytest.approx(DAY, abs=31)

    world(use)


def test_who_gets_a_token_while_a_refresh_waits_has_refreshed_it() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.next = [Unreachable("gone")] * 6
        await until_asked(world, 7)
        world.tokens.forget(first)
        await world.tokens.get()
        assert len(world.changes) == 1
        await asyncio.sleep(3_600)
        assert (len(world.source.asked), len(world.changes)) == (8, 1)

    world(use)


def test_who_is_no_longer_let_in_keeps_the_old_one_to_its_end() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.next = [LoginRefused("the key was revoked")]
        await until_asked(world, 2)
        await asyncio.sleep(60)
        assert await world.tokens.get() == first
        assert [event.text for event in world.of(TokenFailed)] == ["the key was revoked"]
        await asyncio.sleep(DAY)
        with pytest.raises(LoginRefused, match=r"^the key was revoked$"):
            await world.tokens.get()
        assert len(world.source.asked) == 2

    world(use)


@pytest.mark.parametrize(
    "answer",
    [TokenRefused("HTTP 401"), GatewayRefused("HTTP 404", 404), ProtocolError("not JSON"), "same", "no later", "refused"],
)
def test_a_refresh_that_gives_nothing_newer_logs_in(answer: Any) -> None:
    async def use(world: World) -> None:
        refused = world.source.make(exp=world.simulation.clock.now // SECOND + int(9 * DAY))
        world.source.next = [refused]
        await world.tokens.get()
        world.tokens.forget(refused)
        first = await world.tokens.get()
        ends = world.simulation.clock.now // SECOND + int(DAY)
        made = {"same": first, "refused": refused, "no later": lambda: world.source.make(exp=ends)}
        world.source.next = [made.get(answer, answer) if isinstance(answer, str) else answer]
        world.tokens.keep(world.changed)
        await until_asked(world, 4)
        await asyncio.sleep(0.1)
        assert world.source.how == ["login", "login", "validate", "login"]
        assert world.source.times[2] == world.source.times[3]
        assert len(world.changes) == 1
        assert await world.tokens.get() not in (first, refused)
        assert world.of(TokenFailed) == []

    world(use)


def test_a_token_that_is_refused_when_it_is_to_be_refreshed_is_given_no_more() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.next = [TokenRefused("HTTP 401"), Unreachable("gone")]
        await until_asked(world, 3)
        await asyncio.sleep(0.1)
        assert world.tokens.held is None
        assert [(event.text, event.left) for event in world.of(TokenFailed)] == [("gone", 0.0)]
        assert await world.tokens.get() != first
        assert world.source.how == ["login", "validate", "login", "login"]

    world(use)


def test_who_keeps_it_too_during_a_refresh_begins_no_other() -> None:
    async def use(world: World) -> None:
        await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.next = ["hang"]
        await until_asked(world, 2)
        world.tokens.keep(world.changed)
        await asyncio.sleep(60)
        assert (len(world.of(TokenFailed)), len(world.source.asked), len(world.changes)) == (1, 3, 2)

    world(use)


def test_a_login_that_gives_the_same_token_again_has_not_prolonged_it() -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        world.source.next = [first] * 1_000
        world.tokens.keep(world.changed)
        await asyncio.sleep(DAY + 1)
        assert {event.text for event in world.of(TokenFailed)} == {"the login gives the same token again, and no newer one"}
        assert (world.changes, len(world.of(TokenChanged))) == ([], 1)
        assert world.tokens.left is not None
        assert world.tokens.left < 0
        assert len(world.source.asked) < 60
        assert await world.tokens.get() == first  # it is the gateway's to judge
        world.source.next = []
        await asyncio.sleep(31)
        assert len(world.changes) == 1

    world(use)


def test_a_token_that_never_changes_and_says_nothing_is_no_failure() -> None:
    async def use(world: World) -> None:
        world.source.next = [Secret("an-opaque-key")] * 1_000
        await world.tokens.get()
        world.tokens.keep(world.changed)
        await asyncio.sleep(30 * DAY)
        assert (world.changes, len(world.told)) == ([], 1)
        assert 30 <= len(world.source.asked) / 2 <= 32  # validate, then login
        assert len(world.warnings) == 1

    world(use)


def test_tokens_that_all_end_at_the_same_time_are_not_asked_for_without_end() -> None:
    async def use(world: World) -> None:
        ends = world.simulation.clock.now // SECOND + int(DAY)

        def fixed() -> Secret:
            now = world.simulation.clock.now // SECOND
            return world.source.make(exp=ends if now < ends else ends + int(DAY))

        world.source.next = [fixed] * 1_000
        await world.tokens.get()
        world.tokens.keep(world.changed)
        await asyncio.sleep(DAY + 3_600)
        assert len(world.source.asked) < 40
        assert world.tokens.left == pytest.approx(DAY - 3_600, abs=2)

    world(use)


def test_thirty_days_are_thirty_refreshes() -> None:
    async def use(world: World) -> None:
        world.tokens.keep(world.changed)  # before there is any
        await world.tokens.get()
        await asyncio.sleep(30 * DAY)
        assert (world.source.how, len(world.changes)) == (["login"] + ["validate"] * 30, 30)

    world(use)


def test_the_same_seed_refreshes_at_the_same_times() -> None:
    async def use(world: World) -> list[float]:
        await world.tokens.get()
        world.tokens.keep(world.changed)
        await asyncio.sleep(5 * DAY)
        return world.source.times

    assert world(use, seed=3) == world(use, seed=3)
    assert world(use, seed=3) != world(use, seed=4)


# Closing


@pytest.mark.parametrize("when", ["refresh", "wait"])
def test_closing_during_a_refresh_leaves_nothing(when: str) -> None:
    async def use(world: World) -> None:
        first = await world.tokens.get()
        kept = world.tokens.keep(world.changed)
        world.source.next = ["hang" if when == "refresh" else Unreachable("gone")]
        await until_asked(world, 2)
        world.tokens.forget(first)
        waiting = [asyncio.create_task(world.tokens.get()) for _ in range(3)] if when == "refresh" else []
        await settle()
        before = world.now
        await world.tokens.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {str(result) for result in results} <= {"the refresh was given up, as its owner was closed"}
        assert {type(result) for result in results} <= {FeedError}
        assert world.now == before
        assert len(world.of(TokenFailed)) == (when == "wait")
        with pytest.raises(RuntimeError, match=r"^Tokens\(tokens\) is closed$"):
            await world.tokens.get()
        with pytest.raises(RuntimeError, match="is closed"):
            world.tokens.keep(world.changed)
        kept.dispose()
        await world.tokens.close()

    world(use)


# What is odd


ODD = {
    "no exp": (lambda now: jwt(iat=now), "the token does not say when it ends (no exp): 24 h are assumed"),
    "no iat": (lambda now: jwt(exp=now + 60), "the token does not say when it was made (no iat): 24 h are assumed"),
    "past": (lambda now: jwt(iat=now, exp=now - 5), "the token ends before it begins (exp - iat is -5 s): 24 h are assumed"),
    "opaque": (
        lambda now: Secret(f"opaque-{now}"), "the token is not a JWT, so it does not say how long it lives: 24 h are assumed"
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_a_token_that_does_not_say_how_long_it_lives_is_said_once(odd: str) -> None:
    make, text = ODD[odd]

    async def use(world: World) -> None:
        world.source.next = [lambda: make(world.simulation.clock.now // SECOND)] * 100
        await world.tokens.get()
        assert world.tokens.left == DAY
        world.tokens.keep(world.changed)
        await asyncio.sleep(5 * DAY)
        assert world.warnings == [text]
        assert len(world.source.asked) == 6
        assert world.of(ClockOff) == []

    world(use)


def test_a_token_that_is_over_when_it_comes_is_given_all_the_same_and_not_asked_for_without_end() -> None:
    async def use(world: World) -> None:
        world.source.life, world.source.delay = 1.0, 2.0
        assert await world.tokens.get()
        assert world.warnings == ["the token was over when it came: it lives 1 s, and took 2.0 s to come"]
        world.tokens.keep(world.changed)
        await asyncio.sleep(70)
        assert len(world.source.asked) == 11
        assert len(world.warnings) == 1

    world(use)


@pytest.mark.parametrize(
    ("skew", "text"),
    [
        (-3_600.0, "this machine's clock is 3600 s ahead of the gateway's"),
        (3_600.0, "this machine's clock is 3600 s behind the gateway's"),
        (-40 * DAY, "this machine's clock is 3456000 s ahead of the gateway's"),
    ],
)
@pytest.mark.parametrize("life", [DAY, 3_600.0, 600.0])
def test_a_clock_that_is_off_is_said_once_and_refreshes_no_more_often(skew: float, text: str, life: float) -> None:
    async def use(world: World) -> list[float]:
        world.source.skew, world.source.life = skew, life
        await world.tokens.get()
        world.tokens.keep(world.changed)
        await asyncio.sleep(2 * DAY)
        assert [str(event) for event in world.of(ClockOff)] == [text] == world.warnings
        assert world.tokens.logins == 1
        return world.source.times

    async def right(world: World) -> list[float]:
        world.source.life = life
        await world.tokens.get()
        world.tokens.keep(world.changed)
        await asyncio.sleep(2 * DAY)
        return world.source.times

    assert world(use) == world(right)


def test_a_clock_is_said_to_be_off_once_per_change() -> None:
    async def use(world: World) -> None:
        for skew in (0, 59, -59, 61, 65, 110, 130, 0, -3_600, -3_610, 0, -3_600):
            world.source.skew = skew
            world.tokens.forget(await world.tokens.get())
        assert [event.seconds for event in world.of(ClockOff)] == [-61, -130, 3_600, 3_600]

    world(use)


def test_a_slow_request_says_nothing_about_the_clock() -> None:
    async def use(world: World) -> None:
        made = world.source.make()
        world.source.next = [made]
        world.source.delay = 100.0
        await world.tokens.get()
        assert world.told == world.of(TokenChanged)

    world(use, timeout="200s")


def test_no_text_holds_a_token_or_what_a_source_says_of_it() -> None:
    async def use(world: World) -> None:
        secret = await world.tokens.get()
        world.tokens.keep(world.changed)
        world.source.next = [ValueError(f"cannot use {secret.reveal()}"), "hang"]
        await until_asked(world, 3)
        texts = [repr(world.tokens), repr(vars(world.tokens)), *map(repr, world.told), *map(str, world.told), *world.warnings]
        texts += [repr(task) for task in asyncio.all_tasks()]
        assert [event.text for event in world.of(TokenFailed)] == ["cannot use ***"]
        assert [text for text in texts if secret.reveal()[:20] in text] == []
        assert {task.get_name() for task in asyncio.all_tasks()} >= {"rxfeed tokens: refresh", "rxfeed tokens: refresh ahead"}

    world(use)
