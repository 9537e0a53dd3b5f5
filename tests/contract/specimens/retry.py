from datetime import timedelta

import tenacity

from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.specimen import Marble, Refusal, Specimen


async def awaits(_):
    return 1.0


PLAIN = Specimen(
    operator="retry",
    make=lambda clock: ops.retry(retry=tenacity.retry_if_exception_type(OSError), scheduler=clock),
    clocked=True,
    rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
    lanes=["rows", "runs", "frames"],
    takes=None,
)
SPECIMENS = [
    PLAIN,
    PLAIN.but(
        variant="by health",
        make=lambda clock: ops.retry(
            wait="1s", reset_on_next="2s", retry=tenacity.retry_if_exception_type(OSError), scheduler=clock
        ),
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.retry(wait=-1), text="wait must be from 0"),
    Refusal(make=lambda: ops.retry(wait="x"), text="wait must look like"),
    Refusal(make=lambda: ops.retry(wait=awaits), text="wait must not be async", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.retry(stop=3), text="stop must be one of tenacity's stop_", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.retry(retry=OSError), text="retry must be one of tenacity's retry_", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.retry(reset_on_next=timedelta(-1)), text="reset_on_next must be from 0"),
    Refusal(make=lambda: ops.retry(told=3), text="told must be a function, got int", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.retry(scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: int(token))
