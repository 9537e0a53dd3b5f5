"""Nothing downstream can be right if a bad price gets in, and a bad price thrown away in silence is a loss. So every
element passes, waits until the market confirms it, or goes to an observer of rejects with the rule it failed and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reactivex import abc

from rxfeed.frame import Frame
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.validate.frames import validate_frame
from rxfeed.kernels.validate.kernel import ValidateKernel, ValidateStats
from rxfeed.model import Reject, Tick
from rxfeed.rules import DEFAULT, Rule

from ._call import call
from ._gate import Gate, Passing, Quick
from ._sink import sink


class Validate(Gate[ValidateKernel, Reject]):
    """What `validate` returns: an operator, and the counts of its newest subscription."""

    name = "validate"

    @property
    def stats(self) -> ValidateStats:
        """Elements by what became of them: received = emitted + rejected + pending."""
        return self._newest.stats

    def _quick(self, kernel: ValidateKernel) -> Mapping[type[Any], Quick]:
        kernel.heard = self._told is not None
        return {Tick: kernel.passes}

    def _passing(self, kernel: ValidateKernel) -> Passing:
        return kernel.passing

    def _row(self, kernel: ValidateKernel, row: Any) -> list[Any]:
        passed = kernel.element(row)
        self._report(kernel)
        return [*passed]

    def _frame(self, kernel: ValidateKernel, frame: Frame[Any]) -> Frame[Any] | None:
        passed = validate_frame(kernel, frame)
        self._report(kernel)
        return passed

    def _finish(self, kernel: ValidateKernel) -> None:
        kernel.finish()
        self._report(kernel)

    def _report(self, kernel: ValidateKernel) -> None:
        self._tell(kernel.take_rejects())


def validate(
    *rules: Rule,
    instruments: Instruments = None,
    rejects: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = None,
    fast: bool = False,
) -> Validate:
    """Pass the elements that every rule accepts; on frames the same as row by row.

        --100--101--NaN--102--|
        validate()
        --100--101-------102--|

    Args:
        rules: values of `rxfeed.rules`, in any order, as theirs is fixed; none for `rules.DEFAULT`.
        instruments: `Instrument` values, or a mapping of them by symbol: tick size, session, who may be negative.
        rejects: an observer or a callable that hears each `Reject`: element, rule and reason. It is never completed, since
            several stages may share one. A frame's rejects come before what passes of it.
        fast: look at frames by a loop that numba compiles (extra `fast`); the judgement is the same. See `bars`.

    Returns:
        An operator from rows or frames of ticks, quotes or depth to the same; its `stats` counts by rule.

    Raises:
        RuleError: a rule twice, or one that does not fit an instrument.
        ImportError: `fast` without numba.

    Ends: with the source; before that, suspects that nothing confirmed are rejected.
    Drops: what a rule rejects; `rejects` hears of it.
    Clock: none; times are compared with each element's `received`.
    """
    text = call(validate, locals())
    chosen, named = rules or DEFAULT, by_symbol(instruments)
    return Validate(lambda: ValidateKernel(chosen, named, fast=fast), sink(rejects), text)
