"""Logs at the simulation's time; and the user's own loguru as it was."""

import asyncio
import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from rxfeed.testing import Logs, Simulation, simulate


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """What a sink of the user's own hears."""
    stream = io.StringIO()
    number = logger.add(stream, format="{time:YYYY-MM-DD HH:mm:ss.SSS!UTC} {elapsed} {message}", level="INFO")
    yield stream
    logger.remove(number)


def core() -> Any:
    return logger._core  # pyright: ignore[reportAttributeAccessIssue]


def test_lines_have_the_simulations_time_and_all_levels() -> None:
    async def main(simulation: Simulation) -> str:
        logger.trace("first")
        await asyncio.sleep(1.5)
        await asyncio.to_thread(logger.warning, "second {}", 5)
        return simulation.logs.text

    first, second = simulate(main).splitlines()
    assert first.startswith("2026-01-05T14:30:00Z TRACE    ")
    assert first.endswith(" first")
    assert second.startswith("2026-01-05T14:30:01.5Z WARNING  ")
    assert second.endswith(" second 5")


def test_an_exception_is_told_without_the_values_of_variables() -> None:
    async def main(simulation: Simulation) -> str:
        token = "a-token"  # noqa: F841
        try:
            raise LookupError("gone")
        except LookupError:
            logger.exception("failed")
        return simulation.logs.text

    text = simulate(main)
    assert "LookupError: gone" in text
    assert text.count("a-token") == 0


def test_the_users_sinks_see_the_simulations_time_while_it_runs(heard: io.StringIO) -> None:
    async def main(simulation: Simulation) -> None:
        await asyncio.sleep(90)
        logger.info("inside")

    simulate(main)
    logger.info("outside")
    inside, outside = heard.getvalue().splitlines()
    assert inside == "2026-01-05 14:31:30.000 0:01:30 inside"
    assert not outside.startswith("2026-01-05")


def test_another_thread_keeps_its_own_time(heard: io.StringIO) -> None:
    async def main(simulation: Simulation) -> list[str]:
        thread = threading.Thread(target=logger.info, args=("elsewhere",))
        thread.start()
        thread.join()
        return simulation.logs.lines

    assert simulate(main) == []
    assert not heard.getvalue().startswith("2026-01-05")


def test_loguru_is_as_it_was_afterwards() -> None:
    def mine(record: Any) -> None:
        record["extra"]["mine"] = True

    for patcher in (None, mine):
        core().patcher = patcher
        try:
            before = dict(core().handlers)
            seen: list[Any] = []

            async def main(simulation: Simulation, seen: list[Any] = seen) -> None:
                logger.add(lambda message: seen.append(message.record["extra"]), level="INFO")
                logger.info("inside")
                raise LookupError

            with pytest.raises(LookupError):
                simulate(main)
            assert seen == [{} if patcher is None else {"mine": True}]
            assert core().patcher is patcher
            (added,) = core().handlers.keys() - before.keys()
            logger.remove(added)
        finally:
            core().patcher = None


def test_only_the_newest_lines_are_kept_and_all_are_counted() -> None:
    logs = Logs(most=3)
    for number in range(5):
        logs.add(f"{number}\n")
    assert (logs.text, logs.count) == ("2\n3\n4\n", 5)
