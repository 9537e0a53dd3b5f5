"""A screen that is drawn four times a second needs four prices a second, and the newest ones; whoever draws each tick is
soon seconds behind.
"""

from __future__ import annotations

from rxfeed.kernels.keys import Key
from rxfeed.scheduler import Timed
from rxfeed.times import Duration

from ._call import call
from ._newest import Newest


def sample_every(period: Duration, *, key: Key = None, scheduler: Timed = None) -> Newest:
    """Emit the newest element of each period, when the period ends.

        --1-2-----3----4--5|
        sample_every(5)
        -----2---------3---(5|)

    Args:
        period: more than 0. Periods begin at its multiples on the clock, so that no result depends on when one subscribed.
        key: a field's name, such as `"symbol"`, or for rows a callable: the newest of each key, in the order in which they
            came. As many are held as there are keys in one period.
        scheduler: the clock, or its scheduler; the subscriber's by default, if it is one of ours.

    Returns:
        An operator from rows to rows, or from frames to frames, of the newest rows; its `stats` counts rows.

    Raises:
        TypeError, ValueError: a period of 0; a key that is neither; no clock (when it is subscribed); or, as the stream's
            error, a callable key on frames.

    Ends: what is pending goes out before completion, and before an error of the source too, since it came before it.
    Drops: what is not the newest; a period without elements emits nothing.
    Clock: the scheduler's; one timer, only while something is pending. An element is of the period in which it comes,
    whatever its own time.
    """
    text = call(sample_every, locals())
    return Newest("sample_every", period, key, scheduler, text, leading=False)
