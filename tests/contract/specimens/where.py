import polars as pl

from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.specimen import FRAMES, SECOND, Callback, Marble, Refusal, Specimen

ROWS = ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104))

SPECIMENS = [
    Specimen(
        operator="where",
        variant="a callable on rows",
        make=lambda _: ops.where(lambda row: row.price != 102),
        rows=ROWS,
        takes=None,
        callbacks={"condition": Callback(make=lambda call, _: ops.where(call), answer=lambda row: row.price != 102)},
    ),
    Specimen(
        operator="where",
        variant="an expression on frames",
        make=lambda _: ops.where(pl.col("price") != 102),
        rows=ROWS,
        lanes=["frames"],
        takes=FRAMES,
    ),
]
REFUSES = [
    Refusal(
        make=lambda: ops.where(3),  # type: ignore
        text="condition must be a callable for rows or a polars expression for frames, got 3",
        error=TypeError,
    )
]
MARBLE = Marble(element=lambda token, _: int(token), names={"even": lambda n: n % 2 == 0}, column=SECOND)
