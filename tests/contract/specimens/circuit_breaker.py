from reactivex import Subject

from rxfeed import operators as ops
from rxfeed.breaker import Breaker
from rxfeed.clock import VirtualClock
from tests.builders import ticks
from tests.contract.specimen import Marble, Refusal, Specimen


def breaker(**more):
    return Breaker("feed", clock=VirtualClock(), **more)


PLAIN = Specimen(
    operator="circuit_breaker",
    make=lambda _: ops.circuit_breaker(breaker()),
    rows=ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104)),
    lanes=["rows", "runs", "frames"],
    takes=None,
)
SPECIMENS = [
    PLAIN,
    PLAIN.but(
        variant="with a fallback",
        make=lambda _: ops.circuit_breaker(breaker(healthy_after="5s"), fallback=Subject()),
        lanes=["rows", "runs"],
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.circuit_breaker("x"), text="breaker must be a Breaker, got str", error=TypeError),  # type: ignore
    Refusal(
        make=lambda: ops.circuit_breaker(breaker(), fallback=3),  # type: ignore
        text="fallback must be an observable, got int",
        error=TypeError,
    ),
]
MARBLE = Marble(element=lambda token, _: int(token), names={"Breaker": lambda name: breaker()})
