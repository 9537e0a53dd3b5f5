"""Two connections of one feed as one, while a token changes."""

from __future__ import annotations

from .kernel import Mark, Splice

__all__ = ["Mark", "Splice"]
