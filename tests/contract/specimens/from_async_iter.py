from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.aworld import AsyncWorld
from tests.contract.ends import iterated
from tests.contract.specimen import Marble, Refusal, Specimen

SPECIMENS = [
    Specimen(
        operator="from_async_iter",
        make=lambda _: iterated,
        world=AsyncWorld,
        rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
        lanes=["rows"],
        takes=None,
        guards=True,
        passes_scheduler=False,
    )
]
REFUSES = [
    Refusal(make=lambda: ops.from_async_iter(3), text="from_async_iter takes an async iterable or a function", error=TypeError)  # type: ignore
]
MARBLE = Marble(element=lambda token, _: token, names={"from_async_iter": lambda: iterated}, world=AsyncWorld)
