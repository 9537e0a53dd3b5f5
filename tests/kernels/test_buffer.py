"""The buffer at the async boundaries: each policy against a plain list, and that no element is unaccounted for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.errors import Overflow, RxfeedError
from rxfeed.kernels.buffer import Buffer, BufferStats, OnOverflow, check
from tests.builders import frame, ticks

POLICIES: list[OnOverflow] = ["error", "drop_oldest", "drop_latest", "latest"]


def filled(policy: OnOverflow, elements: list[Any], capacity: int = 2) -> Buffer[Any]:
    buffer = Buffer[Any](capacity, policy)
    for element in elements:
        buffer.put(element)
    return buffer


def rest(buffer: Buffer[Any]) -> list[Any]:
    return [buffer.take() for _ in range(len(buffer))]


@pytest.mark.parametrize(
    ("policy", "kept"), [("error", [1, 2]), ("drop_oldest", [3, 4]), ("drop_latest", [1, 2]), ("latest", [4])]
)
def test_what_is_kept_when_it_is_full(policy: OnOverflow, kept: list[int]) -> None:
    buffer = filled(policy, [1, 2, 3, 4])
    assert buffer.stats[:5] == (4, 0, 4 - len(kept), len(kept), len(kept))
    assert rest(buffer) == kept
    assert buffer.stats[:5] == (4, len(kept), 4 - len(kept), 0, len(kept))


def test_only_the_error_policy_refuses() -> None:
    assert [filled(policy, [1, 2]).put(3) for policy in POLICIES] == [False, True, True, True]


@given(
    st.sampled_from(POLICIES), st.integers(1, 4),
    st.lists(st.one_of(st.integers(0, 99), st.sampled_from(["take", "clear"])), max_size=40),
)  # fmt: skip
def test_it_does_what_a_list_would_and_loses_nothing_in_silence(policy: OnOverflow, capacity: int, doings: list[Any]) -> None:
    buffer, waiting = Buffer[int](capacity, policy), list[int]()
    received = emitted = dropped = most = 0
    for doing in doings:
        if doing == "clear":
            buffer.clear()
            dropped += len(waiting)
            waiting.clear()
        elif doing == "take":
            if waiting:
                assert buffer.take() == waiting.pop(0)
                emitted += 1
        else:
            received += 1
            full = len(waiting) >= capacity
            if policy == "latest":
                dropped += len(waiting)
                waiting = [doing]
            elif not full:
                waiting.append(doing)
            else:
                dropped += 1
                if policy == "drop_oldest":
                    waiting = [*waiting[1:], doing]
            assert buffer.put(doing) is not (full and policy == "error")
        most = max(most, len(waiting))
        counts = (received, emitted, dropped, len(waiting))
        assert buffer.stats == BufferStats(*counts, most, *counts)
        assert received == emitted + dropped + len(buffer)


def test_a_frame_is_one_element_of_many_ticks() -> None:
    rows = ticks((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6))
    buffer = filled("drop_oldest", [frame(rows[:1]), frame(rows[:3]), frame([]), rows[0]], capacity=3)
    assert buffer.stats == BufferStats(4, 0, 1, 3, 3, 5, 0, 1, 4)
    assert len(buffer.take()) == 3
    assert buffer.stats == BufferStats(4, 1, 1, 2, 3, 5, 3, 1, 1)
    buffer.clear()
    assert buffer.stats == BufferStats(4, 1, 3, 0, 3, 5, 3, 2, 0)


def test_the_error_says_the_capacity_and_what_to_do() -> None:
    error = filled("error", [1, 2, 3], capacity=2).error()
    assert isinstance(error, Overflow)
    assert isinstance(error, RxfeedError)
    assert str(error).startswith("2 elements wait and one more came (capacity=2): take them faster, give a greater capacity")
    assert "a replay without speed=, needs a capacity for all of it" in str(error)


def test_an_empty_one_has_nothing_to_take() -> None:
    with pytest.raises(IndexError):
        Buffer[int]().take()


@pytest.mark.parametrize(
    ("capacity", "overflow", "text"),
    [
        (0, "error", "^capacity must be at least 1, got 0$"),
        (-3, "latest", "^capacity must be at least 1, got -3$"),
        (None, "error", "capacity must be a whole number from 1, since nothing here is without bound, got None"),
        (1.5, "error", "capacity must be a whole number from 1, .* got 1.5"),
        (True, "error", "capacity must be a whole number from 1, .* got True"),
        (1, "block", 'overflow="block" is impossible: a source of elements pushes and cannot be made to wait'),
        (1, "newest", "^overflow must be one of error, drop_oldest, drop_latest, latest, got 'newest'$"),
    ],
)
def test_refuses_bad_arguments(capacity: Any, overflow: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check(capacity, overflow)
    with pytest.raises(ValueError, match=text):
        Buffer(capacity, overflow)
