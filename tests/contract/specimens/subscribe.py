from rxfeed import operators as ops
from tests.builders import ticks
from tests.contract.ends import Subscribed
from tests.contract.specimen import Marble, Refusal, Specimen


async def awaits(_):
    pass


SPECIMENS = [
    Specimen(
        operator="subscribe",
        make=lambda _: Subscribed(),
        rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
        lanes=["rows", "frames"],
        takes=None,
        guards=True,
    )
]
REFUSES = [
    Refusal(make=lambda: ops.subscribe(3), text="on_next must be a function or an observer, got int", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.subscribe(awaits), text="is a coroutine function, and nobody would await it", error=TypeError),
]
MARBLE = Marble(element=lambda token, _: token, names={"subscribe": Subscribed, "print": print})
