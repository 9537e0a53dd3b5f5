"""Quotes and order book of the synthetic market, row by row from its trades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from rxfeed.feeds.market import Grid, Trades
from rxfeed.model import Depth, DepthKind, Quote, Side
from rxfeed.sessions import Session, Span

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_RESET, _LEVEL = int(DepthKind.RESET), int(DepthKind.LEVEL)
_WHOLE: Final = 0.02
_SIZES_ONLY: Final = 0.3


def quote_rows(blocks: Iterable[Trades], names: Sequence[str], grids: Sequence[Grid]) -> Iterator[Quote]:
    """Yield a quote wherever bid or ask moved before a trade, and now and then one that moves only a size."""
    known: dict[int, tuple[int, int]] = {}
    last: dict[int, float] = {}
    volume = [0] * len(names)
    seq = 0
    for trades in blocks:
        for s, time, received, price, size, bid, ask, draw in _rows(trades):
            grid = grids[s]
            before = known.get(s)
            known[s] = bid, ask
            sizes = 1 + int(draw * 997) % 60, 1 + int(draw * 9_973) % 60
            whole = before is None or draw < _WHOLE
            moved_bid, moved_ask = (True, True) if before is None or whole else (before[0] != bid, before[1] != ask)
            if moved_bid or moved_ask:
                yield Quote(
                    names[s], time,
                    bid * grid.up / grid.down if moved_bid else None, ask * grid.up / grid.down if moved_ask else None,
                    sizes[0] if moved_bid else None, sizes[1] if moved_ask else None,
                    last.get(s) if whole else None, volume[s] if whole else None, seq, received,
                )  # fmt: skip
                seq += 1
            elif draw < _SIZES_ONLY:
                on_bid = draw < (_WHOLE + _SIZES_ONLY) / 2
                yield Quote(
                    names[s], time, bid_size=sizes[0] if on_bid else None, ask_size=None if on_bid else sizes[1],
                    seq=seq, received=received,
                )  # fmt: skip
                seq += 1
            last[s] = price * grid.up / grid.down
            volume[s] += size


def depth_rows(
    blocks: Iterable[Trades], names: Sequence[str], grids: Sequence[Grid], levels: int, seed: int, session: Session | None
) -> Iterator[Depth]:
    """Yield the book's changes; its best prices are the bid and ask of each trade."""
    best: dict[int, tuple[int, int]] = {}
    spans: dict[int, Span | None] = {}
    seq = 0
    for number, trades in enumerate(blocks):
        rng = np.random.default_rng((seed, number, 1))
        sizes = rng.integers(1, 80, (len(trades.time), 4)).tolist()
        for (s, time, received, _, _, bid, ask, draw), fresh in zip(_rows(trades), sizes, strict=True):
            changes: list[tuple[int, int, int]] = []  # side, price, size
            before = best.get(s)
            if session is not None:
                span = spans.get(s)
                if span is None or not span.open <= time < span.close:
                    spans[s] = session.span_at(time)
                    before = None
            best[s] = bid, ask
            if before is None:
                yield Depth(names[s], time, _RESET, seq=seq, received=received)
                seq += 1
                for k in range(levels):
                    changes += ((_BUY, bid - k, fresh[0] + 7 * k), (_SELL, ask + k, fresh[1] + 7 * k))
            else:
                bids = _moved(_BUY, -1, before[0], bid, levels, fresh[0])
                asks = _moved(_SELL, 1, before[1], ask, levels, fresh[1])
                changes = asks + bids if bid > before[0] else bids + asks  # makes room first: the book is never crossed
                if not changes:
                    k = int(draw * 97) % levels
                    changes.append((_BUY, bid - k, fresh[2]) if draw < 0.5 else (_SELL, ask + k, fresh[3]))
            for side, price, size in changes:
                grid = grids[s]
                yield Depth(names[s], time, _LEVEL, side, price * grid.up / grid.down, size, 0, seq, received)
                seq += 1


def _moved(side: int, away: int, old: int, new: int, levels: int, size: int) -> list[tuple[int, int, int]]:
    """Return what turns `levels` prices from `old` on into as many from `new` on; `away` points away from the market."""
    had = {old + away * k for k in range(levels)}
    wanted = [new + away * k for k in range(levels)]
    gone = [(side, price, 0) for price in sorted(had.difference(wanted))]
    return gone + [(side, price, size + k) for k, price in enumerate(wanted) if price not in had]


def _rows(trades: Trades) -> Iterator[tuple[int, int, int, int, int, int, int, float]]:
    columns = (trades.symbol, trades.time, trades.received, trades.price, trades.size, trades.bid, trades.ask, trades.draw)
    return zip(*(column.tolist() for column in columns), strict=True)
