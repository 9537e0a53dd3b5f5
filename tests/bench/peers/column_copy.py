"""The limit: copying the four columns that bars are made of, since whoever reads them all takes at least that long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rxfeed.frame import Array
from tests.bench.market import Market
from tests.bench.peers import Lane

KIND = "frames"
PACKAGES = ("numpy",)
OWN = None


def _columns(market: Market) -> list[Array]:
    frame = market.frame
    codes = frame.df["symbol"].to_physical().to_numpy()
    return [codes, *(np.asarray(frame.column(name)) for name in ("time", "price", "size"))]


def _copy(columns: Sequence[Array]) -> None:
    for column in columns:
        column.copy()


def lanes() -> list[Lane]:
    return [Lane("copy of time, price, size, symbol", _columns, _copy)]
