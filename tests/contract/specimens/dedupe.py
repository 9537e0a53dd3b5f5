from rxfeed import operators as ops
from tests.builders import tick
from tests.contract.specimen import OF_FEEDS, Callback, Marble, Refusal, Specimen

BY_FIELD = Specimen(
    operator="dedupe",
    make=lambda _: ops.dedupe("seq", "5s"),
    # Repeated, in another symbol, behind the horizon, and forgotten.
    rows=[
        tick(at, 100.0, symbol=symbol, seq=seq)
        for at, seq, symbol in [
            (0, 1, "A"), (1, 2, "A"), (1, 2, "A"), (2, 2, "B"), (2, 3, "A"), (2, 1, "A"), (9, 4, "A"), (1, 5, "A"),
            (9.5, 1, "A"), (10, 6, "A"), (10, 7, "A"), (10, 8, "A"), (10, 9, "A"), (10, 6, "A"),
        ]
    ],
    lanes=["rows", "runs", "frames"],
    takes=OF_FEEDS,
    callbacks={"duplicates": Callback(make=lambda call, _: ops.dedupe("seq", "5s", duplicates=call))},
    conserved=lambda s: s.received == s.emitted + s.duplicate,
)  # fmt: skip
SPECIMENS = [
    BY_FIELD,
    BY_FIELD.but(
        variant="by a callable",
        make=lambda _: ops.dedupe(lambda row: row.seq, "5s"),
        lanes=["rows", "runs"],
        takes=frozenset({"Tick", "Quote", "Depth"}),
        callbacks={"key": Callback(make=lambda call, _: ops.dedupe(call, "5s"), answer=lambda row: row.seq)},
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.dedupe("number"), text="number"),
    Refusal(make=lambda: ops.dedupe("seq", 0), text="horizon"),
    Refusal(make=lambda: ops.dedupe("seq", capacity=0), text="capacity must be at least 1, got 0"),
    Refusal(make=lambda: ops.dedupe(3), text="key", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.dedupe("seq", duplicates=3), text="duplicates must be an observer", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, time: tick(0, seq=int(token)), show=lambda row: str(row.seq))
