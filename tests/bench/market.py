"""The ticks that are measured: eight futures, bursts, many equal times."""

from __future__ import annotations

from rxfeed import Frame, Tick, synthetic

SYMBOLS = ("MNQ", "MES", "ES", "NQ", "CL", "GC", "MYM", "M2K")
TIMEFRAMES = ("1s", "1m", "5m", "1h", "1d")
SESSION = "CME"


def frame(count: int, rate: float) -> Frame[Tick]:
    """`count` ticks of all symbols together, at `rate` a second on average."""
    return synthetic(1, symbols=SYMBOLS, rate=rate, n=count, session=SESSION).ticks_frame(count)
