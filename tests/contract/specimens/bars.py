import math

import reactivex as rx
from reactivex.disposable import Disposable

from rxfeed import by
from rxfeed import operators as ops
from rxfeed.frame import is_frame
from rxfeed.model import ONGOING, Bar, Gap, Repair
from rxfeed.times import SECOND
from tests.builders import T0, bar, frame_lane, line, tick, ticks
from tests.contract.specimen import Callback, Marble, Refusal, Specimen, World

TAKES = frozenset({"Tick", "Frame[Tick]", "Bar"})


class FrameLane(World):
    """Small frames go where else only large ones go, in pieces."""

    def __init__(self):
        super().__init__()
        self._lane = frame_lane(1, 2)
        self._lane.__enter__()

    def close(self):
        self._lane.__exit__(None, None, None)


def final(bars):
    """What the law promises: of each bar the last revision, in no order, but for the revision's number."""
    return sorted(line(b).replace(f" r{b.revision}", "") for b in {b.identity: b for b in bars if b.revision >= 0}.values())


def weight(element):
    return (
        element.count or 0
        if isinstance(element, Bar)
        else len(element)
        if is_frame(element) or isinstance(element, list)
        else 1
    )


def at_once(*elements):
    """Emits inside subscribe, by no scheduler: before the source is subscribed to."""

    def subscribe(observer, _):
        for element in elements:
            observer.on_next(element)
        return Disposable()

    return rx.create(subscribe)


