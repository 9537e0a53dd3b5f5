"""Random changes of connection; `python -m tests.kernels.splice_runs 30000` makes many more."""

from __future__ import annotations

from tests.kernels.splice_runs import runs

RUNS = 1_200


def test_what_was_certain_is_exact_and_a_gap_has_the_rest() -> None:
    counts, wrong = runs(range(RUNS))
    assert wrong == []
    print(*(f"{times:6} {what}" for what, times in sorted(counts.items())), sep="\n")
    # A kernel that is never certain would be right as well.
    assert counts["both live: certain"] > 0.5 * sum(n for what, n in counts.items() if what.startswith("both live"))
    assert counts["loss: certain"] > 150
    assert counts["loss: uncertain odd"] > 20
    assert counts["behind: certain"] > 40


def test_runs_are_the_same_each_time() -> None:
    assert runs(range(20)) == runs(range(20))
