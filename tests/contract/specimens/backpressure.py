from typing import Any

from rxfeed import operators as ops
from rxfeed import overflow
from rxfeed.frame import is_frame
from rxfeed.model import Bar
from rxfeed.times import SECOND
from rxfeed.valve import Valve
from tests.builders import T0, bar, tick, ticks
from tests.contract.aworld import AsyncWorld
from tests.contract.specimen import Callback, Marble, Refusal, Specimen


def bars() -> list[Any]:
    return [bar(start=T0 + n * SECOND, end=T0 + (n + 1) * SECOND, last_time=T0 + n * SECOND) for n in range(5)]


def weight(element: Any) -> int:
    return 0 if isinstance(element, Bar) else len(element) if is_frame(element) or isinstance(element, list) else 1


PLAIN = Specimen(
    operator="backpressure",
    make=lambda _: ops.backpressure(),
    world=AsyncWorld,
    rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
    lanes=["rows", "runs", "frames"],
    takes=None,
    guards=True,
    conserved=lambda s: s.received == s.emitted + s.conflated + s.dropped + s.pending,
)
SPECIMENS = [
    PLAIN,
    PLAIN.but(
        variant="bars",
        make=lambda _: ops.backpressure(100),
        rows=bars(),
        lanes=["rows", "frames"],
        cut=2,
    ),
    PLAIN.but(
        variant="conflate",
        make=lambda _: ops.backpressure(100, overflow.conflate("1s")),
        takes=frozenset({"Tick", "Frame[Tick]", "Bar"}),
        weight=weight,
    ),
    PLAIN.but(
        variant="sample",
        make=lambda _: ops.backpressure(100, overflow.sample("1s")),
        takes=frozenset({"Tick", "Frame[Tick]"}),
    ),
    PLAIN.but(variant="block", make=lambda _: ops.backpressure(100, overflow.block(Valve()))),
    PLAIN.but(
        variant="with somebody who hears of losses",
        make=lambda _: ops.backpressure(100, "drop_oldest", gaps=lambda _: None),
        rows=[tick(n, 100.0 + n, seq=n) for n in range(8)],
        cut=4,
        lanes=["runs"],
        callbacks={
            "gaps": Callback(make=lambda call, _: ops.backpressure(2, "drop_oldest", gaps=call)),
            "alert": Callback(make=lambda call, _: ops.backpressure(2, "drop_oldest", alert=call), becomes="counted"),
        },
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.backpressure(0), text="capacity must be at least 1, got 0"),
    Refusal(make=lambda: ops.backpressure(2.5), text="capacity must be a whole number"),  # type: ignore
    Refusal(make=lambda: ops.backpressure(8, "block"), text=r"'block' needs to know more: overflow.block\(...\)"),  # type: ignore
    Refusal(make=lambda: ops.backpressure(8, "oldest"), text="overflow must be one of newest, error, .* got 'oldest'"),  # type: ignore
    Refusal(make=lambda: overflow.conflate("7x"), text="timeframe must look like"),
    Refusal(make=lambda: overflow.block(Valve(), 0), text="longest must be more than 0 and at most an hour, got 0"),
    Refusal(make=lambda: overflow.block(Valve(), "2h"), text="longest must be more than 0 and at most an hour, got '2h'"),
    Refusal(make=lambda: overflow.block(Valve(), "x"), text="longest must look like"),
    Refusal(make=lambda: overflow.block(Valve(), then="block"), text="then must be one of newest"),  # type: ignore
    Refusal(make=lambda: overflow.block(3), text="valve must be a Valve", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.backpressure(name=""), text="name must not be empty"),
    Refusal(make=lambda: ops.backpressure(alert=3), text="alert must be an observer or a callable", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.backpressure(gaps=3), text="gaps must be an observer or a callable", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.backpressure(scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: token, world=AsyncWorld)
