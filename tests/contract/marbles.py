"""Runs the diagram that a docstring draws: the elements of its first line through the call of its second."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from docs.make_operators import read
from rxfeed import operators as ops
from tests.builders import T0

from .specimen import Marble
from .stage import END, Source, Step, Witness, fall

Beat = tuple[int, str]
"""A column, and what is drawn there."""


def tokens(drawn: str) -> list[Beat]:
    """Read a line: what is in one pair of brackets is one token, and what is in parentheses comes at one time."""
    found: list[Beat] = []
    together: int | None = None
    for match in re.finditer(r"[()|#]|\[[^]]*\]|[^-()|#,\[\]]+", drawn.split(maxsplit=1)[0]):
        if match[0] in "()":
            together = match.start() if match[0] == "(" else None
        else:
            found.append((match.start() if together is None else together, match[0]))
    return found


def beats(drawn: list[Beat]) -> list[Beat]:
    """Put together what comes at one time."""
    found: dict[int, str] = {}
    for at, token in drawn:
        found[at] = found.get(at, "") + token
    return list(found.items())


def run(operator: Callable[..., Any], name: str, marble: Marble) -> tuple[list[Beat], list[Beat]]:
    """Return what came out and what is drawn."""
    fed, call, drawn = read(operator, name).marble
    world = marble.world()
    clock = world.clock
    try:
        names = {each: getattr(ops, each) for each in ops.__all__} | {name: operator} | dict(marble.names)
        source = Source()
        built = eval(call, {}, names)(source)
        got: list[Beat] = []

        def note(step: Step) -> None:
            kind, value = step
            at, rest = divmod(clock.now - T0, marble.column)
            assert not rest, f"{step} came between two columns, at {at} + {rest / marble.column:.2f}"
            shown = {"completed": "|", "error": "#"}.get(kind) or marble.show(value)
            got.append((at, marble.legend.get(shown, shown)))

        witness = Witness(note)
        world.call(built.subscribe, witness, scheduler=clock.scheduler if marble.clocked else None)
        world.pump()
        for at, token in tokens(fed):
            world.call(clock.advance_to, T0 + at * marble.column)
            world.pump()
            step = {"|": END, "#": fall()}.get(token) or ("next", marble.element(token, clock.now))
            for each in source.subscriptions:
                world.call(each.do, step)
            world.pump()
        assert not world.left(), f"{name}: left over is {world.left()}"
    finally:
        world.close()
    return beats(got), beats(tokens(drawn))
