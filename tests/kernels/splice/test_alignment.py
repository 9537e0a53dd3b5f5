"""Where one sequence begins in another, against trying every place."""

from __future__ import annotations

from random import Random

from rxfeed.kernels.splice.alignment import NEVER, Alignment, Key


def possible(older: list[Key], later: list[Key], least: int) -> list[int]:
    """Every place up to the end of the older sequence at which the later one may begin."""
    return [p for p in range(least, len(older) + 1) if all(a == b for a, b in zip(older[p:], later, strict=False))]


def test_the_first_place_that_is_possible_is_found_however_the_two_grow() -> None:
    for seed in range(3_000):
        rng = Random(seed)
        letters = rng.choice([1, 2, 2, 3])
        whole = [(0, float(rng.randrange(letters)), 1, 0) for _ in range(rng.randint(1, 25))]
        if rng.random() < 0.5:
            whole = whole[:4] * 6  # what repeats itself is what is hard
        start, alignment, least = rng.randint(0, len(whole) // 2), Alignment(), 0
        older: list[Key] = []
        later: list[Key] = []
        for _ in range(2 * len(whole)):
            if rng.random() < 0.5 and len(older) < len(whole):
                older.append(whole[len(older)])
                alignment.older(older[-1])
            elif start + len(later) < len(whole):
                later.append(whole[start + len(later)])
                alignment.later_one(later[-1], 0)
            elif rng.random() < 0.1:
                least = max(least, rng.randint(0, min(start, len(older))))
                alignment.rule_out(least)
            if not later and alignment.place < least:
                continue
            places = possible(older, later, least)
            found = alignment.place
            if later:
                assert found == places[0], (seed, older, later)
                assert found < alignment.next_place
                assert not [p for p in places if found < p < alignment.next_place]
                # All of the later sequence has matched, or nothing waits.
                assert alignment.matched == len(later) or not alignment.waiting


def test_the_stretch_that_proves_is_the_first_that_steps_up_by_more() -> None:
    alignment = Alignment()
    for time in (5, 3, 4, 6, 7):
        alignment.later_one((time, 1.0, 1, 0), 3)
    assert alignment.proof == 5
    alignment.prove(2)
    assert alignment.proof == 4
    alignment.prove(4)
    assert alignment.proof == NEVER
