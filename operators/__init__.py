"""The operators: `from rxfeed import operators as ops`."""

from .bars import bars
from .batch import batch
from .each import each
from .validate import validate
from .where import where

__all__ = ["bars", "batch", "each", "validate", "where"]
