"""One stream to many: each gets all of it, whatever the others do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from reactivex import Subject

from rxfeed.composition.fan import Fan
from rxfeed.runs import RunObserver
from tests.builders import Recorder, tick


@pytest.fixture
def lines() -> Iterator[list[str]]:
    written: list[str] = []
    handler = logger.add(lambda message: written.append(str(message)), format="{message}")
    yield written
    logger.remove(handler)


def fed(fan: Fan[Any]) -> Subject[Any]:
    source: Subject[Any] = Subject()
    fan.into.to(source, None)
    return source


def test_all_get_all_and_who_comes_late_what_comes_from_then_on() -> None:
    fan: Fan[Any] = Fan("numbers")
    source = fed(fan)
    first, second = Recorder().to(fan.out), Recorder()
    source.on_next(1)
    second.to(fan.out)
    source.on_next(2)
    second.subscription.dispose()
    source.on_next(3)
    source.on_completed()
    late = Recorder().to(fan.out)
    assert (first.elements, second.elements) == ([1, 2, 3], [2])
    assert (first.completed, second.completed, late.completed) == (True, False, True)
    assert len(fan) == 0


def test_an_error_is_for_all_and_for_who_comes_after_it() -> None:
    fan: Fan[Any] = Fan("numbers")
    source, error = fed(fan), ValueError("gone")
    both = Recorder().to(fan.out), Recorder().to(fan.out)
    source.on_error(error)
    assert [one.error for one in (*both, Recorder().to(fan.out))] == [error] * 3
    assert fan.ended.is_set()


def test_who_raises_is_told_of_and_let_go(lines: list[str]) -> None:
    fan: Fan[Any] = Fan("numbers")
    source, got = fed(fan), Recorder()

    class Bad(Recorder):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            raise ValueError("theirs")

    bad = Bad()
    fan.join(bad)
    fan.join(got)
    source.on_next(1)
    source.on_next(2)
    assert (bad.elements, str(bad.error), got.elements) == ([1], "theirs", [1, 2])
    assert len(lines) == 1
    assert "which takes numbers raised in on_next" in lines[0]


def test_ticks_that_come_together_stay_together() -> None:
    fan: Fan[Any] = Fan("ticks")
    runs: list[Any] = []
    observer = RunObserver(runs.append, runs.append, runs.append, lambda: None)
    plain = Recorder()
    fan.join(observer)
    fan.join(plain)
    fan.into.on_run([tick(0), tick(1)])
    assert runs == [[tick(0), tick(1)]]
    assert plain.elements == [tick(0), tick(1)]


def test_who_leaves_another_while_an_element_is_on_its_way_is_heeded() -> None:
    fan: Fan[Any] = Fan("numbers")
    source = fed(fan)
    second = Recorder()
    places: list[Any] = []
    fan.join(Recorder(lambda _: places[0].dispose()))
    places.append(fan.join(second))
    source.on_next(1)
    assert second.elements == []
