"""The operators: `from rxfeed import operators as ops`."""

from .bars import bars
from .batch import batch
from .checkpoint import checkpoint
from .each import each
from .meter import meter
from .share_latest import share_latest
from .validate import validate
from .where import where

__all__ = [
    "bars",
    "batch",
    "checkpoint",
    "each",
    "meter",
    "share_latest",
    "validate",
    "where",
]
