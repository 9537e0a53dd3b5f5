"""The virtual loop: its time, its order, its threads that are none, and what it refuses."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rxfeed.testing import Deadlock, LimitReached, Livelock, NotSimulated, Simulation, VirtualLoop, simulate
from rxfeed.testing import loop as loops


def test_time_starts_at_0_and_jumps_to_the_next_timer() -> None:
    async def main(simulation: Simulation) -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        for delay in (0.1, 86_400 * 3, 1e-9):
            await asyncio.sleep(delay)
            times.append(loop.time())
        return times

    assert simulate(main) == [0.0, 0.1, 0.1 + 86_400 * 3, 0.1 + 86_400 * 3 + 1e-9]


def test_timers_of_one_instant_fire_in_the_order_in_which_they_were_set() -> None:
    async def main(simulation: Simulation) -> list[int]:
        fired: list[int] = []
        for number in range(50):
            simulation.loop.call_at(1.0, fired.append, number)
        simulation.loop.call_at(0.5, fired.append, -1)
        await asyncio.sleep(1)
        return fired

    assert simulate(main) == [-1, *range(50)]


def test_a_timer_is_never_early_and_a_year_is_no_limit() -> None:
    async def main(simulation: Simulation) -> None:
        loop = simulation.loop
        for _ in range(3):
            await asyncio.sleep(4e8)
            due = loop.time() + 1e-6
            await asyncio.sleep(1e-6)
            assert loop.time() >= due

    simulate(main)


def test_a_cancelled_timer_does_not_move_time() -> None:
    async def main(simulation: Simulation) -> float:
        for _ in range(500):
            simulation.loop.call_later(5, lambda: None).cancel()
        await asyncio.sleep(1)
        return simulation.loop.time()

    assert simulate(main) == 1.0


def test_what_would_be_a_thread_runs_inline_and_answers_in_the_next_turn() -> None:
    async def main(simulation: Simulation) -> None:
        order: list[str] = []

        def work() -> int:
            assert threading.current_thread() is threading.main_thread()
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            order.append("work")
            return 5

        async def other() -> None:
            order.append("other")

        task = asyncio.create_task(other())
        assert await asyncio.to_thread(work) == 5
        order.append("answer")
        await task
        assert order == ["work", "other", "answer"]
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.to_thread(next, iter(()))

    simulate(main)


def test_a_thread_whose_caller_was_cancelled_answers_nobody() -> None:
    async def main(simulation: Simulation) -> None:
        task = asyncio.create_task(asyncio.to_thread(lambda: 5))
        simulation.loop.call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    simulate(main)


@pytest.mark.parametrize(
    "ask",
    [
        lambda loop: loop.getaddrinfo("one.test", 80),
        lambda loop: loop.create_connection(asyncio.Protocol, "one.test", 80),
        lambda loop: loop.create_server(asyncio.Protocol, "127.0.0.1", 0),
        lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol),
        lambda loop: loop.sock_connect(None, ("127.0.0.1", 80)),
        lambda loop: loop.add_reader(0, print),
        lambda loop: loop.add_signal_handler(2, print),
        lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true"),
        lambda loop: loop.connect_read_pipe(asyncio.Protocol, None),
        lambda loop: asyncio.open_connection("one.test", 80),
        lambda loop: asyncio.create_subprocess_exec("true"),
    ],
)
def test_what_leaves_the_simulation_is_refused(ask: Callable[[VirtualLoop], Any]) -> None:
    async def main(simulation: Simulation) -> None:
        with pytest.raises(NotSimulated, match="a simulation has no"):
            await ask(simulation.loop)

    simulate(main)


def test_a_deadlock_says_who_waits_and_where() -> None:
    async def consumer(queue: asyncio.Queue[int]) -> int:
        return await queue.get()

    async def main(simulation: Simulation) -> int:
        return await asyncio.create_task(consumer(asyncio.Queue()), name="consumer of bars")

    with pytest.raises(Deadlock) as caught:
        simulate(main)
    text = str(caught.value)
    assert "consumer of bars: test_a_deadlock_says_who_waits_and_where.<locals>.consumer (test_loop.py:" in text
    assert "> Queue.get (queues.py:" in text
    assert "main (test_loop.py:" in text
    assert "waits for consumer of bars" in text


def test_a_sleep_without_end_is_a_deadlock() -> None:
    with pytest.raises(Deadlock):
        simulate(lambda simulation: asyncio.sleep(float("inf")))


def test_a_simulation_that_turns_without_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "TURNS_AT_ONE_TIME", 1000)

    async def main(simulation: Simulation) -> None:
        await asyncio.sleep(1)
        for _ in range(10**9):
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=r"1,000 turns at 1 s"):
        simulate(main)


def test_the_limit_names_what_has_not_ended() -> None:
    async def main(simulation: Simulation) -> None:
        for _ in range(10**9):
            await asyncio.sleep(60)

    with pytest.raises(LimitReached, match=r"may last 3600 s(.|\n)*Task-1: .*main"):
        simulate(main, limit="1h")


def test_tasks_are_named_and_hashed_by_their_number_on_this_loop() -> None:
    async def nothing() -> None:
        pass

    async def main(simulation: Simulation) -> tuple[list[str], list[str]]:
        tasks = [asyncio.create_task(nothing()) for _ in range(30)]
        of_a_set = {*tasks[15:], *tasks[:15]}
        await asyncio.gather(*tasks)
        return [task.get_name() for task in tasks], [task.get_name() for task in of_a_set]

    first = simulate(main)
    assert first == simulate(main)
    assert first[0] == [f"Task-{number}" for number in range(2, 32)]


def test_a_task_keeps_its_own_name_and_a_factory_is_respected() -> None:
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=loop, **options)
        made.append("one")
        return task

    async def main(simulation: Simulation) -> None:
        assert asyncio.create_task(asyncio.sleep(0), name="pump").get_name() == "pump"
        simulation.loop.set_task_factory(factory)
        task = asyncio.create_task(asyncio.sleep(0))
        assert task.get_name() == "Task-3"
        await task
        assert made == ["one"]

    simulate(main)


def test_a_time_that_is_no_number_is_refused() -> None:
    async def main(simulation: Simulation) -> None:
        with pytest.raises(ValueError, match="must be a number, got nan"):
            simulation.loop.call_at(float("nan"), print)

    simulate(main)
