import msgspec

from rxfeed import operators as ops
from rxfeed.frame import Frame
from rxfeed.model import ONGOING, Bar, Gap
from rxfeed.times import SECOND
from tests.builders import T0, bar
from tests.contract.aworld import AsyncWorld
from tests.contract.specimen import Callback, Marble, Refusal, Specimen


class Told(Gap, frozen=True, gc=False):
    """A gap, and when it is told."""

    time: int


def answer(symbol: str, start: int, end: int) -> Frame[Bar]:
    bars = [
        msgspec.structs.replace(bar(), symbol=symbol, start=second, end=second + SECOND)
        for second in range(start - start % SECOND, end, SECOND)
    ]
    return Frame.of(bars, Bar)


async def history(symbol: str, timeframe: str, start: int, end: int) -> Frame[Bar]:
    return answer(symbol, start, end)


def gap(told: float, start: float, end: float | None, symbol: str = "A") -> Gap:
    at = [T0 + round(each * SECOND) for each in (told, start, end or 0)]
    return Told(symbol, at[1], ONGOING if end is None else at[2], "dropped", at[0])


def made(call: object = None, **more: object):
    async def asked(symbol: str, timeframe: str, start: int, end: int) -> Frame[Bar]:
        return call(symbol, start, end)  # type: ignore

    return lambda clock: ops.repair(history if call is None else asked, "1s", scheduler=clock, **more)  # type: ignore


PLAIN = Specimen(
    operator="repair",
    make=made(events=lambda _: None),
    clocked=True,
    world=AsyncWorld,
    rows=[gap(3, 1, 2.5), gap(10, 3, None), gap(20, 4, 19.5, "B"), gap(40, 3, 39), gap(50, 45, None, "B")],
    takes=frozenset({"Gap"}),
    guards=True,
    callbacks={
        "history": Callback(
            make=lambda call, clock: made(call, events=lambda _: None)(clock), answer=answer, becomes="counted"
        ),
        "events": Callback(make=lambda call, clock: made(events=call)(clock)),
    },
    conserved=lambda s: s.received == sum(s[1:]),
    weight=lambda _: 1,
)
SPECIMENS = [PLAIN]
REFUSES = [
    Refusal(make=lambda: ops.repair(history), text="timeframes must be 1 to 32, got 0"),
    Refusal(make=lambda: ops.repair(3, "1s"), text="history must be an async function, got int", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.repair(history, "250ms"), text="one timeframe must be whole seconds, got 250ms"),
    Refusal(make=lambda: ops.repair(history, "x"), text="timeframe must look like"),
    Refusal(make=lambda: ops.repair(history, "1s", session="Mars"), text="Mars"),
    Refusal(make=lambda: ops.repair(history, "1s", most=0), text="most must be a whole number from 1, got 0"),
    Refusal(make=lambda: ops.repair(history, "1s", longest=0), text="longest must be more than 0, got 0"),
    Refusal(make=lambda: ops.repair(history, "1s", settle="x"), text="settle must look like"),
    Refusal(make=lambda: ops.repair(history, "1s", events=3), text="events must be an observer", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.repair(history, "1s", scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(
    # Half a second ends in the window that ends at the next column.
    element=lambda token, time: Gap("A" if token == "g" else "B", time - 2 * SECOND, time - SECOND, token),
    show=lambda repair: {"A": "r", "B": "s"}[repair.gap.symbol],
    names={"history": history},
    world=AsyncWorld,
)
