"""Where one sequence begins in another that began before it, while both still grow.

Old's trades of a contract are one run of the exchange's tape, and so are new's, which begins later. If new's first trade is
old's trade number n, then new's next ones are old's next ones, for as far as both are known. So all places but one are ruled
out sooner or later; this finds the first that is not, in time that grows with the number of trades and not with that of
places, however many equal prints there are (Knuth, Morris and Pratt's way, with a pattern that grows too).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from rxfeed.times import FOREVER

Key = tuple[int, float, int, int]
"""Time, price, size and side of a trade: all that is known of it, since trades have no id."""

NEVER: Final = FOREVER
"""More than any sequence has."""


class Alignment:
    """Two sequences, and the first place in the older one at which the later one may begin.

    That place is `passed - matched`: what was passed of the older one ends with the first `matched` elements of the later one.
    After each change one of the two is used up: either nothing waits, or all of the later one has matched.
    """

    __slots__ = ("_back", "_low", "later", "matched", "passed", "proof", "waiting")

    def __init__(self) -> None:
        self.later: list[Key] = []
        self.waiting: deque[Key] = deque()
        """The rest of the older sequence."""
        self.passed = self.matched = 0
        self.proof = NEVER
        """How many of the later sequence, from its first on, step up in time by more than `Steps.expected`."""
        self._back: list[int] = []  # for each beginning of `later`, the longest shorter one that it ends with
        self._low = FOREVER

    def older(self, key: Key) -> None:
        """Take the next element of the older sequence."""
        later, matched = self.later, self.matched
        if matched < len(later) and later[matched] == key:  # nothing waits then
            self.matched = matched + 1
            self.passed += 1
            return
        self.waiting.append(key)
        if later:
            self._advance()

    def later_one(self, key: Key, slack: int) -> None:
        """Take the next element of the later sequence."""
        later, back = self.later, self._back
        if later:
            length = back[-1]
            while length and later[length] != key:
                length = back[length - 1]
            back.append(length + 1 if later[length] == key else 0)
        else:
            back.append(0)
        later.append(key)
        time = key[0]
        if time < self._low:
            self._low = time
        elif self.proof == NEVER and time - self._low > slack:
            self.proof = len(later)
        if self.waiting:
            self._advance()

    def prove(self, slack: int) -> None:
        """Find `proof` again, since the largest step back that is to be expected has grown."""
        self.proof, low = NEVER, FOREVER
        for length, key in enumerate(self.later, 1):
            low = min(low, key[0])
            if key[0] - low > slack:
                self.proof = length
                return

    @property
    def place(self) -> int:
        """The first place that is not ruled out."""
        return self.passed - self.matched

    @property
    def next_place(self) -> int:
        """A place before which, but for `place`, all are ruled out."""
        return self.passed - self._back[self.matched - 1] if self.matched else self.passed + 1

    def rule_out(self, before: int) -> None:
        """Rule out all places before one."""
        while self.place < before:
            if self.matched:
                self.matched = self._back[self.matched - 1]
            elif self.waiting:
                self.waiting.popleft()
                self.passed += 1
            else:
                return
            self._advance()

    def _advance(self) -> None:
        waiting, later, back = self.waiting, self.later, self._back
        matched, before, length = self.matched, len(waiting), len(later)
        while waiting and matched < length:
            if waiting[0] == later[matched]:
                waiting.popleft()
                matched += 1
            elif matched:
                matched = back[matched - 1]
            else:
                waiting.popleft()
        self.matched = matched
        self.passed += before - len(waiting)
