from rxfeed import operators as ops
from tests.builders import tick, ticks
from tests.contract.specimen import Callback, Marble, Refusal, Specimen

PLAIN = Specimen(
    operator="sample_every",
    make=lambda clock: ops.sample_every("2s", scheduler=clock),
    clocked=True,
    rows=ticks((0, 100), (0.5, 101), (1, 102), (3, 103), (7, 104), (7.5, 105)),
    lanes=["rows", "frames"],
    same_in_both=False,  # a frame is of the period in which it comes
    takes=None,
    at_completion=["A 105"],
    at_error=["A 105"],
    conserved=lambda s: s.received == s.emitted + s.dropped + s.pending,
)
SPECIMENS = [
    PLAIN.but(lanes=["rows"]),
    PLAIN.but(variant="frames", lanes=["frames"], at_completion=["[A 105]"], at_error=["[A 105]"]),
    PLAIN.but(
        variant="by key",
        make=lambda clock: ops.sample_every("2s", key="symbol", scheduler=clock),
        lanes=["rows"],
        rows=[tick(at / 4, 100.0 + at, symbol="ABC"[at % 3], seq=at) for at in range(12)],
        at_completion=["A 109", "B 110", "C 111"],
        at_error=["A 109", "B 110", "C 111"],
        callbacks={
            "key": Callback(
                make=lambda call, clock: ops.sample_every("2s", key=call, scheduler=clock), answer=lambda row: row.symbol
            )
        },
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.sample_every(0), text="period must be more than 0, got 0"),
    Refusal(make=lambda: ops.sample_every("x"), text="period must look like"),
    Refusal(make=lambda: ops.sample_every("1s", key="a b"), text="key must be the name of a field, or a callable, got 'a b'"),
    Refusal(make=lambda: ops.sample_every("1s", key=3), text="key must be", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.sample_every("1s", scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: int(token))
