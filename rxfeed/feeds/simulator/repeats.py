"""A tape with more equal prints than its own, so that two connections of one feed are hard to splice."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from rxfeed.feeds.simulator.tape import Block, Lane, Tape


def repeating(tape: Tape, share: float, seed: int) -> Tape:
    """Return a tape of which a share of the trades repeat their contract's trade before: price, size and side.

    Their times stay; with a coarse resolution many of those are equal too.

    Args:
        tape: the trades.
        share: from 0 to 1.
        seed: decides which.

    Raises:
        ValueError: it is no share.
    """
    if isinstance(share, bool) or not 0 <= share <= 1:
        raise ValueError(f"repeats must be a share from 0 to 1, got {share!r}")
    if not share:
        return tape

    def play() -> Iterator[Block]:
        random = Random(f"rxfeed repeats {seed}")  # noqa: S311  # it is a simulation
        for block in tape():
            yield Block(block.elapsed, [_repeated(lane, share, random) for lane in block.lanes])

    return play


def _repeated(lane: Lane, share: float, random: Random) -> Lane:
    columns = [column.copy() for column in lane[3:]]
    for n in range(1, len(lane.places)):
        if random.random() < share:
            for column in columns:
                column[n] = column[n - 1]
    return Lane(lane.contract, lane.places, lane.elapsed, *columns)
