"""A circuit breaker that keeps all outcomes in lists, and works everything out anew at each question."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


class Model:
    def __init__(
        self, *, calls: int | None, length: float | None, rate: float, minimum: int, slow: float | None, slow_rate: float,
        waits: Callable[[int], float], permits: int, longest: float,
    ) -> None:  # fmt: skip
        self.calls, self.length, self.rate, self.minimum = calls, length, rate, minimum
        self.slow, self.slow_rate, self.waits, self.permits, self.longest = slow, slow_rate, waits, permits, longest
        self.state, self.now, self.opens, self.row = "closed", 0.0, 0, 0
        self.until = 0.0
        self.done: list[tuple[float, bool, bool]] = []  # since it was closed
        self.tried: list[tuple[bool, bool]] = []
        self.running: list[dict[str, Any]] = []  # half-open attempts
        self.began: float | None = None
        self.story: list[str] = []

    def be(self, state: str) -> None:
        if state != self.state:
            self.story.append(f"{self.state} -> {state}")
        self.state = state
        self.running, self.began, self.tried = [], None, []
        if state == "closed":
            self.done, self.row = [], 0

    def bad(self, outcomes: list[tuple[bool, bool]], of: int) -> bool:
        failed, slow = sum(f for f, _ in outcomes), sum(s for _, s in outcomes)
        return failed / of >= self.rate or (self.slow is not None and slow / of >= self.slow_rate)

    def open(self, at: float) -> None:
        self.opens += 1
        self.row += 1
        self.until = at + self.waits(self.row)
        self.be("open")

    def settle(self) -> None:
        if self.state == "half_open" and self.began is not None and self.now >= self.began + self.longest:
            at = self.began + self.longest
            outcomes = [*self.tried, *[(True, False)] * len(self.running)]
            if self.bad(outcomes, len(outcomes)):
                self.open(at)
            else:
                self.be("closed")

    def free(self) -> bool:
        self.settle()
        match self.state:
            case "open":
                return self.now >= self.until
            case "half_open":
                return len(self.tried) + len(self.running) < self.permits
            case "forced_open":
                return False
            case _:
                return True

    def begin(self) -> dict[str, Any]:
        assert self.free()
        if self.state == "open":
            self.be("half_open")
        attempt = {"state": self.state, "epoch": len(self.story), "begun": self.now, "over": False, "resets": self.resets}
        if self.state == "half_open":
            self.running.append(attempt)
            if self.began is None:
                self.began = self.now
        return attempt

    resets = 0

    def end(self, attempt: dict[str, Any], how: str) -> None:
        self.settle()
        if attempt["over"] or attempt["epoch"] != len(self.story) or attempt["resets"] != self.resets:
            return
        attempt["over"] = True
        slow = self.slow is not None and self.now - attempt["begun"] > self.slow
        if self.state == "half_open":
            self.running.remove(attempt)
            if how == "nothing":
                if not self.running and not self.tried:
                    self.began = None
                return
            self.tried.append((how == "failed", slow))
            best = [*self.tried, *[(False, False)] * (self.permits - len(self.tried))]
            worst = [*self.tried, *[(True, True)] * (self.permits - len(self.tried))]
            if self.bad(best, self.permits):
                self.open(self.now)
            elif not self.bad(worst, self.permits):
                self.be("closed")
        elif self.state == "closed" and how != "nothing":
            self.done.append((self.now, how == "failed", slow))
            if (how == "failed" or slow) and len(self.seen()) >= self.minimum and self.bad(self.seen(), len(self.seen())):
                self.open(self.now)

    def seen(self) -> list[tuple[bool, bool]]:
        done = self.done
        if self.length is not None:
            # In slices of a twentieth, on a grid: the one that runs and the nineteen before.
            slice_ = self.length / 20
            first = math.floor(round(self.now / slice_, 6)) - 19
            done = [each for each in done if math.floor(round(each[0] / slice_, 6)) >= first]
        return [(failed, slow) for _, failed, slow in (done[-self.calls :] if self.calls else done)]

    def hand(self, state: str) -> None:
        self.settle()
        self.resets += 1
        self.be(state)
