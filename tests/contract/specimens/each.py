from rxfeed import operators as ops
from tests.builders import frame, tick, ticks
from tests.contract.specimen import FRAMES, Marble, Specimen

SPECIMENS = [
    Specimen(
        operator="each",
        make=lambda _: ops.each(),
        rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
        lanes=["frames"],
        takes=FRAMES,
    )
]
REFUSES = []
MARBLE = Marble(element=lambda token, _: frame([tick(symbol=name) for name in token.strip("[]")]), show=lambda row: row.symbol)
