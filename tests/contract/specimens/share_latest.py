from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.specimen import Callback, Marble, Refusal, Specimen

PLAIN = Specimen(
    operator="share_latest",
    make=lambda _: ops.share_latest(),
    rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
    lanes=["rows", "frames"],
    takes=None,
    hot=True,
    conserved=lambda s: s.held <= s.received,
    weight=lambda _: 1,
)
SPECIMENS = [
    PLAIN,
    PLAIN.but(
        variant="by key",
        make=lambda _: ops.share_latest(key="symbol", capacity=2),
        lanes=["rows"],
        callbacks={"key": Callback(make=lambda call, _: ops.share_latest(key=call), answer=lambda row: row.symbol)},
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.share_latest(capacity=0), text="capacity must be at least 1, got 0"),
    Refusal(make=lambda: ops.share_latest(key="a b"), text="key must be the name of a field, or a callable, got 'a b'"),
    Refusal(make=lambda: ops.share_latest(key=3), text="key must be the name of a field", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: int(token))
