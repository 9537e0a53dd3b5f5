from rxfeed import operators as ops
from rxfeed.model import Quote
from tests.builders import T0
from tests.contract.specimen import SECOND, Marble, Refusal, Specimen


def quote(token, time):
    bid, ask = (None if side == "_" else float(side) for side in token)
    return Quote("A", time, bid, ask)


SPECIMENS = [
    Specimen(
        operator="latest_quote",
        make=lambda _: ops.latest_quote(),
        # Incomplete, whole, partial, stale, of another symbol.
        rows=[
            Quote("A", T0, bid=99.0, seq=0),
            Quote("A", T0 + SECOND, ask=101.0, ask_size=3, seq=1),
            Quote("A", T0 + 2 * SECOND, bid=100.0, seq=2, received=7),
            Quote("A", T0 + SECOND, bid=98.0, seq=3),
            Quote("B", T0 + 2 * SECOND, 1.0, 2.0, seq=4),
            Quote("A", T0 + 3 * SECOND, bid_size=4, seq=5),
            Quote("B", T0 + 4 * SECOND, last=1.5, seq=6),
        ],
        lanes=["rows", "frames"],
        takes=frozenset({"Quote", "Frame[Quote]"}),
        conserved=lambda s: s.received == s.emitted + s.incomplete + s.stale,
    )
]
REFUSES = [Refusal(make=lambda: ops.latest_quote(need=["bid", "price"]), text="need must be names out of .*, got 'price'")]
MARBLE = Marble(element=quote, show=lambda q: f"{q.bid:g}{q.ask:g}")
