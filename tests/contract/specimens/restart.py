import tenacity

from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.specimen import Marble, Refusal, Specimen

SPECIMENS = [
    Specimen(
        operator="restart",
        make=lambda clock: ops.restart(stop=tenacity.stop_after_attempt(1), scheduler=clock),
        clocked=True,
        rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
        lanes=["rows", "runs", "frames"],
        takes=None,
    )
]
REFUSES = [
    Refusal(make=lambda: ops.restart(wait=-1), text="wait must be from 0"),
    Refusal(make=lambda: ops.restart(stop=3), text="stop must be one of tenacity's stop_", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.restart(reset_on_next="x"), text="reset_on_next must look like"),
    Refusal(make=lambda: ops.restart(told=3), text="told must be a function, got int", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: int(token))
