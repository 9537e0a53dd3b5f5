"""What every public operator keeps about what it says, and what it asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxfeed.frame import Frame
from rxfeed.model import Depth, DepthKind, Quote, Tick
from tests.builders import T0, bar

from .specimen import Lane, Specimen, cut, uncut
from .stage import (
    END,
    Stage,
    Step,
    assert_one_end,
    fall,
    following,
    stage,
    steps_of,
    undisturbed,
)
from .wallclock import no_wall_clock

ZOO: tuple[Any, ...] = (Tick("A", T0, 1.0, 1), Quote("A", T0), Depth("A", T0, DepthKind.RESET), bar())


def same_content(specimen: Specimen, lane: Lane, at: Sequence[int]) -> None:
    """Rows and frames of them, cut anywhere, give the same content; and so do rows that come together."""
    rows = undisturbed(specimen, "rows", [*following(list(specimen.rows)), END])
    steps = [*following(cut(specimen.rows, at, lane)), END]
    witnesses = [rows, undisturbed(specimen, lane, steps)]
    if lane == "runs":
        with stage(specimen, lane) as on:
            witnesses.append(on.subscribe_by_run())
            on.do(*steps)
    expected = specimen.content(uncut(rows.elements))
    for witness in witnesses:
        assert witness.error is None
        found = specimen.content(uncut(witness.elements))
        assert found == expected, f"cut at {list(at)}: {lane} give other content than rows"


def wall_clock(specimen: Specimen, lane: Lane) -> None:
    """Nothing asks the machine what time it is."""
    steps = steps_of(specimen, lane)
    for ending in ([END], [fall()], []):
        with stage(specimen, lane) as prepared:
            world = prepared.world
            with no_wall_clock():
                on = Stage(specimen.but(world=lambda world=world: world), lane)
                witness = on.subscribe()
                on.do(*steps, *ending)
                on.dispose(witness)
                on.later()


def wrong_element(specimen: Specimen, lane: Lane) -> None:
    """An element of another type is the stream's error, which names the operator and what it got."""
    takes = specimen.takes
    if takes is None:
        return
    zoo = {
        **{type(row).__name__: row for row in ZOO},
        **{f"Frame[{type(row).__name__}]": Frame.of([row]) for row in ZOO},
        "int": 3,
    }
    for name, element in zoo.items():
        if name in takes:
            continue
        for before in ([], steps_of(specimen, lane)[:1]):
            when = f"{name} after {len(before)} elements that are right"
            with stage(specimen, lane) as on:
                witness = on.subscribe()
                on.do(*before, ("next", element), END)
                assert isinstance(witness.error, TypeError), f"{when}: must be a TypeError, got {witness.brief}"
                text = str(witness.error)
                assert specimen.operator in text, f"{when}: the error does not name the operator: {text}"
                assert type(element).__name__ in text, f"{when}: the error does not name the type: {text}"
                assert_one_end(witness, when)
                on.assert_released(when)


def stats(specimen: Specimen, lane: Lane) -> None:
    """At every moment the counts add up, and hold all that was fed."""
    steps = [*steps_of(specimen, lane), END]
    with stage(specimen, lane) as on:
        operator: Any = on.operator
        if not hasattr(operator, "stats"):
            assert specimen.conserved is None, "there are no stats; `conserved` says there are"
            return
        conserved = specimen.conserved
        assert conserved is not None, f"{specimen.name} has stats: say how they add up, by `conserved`"
        _assert_frozen(operator.stats)
        fed = 0

        def look(_: Step) -> None:
            assert conserved(operator.stats), f"in the midst of an element: {operator.stats} do not add up"

        witness = on.subscribe(look)
        assert specimen.received(operator.stats) == 0
        for step in steps:
            on.do(step)
            fed += specimen.weight(step[1]) if step[0] == "next" else 0
            now = operator.stats
            assert specimen.received(now) == fed, f"{fed} were fed: {now}"
            assert conserved(now), f"{now} do not add up"
            if "emitted" in now._fields:
                emitted = sum(map(specimen.weight, witness.elements))
                assert now.emitted == emitted, f"{emitted} came out: {now}"
        on.subscribe()
        assert specimen.received(operator.stats) == 0, "the counts are those of the newest subscription"


def _assert_frozen(counts: Any) -> None:
    assert isinstance(counts, tuple), f"stats must be a NamedTuple, got {type(counts).__name__}"
    assert hasattr(counts, "_fields"), f"stats must be a NamedTuple, got {type(counts).__name__}"
