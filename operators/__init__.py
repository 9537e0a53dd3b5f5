"""The operators: `from rxfeed import operators as ops`."""

from .backpressure import backpressure
from .bars import bars
from .batch import batch
from .checkpoint import checkpoint
from .circuit_breaker import circuit_breaker
from .collect import collect
from .dedupe import dedupe
from .detect_gaps import detect_gaps
from .each import each
from .from_async_iter import from_async_iter
from .latest_quote import latest_quote
from .meter import meter
from .order_book import order_book
from .repair import repair
from .restart import restart
from .resubscribe_on import resubscribe_on
from .retry import retry
from .sample_every import sample_every
from .share_latest import share_latest
from .subscribe import subscribe
from .subscribe_async import subscribe_async
from .throttle_latest import throttle_latest
from .timeout_idle import timeout_idle
from .to_async_iter import to_async_iter
from .validate import validate
from .where import where

__all__ = [
    "backpressure",
    "bars",
    "batch",
    "checkpoint",
    "circuit_breaker",
    "collect",
    "dedupe",
    "detect_gaps",
    "each",
    "from_async_iter",
    "latest_quote",
    "meter",
    "order_book",
    "resubscribe_on",
    "repair",
    "restart",
    "retry",
    "sample_every",
    "share_latest",
    "subscribe",
    "subscribe_async",
    "throttle_latest",
    "timeout_idle",
    "to_async_iter",
    "validate",
    "where",
]
