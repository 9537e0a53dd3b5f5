"""Who is to act on a change wants the first one at once, and then not more than he can take, but never to miss the last."""

from __future__ import annotations

from rxfeed.kernels.keys import Key
from rxfeed.scheduler import Timed
from rxfeed.times import Duration

from ._call import call
from ._newest import Newest


def throttle_latest(period: Duration, *, key: Key = None, scheduler: Timed = None) -> Newest:
    """Emit at most one element a period: the first at once, and the newest of the others when the next period begins.

        --1-2-----3----4--5|
        throttle_latest(5)
        --1--2----3----4---(5|)

    Args:
        period: more than 0. Periods begin at its multiples on the clock, so that no result depends on when one subscribed;
            two elements may be less than a period apart, on either side of such an edge.
        key: a field's name, such as `"symbol"`, or for rows a callable: at most one a period of each key. As many are known
            as there are keys in one period.
        scheduler: the clock, or its scheduler; the subscriber's by default, if it is one of ours.

    Returns:
        An operator from rows to rows, or from frames to frames; its `stats` counts rows.

    Raises:
        TypeError, ValueError: a period of 0; a key that is neither; no clock (when it is subscribed); or, as the stream's
            error, a callable key on frames.

    Ends: what is pending goes out before completion, and before an error of the source too, since it came before it.
    Drops: what is neither the first nor the newest of its period.
    Clock: the scheduler's; one timer, only while something is pending. An element is of the period in which it comes,
    whatever its own time.
    """
    text = call(throttle_latest, locals())
    return Newest("throttle_latest", period, key, scheduler, text, leading=True)
