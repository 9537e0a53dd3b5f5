from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.specimen import Marble, Refusal, Specimen

SPECIMENS = [
    Specimen(
        operator="checkpoint",
        make=lambda _: ops.checkpoint("clean"),
        rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
        lanes=["rows", "frames"],
        takes=None,
    )
]
REFUSES = [
    Refusal(make=lambda: ops.checkpoint(""), text="name must not be empty, got ''"),
    Refusal(make=lambda: ops.checkpoint(3), text="name must be text, got int", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: int(token))
