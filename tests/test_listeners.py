"""`Listeners`: all hear the same in the same order, whoever raises, leaves, comes or ends it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from rxfeed.listeners import Listeners


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    handler = logger.add(lambda line: lines.append(str(line)), format="{message}")
    yield lines
    logger.remove(handler)


class Log(list[Any]):
    """Notes who heard what."""

    def by(self, name: str, then: Callable[[Any], object] = lambda _: None) -> Callable[[Any], None]:
        def heard(value: Any) -> None:
            self.append((name, value))
            then(value)

        return heard

    def of(self, name: str) -> list[Any]:
        return [value for who, value in self if who == name]


def test_what_a_listener_causes_is_heard_behind_by_all_in_the_same_order() -> None:
    listeners, log = Listeners[int]("x"), Log()
    listeners.add(log.by("a", lambda n: n < 3 and listeners.tell(n + 1)))
    listeners.add(log.by("b"))
    listeners.tell(1)
    assert log == [(who, n) for n in (1, 2, 3) for who in ("a", "b")]


def test_who_raises_is_told_of_each_time_and_stays_and_the_others_hear_of_all(logged: list[str]) -> None:
    listeners, log = Listeners[int]("news of it"), Log()
    listeners.add(log.by("a", lambda n: 1 // (n - 1)))
    listeners.add(log.by("b"))
    for n in (1, 2, 1):
        listeners.tell(n)
    assert log.of("a") == log.of("b") == [1, 2, 1]
    assert len(listeners) == len(logged) == 2
    assert all(line.startswith("news of it raised in listener; it goes on\n") for line in logged)


def test_who_leaves_hears_no_more_and_who_comes_hears_from_the_next_on() -> None:
    listeners, log = Listeners[int]("x"), Log()

    def change(n: int) -> None:
        if n == 1:
            leave()
            listeners.add(log.by("c"))

    listeners.add(log.by("a", change))
    leave = listeners.add(log.by("b"))
    listeners.tell(1)
    listeners.tell(2)
    leave()
    assert log == [("a", 1), ("a", 2), ("c", 2)]
    assert len(listeners) == 2


def test_the_end_is_told_once_behind_what_was_told_before_and_to_who_comes_too_late(logged: list[str]) -> None:
    listeners, log = Listeners[int]("x"), Log()

    def finish(n: int) -> None:
        if n == 1:
            listeners.tell(2)
            listeners.end()
            listeners.tell(3)
            listeners.add(log.by("late"), lambda: log.append("late|"))

    def wrong() -> None:
        log.append("a|")
        gone()
        raise ZeroDivisionError

    listeners.add(log.by("a", finish), wrong)
    gone = listeners.add(log.by("gone"), lambda: log.append("gone|"))
    listeners.add(log.by("b"), lambda: log.append("b|"))
    listeners.add(log.by("c"))
    listeners.tell(1)
    heard = [(who, n) for n in (1, 2) for who in ("a", "gone", "b", "c", "late")]
    assert log == [*(heard[:4]), *heard[5:], "a|", "b|", "late|"]
    assert len(logged) == 1
    assert "ZeroDivisionError" in logged[0]
    assert len(listeners) == 0
    listeners.end()
    listeners.tell(4)
    listeners.add(log.by("d"), lambda: log.append("d|"))
    assert log[-1] == "d|"
    assert len(log) == len(heard) + 3
    assert len(listeners) == 0


def test_what_stops_the_program_stops_it_and_leaves_nothing_half_told() -> None:
    listeners, log = Listeners[int]("x"), Log()

    def stop(n: int) -> None:
        if n == 1:
            listeners.tell(2)
            raise KeyboardInterrupt

    listeners.add(log.by("a", stop))
    with pytest.raises(KeyboardInterrupt):
        listeners.tell(1)
    listeners.tell(3)
    assert log.of("a") == [1, 3]


def test_as_an_observable_it_is_hot_and_completes_with_the_end() -> None:
    listeners, log = Listeners[int]("x"), Log()
    listeners.tell(0)
    subscription = listeners.observable.subscribe(log.append, on_completed=lambda: log.append("|"))
    listeners.tell(1)
    subscription.dispose()
    assert len(listeners) == 0
    listeners.tell(2)
    listeners.observable.subscribe(log.append, on_completed=lambda: log.append("||"))
    listeners.end()
    assert log == [1, "||"]
    listeners.observable.subscribe(log.append, on_completed=lambda: log.append("|||"))
    assert log == [1, "||", "|||"]
    assert len(listeners) == 0
