"""What every public operator keeps, whatever it does. Each check is told a specimen and how elements come, and fails with
what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .calls import callback, reentrant, subscriber
from .content import same_content, stats, wall_clock, wrong_element
from .life import disposal, ends, grammar, scheduler, second
from .specimen import Lane, Specimen

__all__ = ["CHECKS", "callback", "checks", "same_content"]

CHECKS: Sequence[Callable[[Specimen, Lane], None]] = (
    grammar, disposal, second, subscriber, reentrant, wall_clock, wrong_element, ends, stats, scheduler,
)  # fmt: skip


def checks(lane: Lane) -> Sequence[Callable[[Specimen, Lane], None]]:
    """Those that are asked of every specimen. What a run's subscriber feeds back comes somewhere amid the run."""
    return [check for check in CHECKS if (check, lane) != (reentrant, "runs")]
