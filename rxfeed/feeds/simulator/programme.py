"""What is on: which contracts are listed, and by which tape they trade."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rxfeed.feeds.readers import Source
from rxfeed.feeds.simulator.listing import Listed, listing
from rxfeed.feeds.simulator.tape import Tape, recorded_tape, symbols_of, synthetic_tape

CONTRACTS: Final = ("MNQ", "MES", "NQ", "ES")


def listed_with_tape(
    contracts: Iterable[str] | None, seed: int, now: int, tape: Source | None, map: Mapping[str, str | None] | None
) -> tuple[dict[str, Listed], Tape]:
    """Return what is listed and the tape it trades by: a seed's, or a recorded one, whose symbols are the default.

    Raises:
        ValueError: contracts that are none, or not of the tape.
        InputError: a tape that cannot be read.
    """
    if tape is None:
        listed = listing(CONTRACTS if contracts is None else contracts, now)
        return listed, synthetic_tape(seed, listed.values())
    sizes = symbols_of(tape, map)
    listed = listing(list(sizes) if contracts is None else contracts, now, sizes)
    by_symbol = {
        symbol: one
        for symbol in sizes
        for one in listed.values()
        if symbol in (one.symbol, one.root, one.id, one.name)
    }  # fmt: skip
    if not by_symbol:
        raise ValueError(f"contracts must be of the tape's symbols {', '.join(sizes)}, got {', '.join(listed)}")
    return listed, recorded_tape(tape, by_symbol, map)
