from rxfeed import operators as ops
from rxfeed.model import Depth
from tests.builders import T0
from tests.contract.specimen import SECOND, Callback, Marble, Refusal, Specimen
from tests.oracle_book import depth, group, shown

ROWS = [
    depth("b99", -1),  # before there is a book
    *group("R b99 b98 a101 a102", 0),
    depth("b100", 1),
    depth("b100x2", 1.2),
    depth("b100x3", 1.4),
    depth("b100x0", 2),
    Depth("A", T0 + 2 * SECOND, 7),  # no such kind
    *group("R b1 a2", 2, symbol="B"),
    depth("b103", 3),  # crosses, for good
    depth("a104", 4),
    *group("R b99 a101", 5),
    depth("a100", 6),
]
PLAIN = Specimen(
    operator="order_book",
    make=lambda _: ops.order_book(2),
    rows=ROWS,
    lanes=["rows", "frames"],
    cut=3,
    takes=frozenset({"Depth", "Frame[Depth]"}),
    at_completion=["B 1.0 / 2.0"],
    callbacks={"faults": Callback(make=lambda call, _: ops.order_book(2, faults=call))},
    conserved=lambda s: s.received == s.applied + s.rejected + s.unready + s.stale,
    weight=lambda element: len(element) if hasattr(element, "df") else 1,
)
SPECIMENS = [
    PLAIN,
    PLAIN.but(
        variant="at most one a period of event time",
        make=lambda _: ops.order_book(2, every="2s"),
        at_completion=["A 99.0 / 100.0", "B 1.0 / 2.0"],
        at_error=["A 99.0 / 100.0"],
    ),
    PLAIN.but(
        variant="with a clock",
        make=lambda clock: ops.order_book(2, every="1500ms", scheduler=clock),
        clocked=True,
        at_completion=["A 99.0 / 100.0"],
        at_error=["A 99.0 / 100.0"],
        same_in_both=False,  # a frame is of the period in which it comes
    ),
]
REFUSES = [
    Refusal(make=lambda: ops.order_book(0), text="depth must be at least 1, got 0"),
    Refusal(make=lambda: ops.order_book(5, levels=4), text="levels must be at least depth, which is 5, got 4"),
    Refusal(make=lambda: ops.order_book(every=0), text="every must be more than 0, got 0"),
    Refusal(make=lambda: ops.order_book(faults=3), text="faults must be an observer or a callable, got int", error=TypeError),  # type: ignore
    Refusal(make=lambda: ops.order_book(scheduler=3), text="scheduler must be a clock", error=TypeError),  # type: ignore
]
MARBLE = Marble(
    element=lambda token, time: depth(token, (time - T0) / SECOND),
    show=shown,
    legend={"99 / 102": "A", "100 / 102": "B", "103 / 104": "C"},
    clocked=False,
)