TICKS = Specimen(
    operator="bars",
    variant="ticks",
    make=lambda _: ops.bars("1s", "2s", lateness="500ms", horizon="3s"),
    # Two symbols; not finite; late but in time; too late.
    rows=[
        *ticks((0, 100), (0.5, 101), (1, math.nan), (1.2, 102), (1.6, 99), (0.9, 103), (4, 104)),
        *[tick(at, price, symbol="B", seq=9) for at, price in ((1, 50), (4.2, 51))],
        tick(0.2, 98, seq=7), tick(4.3, 105, seq=8), tick(6, 106, seq=9), tick(6.1, 107, seq=10),
    ],
    lanes=["rows", "runs", "frames"],
    content=final,
    takes=TAKES,
    at_completion=[
        "A 2s 4: 104-105 x2 r0",
        "A 1s 6: 106-107 x2 r0 PARTIAL", "A 2s 6: 106-107 x2 r0 PARTIAL",
        "B 1s 4: 51-51 x1 r0 PARTIAL", "B 2s 4: 51-51 x1 r0 PARTIAL",
    ],
    callbacks={"rejects": Callback(make=lambda call, _: ops.bars("1s", horizon="3s", rejects=call))},
    conserved=lambda s: s.received == s.closed + s.open + s.rejected + s.outside_session,
    weight=weight,
)  # fmt: skip
CLOCKED = TICKS.but(
    variant="with a clock",
    make=lambda clock: ops.bars("1s", "2s", grace="500ms", scheduler=clock),
    clocked=True,
    rows=ticks((0, 100), (0.5, 101), (2, 102), (2.2, 103), (5, 104), (5.5, 105)),
    at_completion=["A 1s 5: 104-105 x2 r0 PARTIAL", "A 2s 4: 104-105 x2 r0 PARTIAL"],
    callbacks={},
)
BY = TICKS.but(
    variant="by ticks and volume",
    make=lambda _: ops.bars(by=[by.ticks(3), by.volume(2)], lateness="500ms"),
    takes=frozenset({"Tick", "Frame[Tick]", "Bar", "Frame[Bar]"}),  # of bars it says more than that they are of a wrong type
    lanes=["rows", "runs", "frames"],
    at_completion=[
        "A volume(2) 4.3: 105-106 x2 r0",
        "A ticks(3) 4.3: 105-107 x3 r0",
        "A volume(2) 6.1: 107-107 x1 r0 PARTIAL",
        "B volume(2) 1: 50-51 x2 r0 GAP",
        "B ticks(3) 1: 50-51 x2 r0 PARTIAL GAP",
    ],
    callbacks={"rejects": Callback(make=lambda call, _: ops.bars(by=by.ticks(2), rejects=call))},
)
GAPS = [
    Gap("A", T0 + SECOND, T0 + 3 * SECOND, "test"),
    Gap("B", T0 + SECOND, ONGOING, "test"),
]
REPAIR = Repair(GAPS[0], "1s", T0 + SECOND, T0 + 4 * SECOND, ())
"""It comes before any window is over, and is not taken."""
SPECIMENS = [
    TICKS,
    BY,
    BY.but(
        variant="by range, with frames out",
        make=lambda _: ops.bars(by=by.range(2.0), lateness="500ms", frames=True),
        at_completion=[
            "[A range(2) 4: 104-106 x3 r0, A range(2) 6.1: 107-107 x1 r0 PARTIAL, B range(2) 1: 50-51 x2 r0 PARTIAL GAP]"
        ],
    ),
    BY.but(
        variant="by renko, with updates",
        make=lambda _: ops.bars(by=by.renko(1.0), lateness="500ms", updates="1s"),
        lanes=["rows", "runs"],
        at_completion=["A renko(1) 6: 105-106 x1 r0", "A renko(1) 6.1: 106-107 x1 r0", "B renko(1) 1: 50-51 x2 r0 GAP"],
    ),
    BY.but(
        variant="by notional, with a clock",
        make=lambda clock: ops.bars(by=by.notional(150.0), lateness="500ms", grace="500ms", scheduler=clock),
        clocked=True,
        at_completion=[
            "A notional(150) 4.3: 105-106 x2 r0",
            "A notional(150) 6.1: 107-107 x1 r0 PARTIAL",
            "B notional(150) 1: 50-51 x2 r0 PARTIAL GAP",
        ],
        callbacks={},
        same_in_both=False,  # by a clock, a frame or a run is as late as its first row
    ),
    TICKS.but(variant="by the frame lane", world=FrameLane, lanes=["frames"], cut=3),
    TICKS.but(
        variant="frames out",
        make=lambda _: ops.bars("1s", "2s", lateness="500ms", horizon="3s", frames=True),
        at_completion=[f"[{', '.join(TICKS.at_completion)}]"],
    ),
    TICKS.but(
        variant="partial bars",
        make=lambda _: ops.bars("1s", "2s"),
        rows=[
            bar(symbol=symbol, start=T0 + at * SECOND, first_time=T0 + at * SECOND, last_time=T0 + at * SECOND + 5, count=3)
            for at, symbol in enumerate("AABAB")
        ],
        lanes=["rows"],
        at_completion=[
            "A 1s 3: 100-100 x3 r0 PARTIAL",
            "A 2s 2: 100-100 x3 r0 PARTIAL",
            "B 1s 4: 100-100 x3 r0 PARTIAL",
            "B 2s 4: 100-100 x3 r0 PARTIAL",
        ],
        callbacks={},
    ),
    TICKS.but(
        variant="updates as ticks come",
        make=lambda _: ops.bars("2s", updates="500ms"),
        rows=ticks((0, 100), (0.2, 101), (0.6, 102), (1.2, 103), (2.1, 104), (2.2, 105)),
        at_completion=["A 2s 2: 104-105 x2 r0 PARTIAL"],
        callbacks={},
    ),
    TICKS.but(
        variant="empty windows filled",
        make=lambda _: ops.bars("1s", fill="previous"),
        rows=ticks((0, 100), (0.5, 101), (3, 102), (6.5, 103)),
        at_completion=["A 1s 6: 103-103 x1 r0 PARTIAL"],
        callbacks={},
    ),
    TICKS.but(
        variant="with gaps and repairs beside",
        make=lambda _: ops.bars("1s", "2s", lateness="500ms", horizon="3s", gaps=at_once(*GAPS), repairs=at_once(REPAIR)),
        lanes=["rows", "runs", "frames"],
        at_completion=[
            "A 2s 4: 104-105 x2 r0",
            "A 1s 6: 106-107 x2 r0 PARTIAL",
            "A 2s 6: 106-107 x2 r0 PARTIAL",
            "B 1s 4: 51-51 x1 r0 PARTIAL GAP",
            "B 2s 4: 51-51 x1 r0 PARTIAL GAP",
        ],
        callbacks={},
    ),
    CLOCKED,
    CLOCKED.but(
        variant="with a clock and updates",
        make=lambda clock: ops.bars("2s", updates="300ms", scheduler=clock),
        at_completion=["A 2s 4: 104-105 x2 r0 PARTIAL"],
    ),
    CLOCKED.but(
        variant="with a clock, empty windows filled",
        make=lambda clock: ops.bars("1s", fill="previous", grace="500ms", scheduler=clock),
        at_completion=["A 1s 5: 104-105 x2 r0 PARTIAL"],
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.bars("1s", gaps=3), text="gaps must be an observable, got int", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.bars("1s", repairs=3), text="repairs must be an observable", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.bars(by=by.ticks(2), gaps=rx.empty()), text="gaps must not be given with by"),  # type: ignore
    Refusal(make=lambda: ops.bars(), text="timeframes must be 1 to 32, got 0"),
    Refusal(make=lambda: ops.bars("1s", by=by.ticks(2)), text="timeframes must not be given with by"),  # type: ignore
    Refusal(make=lambda: ops.bars(by=[]), text="by must be 1 to 32 values, got 0"),
    Refusal(make=lambda: ops.bars("1x"), text="timeframe"),
    Refusal(make=lambda: ops.bars("1s", lateness=-1), text="lateness must be from 0 to 292 years, got -1"),
    Refusal(make=lambda: ops.bars("1s", horizon="long"), text="horizon must look like"),
    Refusal(make=lambda: ops.bars("1s", updates=0), text="updates must be more than 0, got 0"),
    Refusal(make=lambda: ops.bars("1s", fill="next"), text='fill must be "previous" or None'),  # type: ignore
    Refusal(make=lambda: ops.bars("1s", session="Mars"), text="Mars"),
    Refusal(make=lambda: ops.bars("1s", scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.bars("1s", rejects=3), text="rejects must be an observer or a callable", error=TypeError),  # type: ignore
]
MARBLE = Marble(
    element=lambda token, time: tick((time - T0) / SECOND, float(token)),
    show=line,
    legend={"A 3s 0: 1-2 x2 r0 GAP": "a", "A 3s 3: 3-3 x1 r0": "b", "A 3s 6: 4-4 x1 r0 PARTIAL": "c"},
    column=SECOND // 2,
)
