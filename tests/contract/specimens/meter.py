from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.specimen import Marble, Refusal, Specimen

CLOCKED = Specimen(
    operator="meter",
    variant="with a clock",
    make=lambda clock: ops.meter("clean", scheduler=clock),
    clocked=True,
    rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
    lanes=["rows", "runs", "frames"],
    takes=None,
    received=lambda s: s.ticks,
    conserved=lambda s: s.elements <= s.ticks,
)
SPECIMENS = [CLOCKED, CLOCKED.but(variant="without a clock", make=lambda _: ops.meter("clean"), clocked=False)]
REFUSES = [
    Refusal(make=lambda: ops.meter(""), text="name must not be empty, got ''"),
    Refusal(make=lambda: ops.meter(3), text="name must be text, got int", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.meter("clean", period=0), text="period must be more than 0, got 0"),
    Refusal(make=lambda: ops.meter("clean", scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: int(token))
