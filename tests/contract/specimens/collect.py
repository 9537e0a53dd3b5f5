from rxfeed import operators as ops
from rxfeed.model import Tick
from tests.builders import frame, tick, ticks
from tests.contract.specimen import Marble, Refusal, Specimen

SPECIMENS = [
    Specimen(
        operator="collect",
        make=lambda _: ops.collect(Tick),
        rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
        lanes=["rows", "frames"],
        takes=frozenset({"Tick", "Frame[Tick]"}),
        at_completion=["[A 100, A 101, A 102, A 103, A 104]"],
        of_nothing=["[]"],
        conserved=lambda s: s.received == s.emitted + s.dropped + s.pending,
    )
]
REFUSES = [
    Refusal(make=lambda: ops.collect(limit=0), text="limit must be at least 1, got 0"),
    Refusal(make=lambda: ops.collect(int), text="kind must be Tick, Quote, Depth or Bar, got", error=TypeError),  # type: ignore
]
MARBLE = Marble(
    element=lambda token, _: frame([tick(symbol=name) for name in token.strip("[]")]),
    show=lambda rows: f"[{''.join(row.symbol for row in rows)}]",
)
