"""A figure a symbol is a fine thing until somebody subscribes to ten thousand of them, or puts a text with a number in it where
a label goes. So the first labels get one each, and the rest share one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

OTHER: Final = "other"
"""The label of those that share."""
LONGEST: Final = 120
"""Characters of a label; what is longer is cut."""


class Labels(Generic[T]):
    """One figure a label, for the first `most` labels; all others have one together.

    Args:
        make: makes a figure.
        most: how many labels have one of their own, `OTHER` not counted.

    Raises:
        ValueError: `most` is below 1.
    """

    __slots__ = ("_figures", "_make", "_most", "shared")

    def __init__(self, make: Callable[[], T], *, most: int = 64) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        self._make, self._most = make, most
        self._figures: dict[str, T] = {}
        self.shared = 0
        """How often `OTHER`'s was returned for a label that came too late."""

    def __getitem__(self, label: str) -> T:
        """Return the label's figure, made when it is first asked for."""
        found = self._figures.get(label)
        return self._late(label[:LONGEST]) if found is None else found

    def __len__(self) -> int:
        return len(self._figures)

    def __contains__(self, label: object) -> bool:
        return label in self._figures

    def items(self) -> list[tuple[str, T]]:
        """Return all there are, in the order in which they were first asked for."""
        return list(self._figures.items())

    def _late(self, label: str) -> T:
        if label not in self._figures and len(self._figures) - (OTHER in self._figures) >= self._most:
            self.shared += label != OTHER
            label = OTHER
        found = self._figures.get(label)
        if found is None:
            found = self._figures[label] = self._make()
        return found
