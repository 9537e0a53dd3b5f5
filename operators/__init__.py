"""The operators: `from rxfeed import operators as ops`."""

from .bars import bars
from .batch import batch
from .checkpoint import checkpoint
from .dedupe import dedupe
from .detect_gaps import detect_gaps
from .each import each
from .latest_quote import latest_quote
from .meter import meter
from .order_book import order_book
from .sample_every import sample_every
from .share_latest import share_latest
from .throttle_latest import throttle_latest
from .validate import validate
from .where import where

__all__ = [
    "bars",
    "batch",
    "checkpoint",
    "dedupe",
    "detect_gaps",
    "each",
    "latest_quote",
    "meter",
    "order_book",
    "sample_every",
    "share_latest",
    "throttle_latest",
    "validate",
    "where",
]
