"""Two connections of one feed as one, while a token changes."""

from __future__ import annotations

from .depth import DepthSplice
from .kernel import Mark, Splice
from .quotes import QuoteSplice

__all__ = ["DepthSplice", "Mark", "QuoteSplice", "Splice"]
