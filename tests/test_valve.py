"""The valve: shut while anybody holds it, and whoever watches hears of each change once."""

from __future__ import annotations

import pytest
from loguru import logger

from rxfeed.valve import Valve


def test_it_is_open_again_when_the_last_lets_go() -> None:
    valve, heard = Valve(), list[bool]()
    leave = valve.watch(heard.append)
    for act, who in ((valve.hold, 1), (valve.hold, 1), (valve.hold, 2), (valve.release, 1), (valve.release, 3)):
        act(who)
        assert valve.shut
    valve.release(2)
    assert heard == [True, False]
    assert repr(valve) == "Valve(open, 1 watching)"
    leave()
    leave()
    valve.hold(1)
    assert heard == [True, False]
    assert not valve.watched


def test_who_comes_while_it_is_shut_hears_of_it() -> None:
    valve, heard = Valve(), list[bool]()
    valve.hold(1)
    valve.watch(heard.append)
    assert heard == [True]


def test_who_only_wants_to_know_is_no_source_that_heeds_it() -> None:
    valve, heard = Valve(), list[bool]()
    leave = valve.watch(heard.append, heeds=False)
    assert not valve.watched
    heeding = valve.watch(lambda _: None)
    assert valve.watched
    valve.hold(1)
    heeding()
    leave()
    valve.release(1)
    assert (heard, valve.watched) == ([True], False)


def test_one_that_raises_keeps_no_other_from_hearing() -> None:
    valve, heard, told = Valve(), list[bool](), list[str]()

    def raising(_: bool) -> None:
        raise ValueError("mine")

    valve.watch(raising)
    valve.watch(heard.append)
    sink = logger.add(lambda message: told.append(str(message)))
    try:
        valve.hold(1)
    finally:
        logger.remove(sink)
    assert heard == [True]
    assert len(told) == 1
    assert "ValueError: mine" in told[0]


def test_who_watches_and_raises_at_once_surfaces() -> None:
    valve = Valve()
    valve.hold(1)
    with pytest.raises(ZeroDivisionError):
        valve.watch(lambda shut: 1 / 0)
