"""`from_async_iter`: an async iterable as a source, and that nothing of it is left whoever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import pytest
from reactivex import operators as rxo

from rxfeed import operators as ops
from tests.builders import Recorder
from tests.loops import run, settle, tasks, until


class Numbers:
    """Makes generators of numbers, and knows how many were begun and ended."""

    def __init__(self, upto: int = 5, *, waiting: bool = True, last: Exception | None = None) -> None:
        self.upto, self.waiting, self.last = upto, waiting, last
        self.begun = self.ended = self.at = 0

    def __call__(self) -> AsyncIterator[int]:
        return self._numbers()

    async def _numbers(self) -> AsyncIterator[int]:
        self.begun += 1
        try:
            for n in range(self.upto):
                self.at = n
                if self.waiting:
                    await asyncio.sleep(0)
                yield n
            if self.last is not None:
                raise self.last
        finally:
            await asyncio.sleep(0)  # a clean-up that awaits is to come to its end too
            await asyncio.sleep(0)
            self.ended += 1


class Again:
    """An iterable that makes a new iterator each time."""

    def __aiter__(self) -> AsyncIterator[int]:
        return Numbers(3)()


class Steps:
    """A plain iterator without `aclose`."""

    def __init__(self) -> None:
        self.n = 0

    def __aiter__(self) -> Steps:
        return self

    async def __anext__(self) -> int:
        self.n += 1
        if self.n > 3:
            raise StopAsyncIteration
        return self.n


@pytest.mark.parametrize("waiting", [True, False])
def test_each_subscription_iterates_by_itself(waiting: bool) -> None:
    async def main() -> None:
        numbers = Numbers(waiting=waiting)
        source = ops.from_async_iter(numbers)
        first, second = Recorder().to(source), Recorder().to(source)
        assert sorted(tasks()) == ["rxfeed from_async_iter"] * 2
        assert first.elements == []
        await until(lambda: first.completed and second.completed)
        assert first.elements == second.elements == [0, 1, 2, 3, 4]
        assert (numbers.begun, numbers.ended) == (2, 2)

    run(main)


def test_an_iterable_that_makes_iterators_may_be_subscribed_to_again() -> None:
    async def main() -> None:
        source = ops.from_async_iter(Again())
        for _ in range(2):
            got = Recorder().to(source)
            await until(lambda got=got: got.completed)
            assert got.elements == [0, 1, 2]

    run(main)


@pytest.mark.parametrize("make", [lambda: Numbers(3)(), Steps], ids=["generator", "iterator"])
def test_what_can_be_iterated_once_can_be_subscribed_to_once(make: Callable[[], AsyncIterable[int]]) -> None:
    async def main() -> None:
        source = ops.from_async_iter(make())
        first, second = Recorder().to(source), Recorder().to(source)
        assert isinstance(second.error, RuntimeError)
        assert "was iterated already, and can be only once; give the function that makes it" in str(second.error)
        await until(lambda: first.completed)
        assert len(first.elements) == 3
        assert isinstance(Recorder().to(source).error, RuntimeError)

    run(main)


def test_a_generator_that_is_over_is_no_empty_stream() -> None:
    async def main() -> None:
        numbers = Numbers(2)()
        assert [n async for n in numbers] == [0, 1]
        got = Recorder().to(ops.from_async_iter(numbers))
        assert "this async_generator was iterated already" in str(got.error)

    run(main)


def test_an_error_comes_after_the_elements_and_after_the_clean_up() -> None:
    async def main() -> None:
        wrong = ValueError("x")
        numbers = Numbers(2, last=wrong)
        got = Recorder().to(ops.from_async_iter(numbers))
        await until(lambda: got.error)
        assert (got.elements, got.error, numbers.ended) == ([0, 1], wrong, 1)

    run(main)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: 5, "the function must return an async iterable, got int"),
        (lambda: asyncio.sleep(0), "the function must return an async iterable, got coroutine"),
        (lambda: {}[0], "0"),
    ],
)
def test_a_function_that_makes_something_else_is_the_stream_s_error(make: Any, text: str) -> None:
    async def main() -> None:
        got = Recorder().to(ops.from_async_iter(make))
        await until(lambda: got.error)
        assert text in str(got.error)

    run(main)


def test_no_loop_is_a_clear_error() -> None:
    got = Recorder().to(ops.from_async_iter(Numbers()))
    assert isinstance(got.error, RuntimeError)
    assert str(got.error).startswith("from_async_iter needs a running asyncio loop: use it in an async function")


@pytest.mark.parametrize("wrong", [[1, 2], None, 5])
def test_refuses_bad_arguments(wrong: Any) -> None:
    text = f"from_async_iter takes an async iterable or a function that makes one, got {type(wrong).__name__}"
    with pytest.raises(TypeError, match=text):
        ops.from_async_iter(wrong)


# --- its end


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize("turns", range(8))
def test_dispose_ends_task_and_generator_wherever_they_are(turns: int, waiting: bool) -> None:
    async def main() -> None:
        numbers = Numbers(1_000_000, waiting=waiting)
        got = Recorder().to(ops.from_async_iter(numbers))
        await settle(turns)
        got.subscription.dispose()
        seen = len(got.elements)
        got.subscription.dispose()
        await settle()
        assert tasks() == []
        assert (len(got.elements), got.completed, got.error) == (seen, False, None)
        assert numbers.begun == numbers.ended == (1 if turns else 0)

    run(main)


def test_an_element_may_dispose_of_it_and_the_clean_up_still_comes_to_its_end() -> None:
    async def main() -> None:
        numbers = Numbers(1_000_000, waiting=False)
        got = Recorder().to(ops.from_async_iter(numbers).pipe(rxo.take(2)))
        await settle(3)
        assert (got.elements, got.completed) == ([0, 1], True)
        await settle()
        assert (numbers.ended, numbers.at, tasks()) == (1, 1, [])

    run(main)


def test_a_generator_that_catches_its_cancellation_emits_nothing_more() -> None:
    async def main() -> None:
        ended: list[int] = []

        async def stubborn() -> AsyncIterator[int]:
            try:
                while True:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
                    yield 1
            finally:
                ended.append(1)

        got = Recorder().to(ops.from_async_iter(stubborn))
        await settle()
        got.subscription.dispose()
        await settle()
        assert (got.elements, ended, tasks()) == ([], [1], [])

    run(main)


def test_cancelled_from_outside_it_ends_quietly() -> None:
    async def main() -> None:
        numbers = Numbers(1_000_000)
        got = Recorder().to(ops.from_async_iter(numbers))
        await settle(5)
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "rxfeed from_async_iter"]
        task.cancel()
        await settle()
        assert task.cancelled()
        assert (got.completed, got.error, numbers.ended) == (False, None, 1)

    run(main)


def test_an_iterator_that_was_cancelled_inside_is_an_error_and_not_silence() -> None:
    async def main() -> None:
        other = asyncio.ensure_future(asyncio.Event().wait())

        async def lean() -> AsyncIterator[int]:
            yield 1
            await other

        got = Recorder().to(ops.from_async_iter(lean))
        await settle()
        other.cancel()
        await settle()
        assert got.elements == [1]
        assert "the iterator raised CancelledError, but nobody had cancelled it" in str(got.error)

    run(main)


def test_a_generator_that_raises_when_it_is_closed_is_heard_of() -> None:
    told: list[Any] = []

    async def main() -> None:
        async def careless() -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                raise ValueError("at the end")

        got = Recorder().to(ops.from_async_iter(careless).pipe(rxo.take(1)))
        await settle()
        assert got.completed

    run(main, told=told)
    (context,) = told
    assert context["message"] == "rxfeed from_async_iter: the iterator raised while it was closed"
    assert str(context["exception"]) == "at the end"


@pytest.mark.parametrize("where", ["on_next", "on_error", "on_completed"])
def test_a_raising_subscriber_ends_its_subscription_and_the_loop_hears_of_it_once(where: str) -> None:
    told: list[Any] = []

    async def main() -> None:
        numbers = Numbers(2, last=KeyError() if where == "on_error" else None)

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        handlers: dict[str, Any] = {"on_next": lambda _: None, "on_error": lambda _: None, where: fail}
        ops.from_async_iter(numbers).subscribe(**handlers)
        await settle()
        assert (numbers.begun, numbers.ended, tasks()) == (1, 1, [])
        assert numbers.at == (0 if where == "on_next" else 1)
        gc.collect()

    run(main, told=told)
    (context,) = told
    assert context["message"].startswith("rxfeed from_async_iter: a subscriber raised")
    assert isinstance(context["exception"], ZeroDivisionError)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_subscriber_that_raises_a_cancellation_is_no_cancelled_iterator(guarded: bool) -> None:
    told: list[Any] = []

    async def main() -> None:
        numbers, errors = Numbers(), list[Exception]()

        def cancel(_: int) -> None:
            raise asyncio.CancelledError

        source = ops.from_async_iter(numbers)
        source.pipe(ops.subscribe(cancel, errors.append)) if guarded else source.subscribe(cancel, errors.append)
        await settle()
        assert (errors, numbers.ended, tasks()) == ([], 1, [])

    run(main, told=told)
    assert [type(context["exception"]) for context in told] == [asyncio.CancelledError]


def test_a_guarded_subscriber_that_raises_ends_it_and_the_loop_hears_nothing() -> None:
    async def main() -> None:
        numbers, told = Numbers(1_000_000), list[Any]()

        def fail(_: int) -> None:
            raise ZeroDivisionError

        ops.from_async_iter(numbers).pipe(ops.subscribe(fail, report=told.append))
        await settle()
        assert (len(told), numbers.ended, tasks()) == (1, 1, [])

    run(main)


def test_the_end_of_the_loop_closes_it_without_a_word() -> None:
    numbers = Numbers(1_000_000)
    got = Recorder()

    async def main() -> None:
        got.to(ops.from_async_iter(numbers))
        await settle(5)

    asyncio.run(main(), debug=True)
    gc.collect()
    assert got.elements
    assert (got.completed, got.error) == (False, None)
    assert (numbers.begun, numbers.ended) == (1, 1)
    got.subscription.dispose()  # after its loop is closed


def test_a_subscription_begun_as_the_loop_ends_leaves_nothing() -> None:
    numbers = Numbers()

    async def main() -> None:
        Recorder().to(ops.from_async_iter(numbers))

    asyncio.run(main(), debug=True)
    gc.collect()
    assert numbers.begun == numbers.ended


# --- others get their turn


@pytest.mark.parametrize("seconds", [0.0, 0.000_6, 0.01])
def test_elements_that_are_there_already_do_not_starve_the_loop(seconds: float) -> None:
    """By the loop's clock, and by number where that stands still."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        began, passed, in_turn, most = loop.time(), 0.0, 0, 0
        loop.time = lambda: began + passed

        def work(_: int) -> None:
            nonlocal passed, in_turn, most
            passed += seconds
            in_turn += 1
            most = max(most, in_turn)

        end = ops.from_async_iter(Numbers(10_000_000, waiting=False)).subscribe(work)
        for _ in range(10):
            await asyncio.sleep(0)
            in_turn = 0
        end.dispose()
        assert most == {0.0: 4_096, 0.000_6: 4, 0.01: 1}[seconds]
        await settle()

    run(main)
