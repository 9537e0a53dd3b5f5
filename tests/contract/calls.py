"""What every public operator keeps about calls that others make, or that it makes: they raise, and they come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from rxfeed.virtualclock import VirtualClock

from .specimen import Callback, Lane, Operator, Specimen
from .stage import (
    END,
    Boom,
    Stage,
    Step,
    Witness,
    assert_one_end,
    fall,
    stage,
    steps_of,
    undisturbed,
)


def callback(specimen: Specimen, name: str) -> None:
    """What a callback raises becomes the stream's error, and that is its end."""
    given = specimen.callbacks[name]
    called = 0
    for lane in specimen.lanes:
        for ending in (END, fall()):
            steps = [*steps_of(specimen, lane), ending]
            calls = _raising(specimen, lane, given, steps, 0, f"{name} in {lane}")
            called += calls
            for at in range(1, min(calls, 8) + 1):
                _raising(specimen, lane, given, steps, at, f"{name} in {lane} raised at call {at} of {calls}")
    assert called, f"{specimen.name}: nothing calls {name}; give it rows that do"


def _raising(specimen: Specimen, lane: Lane, given: Callback, steps: Sequence[Step], at: int, when: str) -> int:
    """Run with a callback that raises at its call `at`, 0 for never; return how often it was called."""
    calls = 0
    boom = Boom(when)

    def call(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if 0 < at <= calls:
            raise boom
        return given.answer(*args)

    def make(clock: VirtualClock | None) -> Operator:
        return given.make(call, clock)

    with stage(specimen, lane, make=make) as on:
        witness = on.subscribe()
        try:
            on.do(*steps)
            on.later()
        except Boom:
            raise AssertionError(f"{when}: it surfaced at the source instead of being the stream's error") from None
        assert_one_end(witness, when)
        if at and given.becomes == "error":
            assert witness.error is boom, f"{when}: it must be the stream's error, got {witness.brief}"
            # Ordinary ticks of a run are judged ahead, and one that cannot be is judged again, by itself.
            assert calls <= at + (lane == "runs"), f"{when}: called {calls - at} times more after the end"
        else:
            assert witness.error is not boom, f"{when}: it must not be the stream's error"
        on.assert_released(when)
    return calls


def subscriber(specimen: Specimen, lane: Lane) -> None:
    """What a subscriber raises surfaces at the source, once; nothing is lost by it, and the operator goes on."""
    steps = steps_of(specimen, lane)
    if specimen.guards:
        for count in range(len(undisturbed(specimen, lane, [*steps, END]).elements)):
            _guarded(specimen, lane, [*steps, END], count)
        return
    before_end = len(undisturbed(specimen, lane, steps).elements)
    whole = undisturbed(specimen, lane, [*steps, END])
    for count in range(len(whole.elements)):
        when = f"a subscriber that raises at output {count} of {len(whole.elements)}"
        told = _raise_at(specimen, lane, [*steps, END], count, when)
        assert told.story == whole.story, f"{when}: what comes after is not the same: {told.brief}"
        if count < before_end and lane != "runs" and not specimen.clocked:
            when = f"a subscriber that feeds the next element at output {count} and then raises"
            told = _raise_at(specimen, lane, [*steps, END], count, when, feeds=True)
            assert told.story == whole.story, f"{when}: something is lost or out of order: {told.brief}"
    for ending in (END, fall()):
        _raise_at_end(specimen, lane, [*steps, ending])


def _raise_at(specimen: Specimen, lane: Lane, steps: Sequence[Step], count: int, when: str, *, feeds: bool = False) -> Witness:
    left = deque(steps)
    with stage(specimen, lane) as on:

        def react(step: Step) -> None:
            if step[0] == "next" and len(witness.elements) == count + 1:
                if feeds and len(left) > 1:
                    on.do(left.popleft())
                raise Boom(when)

        witness = on.subscribe(react)
        surfaced = 0
        while left:
            surfaced += _bear(on, left.popleft())
        assert surfaced == 1, f"{when}: it surfaced {surfaced} times"
        assert witness.error is None, f"{when}: the stream ended with {witness.error!r}"
        on.dispose(witness)
        on.assert_released(f"{when}, when disposed of")
    return witness


def _guarded(specimen: Specimen, lane: Lane, steps: Sequence[Step], count: int) -> None:
    when = f"a subscriber that raises at output {count}"
    with stage(specimen, lane) as on:

        def react(step: Step) -> None:
            if step[0] == "next" and len(witness.elements) == count + 1:
                raise Boom(when)

        witness = on.subscribe(react)
        beside = on.subscribe()
        surfaced = sum(_bear(on, step) for step in steps)
        assert surfaced == 0, f"{when}: it surfaced at the source"
        told = getattr(on.operator, "told", on.world.told)
        assert len(told) == 1, f"{when}: it was told of {len(told)} times"
        assert [kind for kind, _ in witness.steps] == ["next"] * (count + 1), f"{when}: it goes on: {witness.brief}"
        assert beside.story == undisturbed(specimen, lane, steps).story, f"{when}: another one is harmed: {beside.brief}"
        on.assert_released(when)


def _raise_at_end(specimen: Specimen, lane: Lane, steps: Sequence[Step]) -> None:
    when = f"a subscriber that raises at {steps[-1][0]}"

    def react(step: Step) -> None:
        if step[0] != "next":
            raise Boom(when)

    with stage(specimen, lane) as on:
        witness = on.subscribe(react)
        surfaced = sum(_bear(on, step) for step in steps)
        assert surfaced == 1, f"{when}: it surfaced {surfaced} times"
        assert_one_end(witness, when)
        on.assert_released(when)


def _bear(on: Stage, step: Step) -> int:
    """Take a step although it may raise; return how often it did."""
    surfaced = 0
    for act in (on.move, on.move, on.do):  # a clock goes on from where an action raised
        try:
            act(step)
        except Boom:
            surfaced += 1
    return surfaced


def reentrant(specimen: Specimen, lane: Lane) -> None:
    """Elements that a subscriber feeds from inside `on_next` are as if they had been fed right after it."""
    for ending in (END, fall()):
        for at_once in (False, True):
            when = f"{'all at the first' if at_once else 'one at each'} output, and then {ending[0]}"
            with stage(specimen, lane) as on:
                told, acts = _folded(on, [*steps_of(specimen, lane), ending], at_once=at_once)
            with stage(specimen, lane) as on:
                witness = on.subscribe()
                for time, step in acts:
                    on.go(time) if step is None else on.feed(on.source.subscriptions[0], step)
            assert told.brief == witness.brief, f"fed back, {when}: differs from the same, fed flat"
            assert told.story == witness.story, f"fed back, {when}: differs from the same, fed flat"


def _folded(on: Stage, steps: Sequence[Step], *, at_once: bool) -> tuple[Witness, list[tuple[int, Step | None]]]:
    """Feed back what is left at each output; return what came, and the same acts one after the other."""
    left = deque(steps)
    acts: list[tuple[int, Step | None]] = []

    def feed() -> None:
        step = left.popleft()
        acts.append((on.clock.now, step))
        on.source.subscriptions[0].do(step)

    def react(step: Step) -> None:
        while step[0] == "next" and left:
            feed()
            if not at_once:
                break

    witness = on.subscribe(react)
    while left:
        kind, element = left[0]
        until = max(on.clock.now, getattr(element, "time", on.clock.now)) if kind == "next" else on.clock.now
        due = on.clock.next_due
        if (due is not None and due <= until) or until > on.clock.now:
            until = until if due is None else min(due, until)
            acts.append((until, None))
            on.go(until)
        else:
            on.world.call(feed)
            on.world.pump()
    return witness, acts
