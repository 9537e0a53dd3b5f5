from rxfeed import operators as ops
from tests.builders import tick
from tests.contract.specimen import OF_FEEDS, Callback, Marble, Refusal, Specimen

SPECIMENS = [
    Specimen(
        operator="detect_gaps",
        make=lambda _: ops.detect_gaps(sequence=True, silence="5s"),
        # One missing, that comes late; and ten seconds of silence.
        rows=[tick(at, 100.0, seq=seq) for at, seq in [(0, 1), (1, 2), (2, 4), (3, 3), (3.5, 5), (13.5, 6), (14, 9), (15, 10)]],
        lanes=["rows", "runs", "frames"],
        takes=OF_FEEDS,
        callbacks={"gaps": Callback(make=lambda call, _: ops.detect_gaps(sequence=True, silence="5s", gaps=call))},
        conserved=lambda s: s.received == s.emitted,
    )
]
REFUSES = [
    Refusal(make=lambda: ops.detect_gaps(), text="detect_gaps needs sequence=True, a silence"),
    Refusal(make=lambda: ops.detect_gaps(silence=0), text="silence must be more than 0, got 0"),
    Refusal(make=lambda: ops.detect_gaps(sequence=True, session="CME"), text="session is for silence, which was not given"),
    Refusal(make=lambda: ops.detect_gaps(silence="1s", session="Mars"), text="Mars"),
    Refusal(make=lambda: ops.detect_gaps(sequence=True, gaps=3), text="gaps must be an observer", error=TypeError),  # type: ignore
]
MARBLE = Marble(element=lambda token, time: tick(0, seq=int(token)), show=lambda row: str(row.seq))
