"""Log lines that are rate-limited: what is written, and when what was held back is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from rxfeed.clock import LiveClock, VirtualClock
from rxfeed.logs import RateLimitedLog
from rxfeed.times import SECOND
from tests.builders import T0


@pytest.fixture
def lines() -> Iterator[list[str]]:
    written: list[str] = []
    handler = logger.add(lambda message: written.append(str(message).rstrip()), format="{level} {function} {message}")
    yield written
    logger.remove(handler)


def test_the_first_are_written_and_the_rest_counted(lines: list[str]) -> None:
    clock = VirtualClock(T0)
    log = RateLimitedLog(clock, most=2, period="10s")
    for at in range(1_236):
        log.say("trades of MNQ", "cannot be read: {}", at)
    log.say("other things", "{} {{}}", "fine", level="INFO")
    here = "test_the_first_are_written_and_the_rest_counted"
    assert lines == [
        f"WARNING {here} cannot be read: 0", f"WARNING {here} cannot be read: 1", f"INFO {here} fine {{}}",
    ]  # fmt: skip
    clock.advance(10 * SECOND - 1)
    assert len(lines) == 3
    clock.advance(1)
    assert lines[3].endswith("and 1,234 more like this in 10 s: trades of MNQ")
    assert lines[3].startswith("WARNING")
    assert log.stats == (1_237, 3, 1_234)
    assert clock.next_due is None
    log.say("trades of MNQ", "again")
    assert lines[4].endswith("again")
    clock.advance(60 * SECOND)
    assert len(lines) == 5


def test_what_is_not_written_is_not_put_together(lines: list[str]) -> None:
    made: list[str] = []

    class Costly:
        def __format__(self, spec: str) -> str:
            made.append("put together")
            return "costly"

    log = RateLimitedLog(VirtualClock(T0), most=1)
    for _ in range(3):
        log.say("x", "{}", Costly())
    assert [line.split()[-1] for line in lines] == ["costly"]
    assert made == ["put together"]
    assert log.stats == (3, 1, 2)


class SetBack(VirtualClock):
    """A clock that somebody sets back by `off` nanoseconds: what is due stays due when it was."""

    off = 0

    @property
    def now(self) -> int:
        return super().now - self.off

    def call_at(self, when: int, action: Any) -> Any:
        return super().call_at(when + self.off, action)


def test_on_a_clock_that_was_set_back_the_one_that_began_later_ends_sooner(lines: list[str]) -> None:
    clock = SetBack(T0)
    log = RateLimitedLog(clock, most=1, period="10s")
    log.say("first", "one")
    clock.advance(5 * SECOND)
    log.say("second", "two")
    clock.off = 3 * SECOND
    for _ in range(3):
        log.say("third", "three")
    clock.advance(10 * SECOND)  # and it must not look again and again at the same instant
    assert [line.split(" ", 2)[2] for line in lines] == ["one", "two", "three", "and 2 more like this in 10 s: third"]
    log.close()
    assert clock.next_due is None


@given(st.lists(st.tuples(st.integers(-3, 12), st.sampled_from("abcd")), max_size=60), st.integers(1, 3), st.integers(1, 4))
def test_every_line_is_written_or_told_of(steps: list[tuple[int, str]], most: int, keys: int) -> None:
    written: list[Any] = []
    handler = logger.add(lambda message: written.append(message.record), format="{message}")
    try:
        clock = SetBack(T0)
        log = RateLimitedLog(clock, most=most, period="10s", keys=keys)
        for step, key in steps:
            if step < 0:
                clock.off -= step * SECOND
            else:
                clock.advance(step * SECOND)
            log.say(key, "line {}", key)
            assert len(log._keys) <= keys + 1
        log.close()
    finally:
        logger.remove(handler)
    texts = [record["message"] for record in written]
    plain = Counter(text for text in texts if text.startswith("line"))
    more = sum(int(text.split()[1]) for text in texts if text.startswith("and"))
    assert plain.total() + more == len(steps)
    assert log.stats == (len(steps), plain.total(), more)
    assert clock.next_due is None
    if keys == 4:
        assert not any(text.endswith("other") for text in texts)


def test_each_key_is_told_of_when_its_own_period_is_over(lines: list[str]) -> None:
    clock = VirtualClock(T0)
    log = RateLimitedLog(clock, most=1, period="10s")
    for key in "ab":
        log.say(key, "line")
        log.say(key, "line")
        clock.advance(5 * SECOND)
    assert [line[-1] for line in lines] == ["e", "e", "a"]
    clock.advance(5 * SECOND)
    assert lines[3].endswith("and 1 more like this in 10 s: b")
    assert clock.next_due is None


def test_a_period_that_begins_only_later_is_over(lines: list[str]) -> None:
    now = T0

    class Standing(VirtualClock):
        @property
        def now(self) -> int:
            return now

    log = RateLimitedLog(Standing(T0), most=1, period="10s")
    log.say("a", "line")
    now += 5 * SECOND
    log.say("b", "line")
    log.say("b", "line")
    now -= 2 * SECOND
    log.say("b", "line")
    assert [line.split(" ", 2)[2] for line in lines] == ["line", "line", "and 1 more like this in 10 s: b", "line"]


def test_too_many_keys_share_one(lines: list[str]) -> None:
    clock = VirtualClock(T0)
    log = RateLimitedLog(clock, most=1, period="10s", keys=2)
    for key in "abcdef":
        log.say(key, "line {}", key)
    assert [line[-6:] for line in lines] == ["line a", "line b", "line c"]
    clock.advance(10 * SECOND)
    assert lines[3].endswith("and 3 more like this in 10 s: other")
    log.say("f", "line f")
    assert lines[4].endswith("line f")


def test_without_a_loop_it_is_told_with_the_next_line_or_by_close(lines: list[str]) -> None:
    now = T0

    class Standing(LiveClock):
        @property
        def now(self) -> int:
            return now

    log = RateLimitedLog(Standing(), most=1, period="1s")
    for _ in range(3):
        log.say("x", "line")
    now += SECOND
    log.say("x", "line")
    log.say("x", "line")
    log.close()
    log.close()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "line", "and 2 more like this in 1 s: x", "line", "and 1 more like this in 1 s: x"
    ]  # fmt: skip


def test_a_sink_that_raises_harms_nobody() -> None:
    def raising(_: object) -> None:
        raise RuntimeError("disk full")

    handler = logger.add(raising, catch=False)
    try:
        log = RateLimitedLog(VirtualClock(T0), most=1)
        log.say("x", "line")
        log.say("x", "line")
        log.close()
    finally:
        logger.remove(handler)
    assert log.stats.written == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"most": 0}, "most must be at least 1, got 0"),
        ({"keys": 0}, "keys must be at least 1, got 0"),
        ({"period": 0}, "period must be more than 0, got 0"),
        ({"period": "often"}, "period must look like"),
    ],
)
def test_refuses_what_cannot_be(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RateLimitedLog(VirtualClock(), **arguments)
