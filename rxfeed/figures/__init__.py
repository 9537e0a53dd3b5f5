"""Statistics that cannot grow, however long a feed runs and whatever comes: figures of the last minute, hour and day, and
figures by label for so many labels and no more. How durations are gathered is `rxfeed.kernels.meter.Distribution`.
"""

from __future__ import annotations

from .labels import OTHER, Labels
from .rotating import PERIODS, Counted, Measured, RotatingCount, RotatingDistribution

__all__ = ["OTHER", "PERIODS", "Counted", "Labels", "Measured", "RotatingCount", "RotatingDistribution"]
