import math

from rxfeed import operators as ops
from rxfeed import rules
from rxfeed.errors import RxfeedError
from rxfeed.model import Quote
from tests.builders import T0, tick, ticks
from tests.contract.specimen import OF_FEEDS, Callback, Marble, Refusal, Specimen


def judged_by(judge):
    class Own(rules.Rule):
        name = "own"

        def reason(self, element, instrument):
            return judge(element)

    return Own()


TICKS = Specimen(
    operator="validate",
    variant="ticks",
    make=lambda _: ops.validate(),
    # An outlier, a jump that the market confirms, and one that nothing does.
    rows=ticks(
        (0, 100),
        (0.5, 100.5),
        (0.7, 100),
        (1, 101),
        (2, math.nan),
        (3, 101.5),
        (4, 300),
        (5, 102),
        (6, 200),
        (7, 201),
        (8, 202),
        (9, 203),
        (10, 500),
    ),
    lanes=["rows", "runs", "frames"],
    takes=OF_FEEDS,
    callbacks={
        "rejects": Callback(make=lambda call, _: ops.validate(rejects=call)),
        "a rule": Callback(make=lambda call, _: ops.validate(judged_by(call))),
    },
    conserved=lambda s: s.received == s.emitted + s.rejected + s.pending and s.rejected == sum(s.by_rule.values()),
)
SPECIMENS = [
    TICKS,
    TICKS.but(
        variant="quotes",
        lanes=["rows", "frames"],
        rows=[Quote("A", T0, bid=bid, ask=101.0, seq=seq) for seq, bid in enumerate([100.0, 102.0, math.inf, 100.5, 100.0])],
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.validate(rules.Finite(), rules.Finite()), text="a rule may be given once", error=RxfeedError),
    Refusal(make=lambda: ops.validate("finite"), text="rules must be values of rxfeed.rules", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.validate(rejects=3), text="rejects must be an observer or a callable, got int", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, time: tick((time - T0) / 1e9, float(token), seq=time), show=lambda row: f"{row.price:g}")
