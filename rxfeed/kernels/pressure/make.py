"""From a policy to what holds the backlog."""

from __future__ import annotations

from typing import Final

from rxfeed.kernels.pressure.backlog import Backlog
from rxfeed.kernels.pressure.conflating import Conflating
from rxfeed.kernels.pressure.dropping import DroppingLatest, DroppingOldest, Latest, Refusing
from rxfeed.kernels.pressure.newest import NewestBars
from rxfeed.kernels.pressure.sampling import Sampling
from rxfeed.overflow import Blocking, Conflate, Overflowing, Sample

_SIMPLE: Final[dict[str, type[Backlog]]] = {
    kind.policy: kind for kind in (NewestBars, Refusing, DroppingOldest, DroppingLatest, Latest)
}


def backlog(capacity: int, overflow: Overflowing, *, gaps: bool = True) -> Backlog:
    """Return an empty backlog.

    Args:
        capacity: ticks, or bars, that may wait.
        overflow: what is done with more; of `block` it is what is done when that was not enough.
        gaps: whether anybody asks what was lost.

    Raises:
        ValueError: a capacity that is not allowed.
    """
    if isinstance(overflow, Blocking):
        overflow = overflow.then
    if isinstance(overflow, Sample):
        return Sampling(capacity, overflow, gaps=gaps)
    if isinstance(overflow, Conflate):
        return Conflating(capacity, overflow, gaps=gaps)
    return _SIMPLE[overflow](capacity, gaps=gaps)
