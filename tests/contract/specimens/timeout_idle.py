from rxfeed import operators as ops
from rxfeed.valve import Valve
from tests.builders import tick, ticks
from tests.contract.specimen import FRAMES, ROWS, Callback, Marble, Refusal, Specimen

PLAIN = Specimen(
    operator="timeout_idle",
    make=lambda clock: ops.timeout_idle(first="10s", between="10s", scheduler=clock),
    clocked=True,
    rows=ticks((0, 100), (1, 101), (4, 102), (8, 103), (8, 104), (9, 105)),
    lanes=["rows", "runs", "frames"],
    takes=None,
)
SPECIMENS = [
    PLAIN,
    PLAIN.but(
        variant="per symbol",
        make=lambda clock: ops.timeout_idle(between="10s", per="symbol", scheduler=clock),
        rows=[tick(at, 100.0 + at, symbol="AB"[at % 2], seq=at) for at in range(6)],
        takes=ROWS | FRAMES,
    ),
    PLAIN.but(
        variant="with a valve",
        make=lambda clock: ops.timeout_idle(first="10s", between="10s", valve=Valve(), scheduler=clock),
    ),
    PLAIN.but(
        variant="which tells",
        make=lambda clock: ops.timeout_idle(between="5s", on_idle=print, scheduler=clock),
        rows=ticks((0, 100), (1, 101), (8, 102), (13, 103), (25, 104), (25, 105)),
        callbacks={
            "on_idle": Callback(make=lambda call, clock: ops.timeout_idle(between="2s", on_idle=call, scheduler=clock)),
        },
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.timeout_idle(), text="timeout_idle needs first or between"),
    Refusal(make=lambda: ops.timeout_idle(first=0), text="first must be more than 0 and at most 366d, got 0"),
    Refusal(make=lambda: ops.timeout_idle(between="367d"), text="between must be more than 0 and at most 366d, got '367d'"),
    Refusal(make=lambda: ops.timeout_idle(between="soon"), text="between must look like"),
    Refusal(make=lambda: ops.timeout_idle(between=1, session="Mars"), text="Mars"),
    Refusal(make=lambda: ops.timeout_idle(between=1, per="contract"), text='per must be "symbol" or None'),  # type: ignore
    Refusal(make=lambda: ops.timeout_idle(first=1, per="symbol"), text='per="symbol" needs between'),
    Refusal(make=lambda: ops.timeout_idle(first=1, instruments=[]), text='instruments are for per="symbol"'),
    Refusal(make=lambda: ops.timeout_idle(first=1, on_idle=3), text="on_idle must be an observer", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.timeout_idle(first=1, valve=3), text="valve must be a Valve", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.timeout_idle(first=1, scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: int(token))
