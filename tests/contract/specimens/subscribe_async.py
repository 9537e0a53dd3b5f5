from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.aworld import AsyncWorld
from tests.contract.ends import Awaited
from tests.contract.specimen import Marble, Refusal, Specimen


async def save(_):
    pass


SPECIMENS = [
    Specimen(
        operator="subscribe_async",
        make=lambda _: Awaited(),
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
    Refusal(make=lambda: ops.subscribe_async(3), text="must be", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.subscribe_async(save, capacity=0), text="capacity must be at least 1, got 0"),
    Refusal(make=lambda: ops.subscribe_async(save, overflow="block"), text="overflow"),  # type: ignore
]
MARBLE = Marble(element=lambda token, _: token, names={"subscribe_async": lambda _: Awaited(), "save": save}, world=AsyncWorld)
