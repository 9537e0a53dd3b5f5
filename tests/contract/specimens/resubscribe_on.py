import reactivex
from reactivex import Subject

from rxfeed import operators as ops
from tests.builders import tick, ticks
from tests.contract.specimen import Marble, Refusal, Specimen

SPECIMENS = [
    Specimen(
        operator="resubscribe_on",
        make=lambda clock: ops.resubscribe_on(Subject(), scheduler=clock),
        clocked=True,
        rows=ticks((0, 100), (0.5, 101), (1, 102), (3, 103), (7, 104)),
        lanes=["rows", "frames"],
        takes=frozenset({"Tick", "Frame[Tick]"}),
    )
]
REFUSES = [
    Refusal(make=lambda: ops.resubscribe_on(3), text="tokens must be an Observable, got int", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.resubscribe_on(Subject(), timeout=0), text="timeout must be more than 0, got 0"),
    Refusal(make=lambda: ops.resubscribe_on(Subject(), events=3), text="events must be an observer", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.resubscribe_on(Subject(), scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(
    element=lambda token, time: tick(0, seq=int(token)), show=lambda row: str(row.seq), names={"never": reactivex.never}
)
