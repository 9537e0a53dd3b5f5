from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.aworld import AsyncWorld
from tests.contract.ends import Looped
from tests.contract.specimen import Marble, Refusal, Specimen

SPECIMENS = [
    Specimen(
        operator="to_async_iter",
        make=lambda _: Looped(),
        world=AsyncWorld,
        rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
        lanes=["rows", "frames"],
        takes=None,
        guards=True,
        conserved=lambda s: s.received == s.emitted + s.dropped + s.pending,
        weight=lambda _: 1,
    )
]
REFUSES = [
    Refusal(make=lambda: ops.to_async_iter(0), text="capacity must be at least 1, got 0"),
    Refusal(make=lambda: ops.to_async_iter(8, "block"), text="overflow"),  # type: ignore
    Refusal(make=lambda: ops.to_async_iter(scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: token, names={"to_async_iter": Looped}, world=AsyncWorld)
