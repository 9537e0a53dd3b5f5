from rxfeed import operators as ops
from tests.builders import tick, ticks
from tests.contract.specimen import ROWS, Marble, Refusal, Specimen

BY_SIZE = Specimen(
    operator="batch",
    variant="by size",
    make=lambda _: ops.batch(2),
    rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
    takes=ROWS,
    at_completion=["[A 104]"],
    at_error=["[A 104]"],
)
SPECIMENS = [
    BY_SIZE,
    BY_SIZE.but(
        variant="by time",
        make=lambda clock: ops.batch(3, "2s", scheduler=clock),
        clocked=True,
        rows=ticks((0, 100), (1, 101), (3, 102), (4, 103), (4, 104), (5, 105)),
        at_completion=["[A 105]"],
        at_error=["[A 105]"],
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.batch(0), text="size must be at least 1, got 0"),
    Refusal(make=lambda: ops.batch(2, 0), text="period must be more than 0, got 0"),
    Refusal(make=lambda: ops.batch(2, "x"), text="period must look like"),
]
MARBLE = Marble(element=lambda token, _: tick(symbol=token), show=lambda rows: f"[{''.join(row.symbol for row in rows)}]")
