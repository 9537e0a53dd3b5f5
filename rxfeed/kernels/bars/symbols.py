"""Symbols as small numbers, given in the order in which they first come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rxfeed.kernels.bars.parts import Ints


class Symbols:
    """The numbering of one kernel. It only grows: one name and one int a symbol."""

    __slots__ = ("_ids", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self._ids: dict[str, int] = {}

    def number(self, names: Sequence[str]) -> Ints:
        """Return the numbers of `names`, new ones included."""
        ids = self._ids
        for name in names:
            if name not in ids:
                ids[name] = len(self.names)
                self.names.append(name)
        return np.array([ids[name] for name in names], np.int64)

    def id(self, name: str) -> int:
        return int(self.number((name,))[0])

    def name(self, number: int) -> str:
        return self.names[number]
