"""Figures by label, of which there are so many and no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.figures import OTHER, Labels


@given(st.lists(st.sampled_from(["a", "b", "c", "d", OTHER])), st.integers(1, 5))
def test_the_first_have_one_each_and_the_rest_share(asked: list[str], most: int) -> None:
    labels: Labels[list[str]] = Labels(list, most=most)
    for label in asked:
        labels[label].append(label)
    own = list(dict.fromkeys(label for label in asked if label != OTHER))[:most]
    found = dict(labels.items())
    assert {label: found[label] for label in own} == {label: [each for each in asked if each == label] for label in own}
    others = [label for label in asked if label not in own]
    assert found.get(OTHER, []) == others
    assert labels.shared == sum(label != OTHER for label in others)
    assert len(labels) == len(found) <= most + 1
    assert all(label in labels for label in found)


def test_a_label_without_end_is_cut() -> None:
    labels: Labels[list[int]] = Labels(list)
    assert labels["x" * 1_000_000] is labels["x" * 120] is labels["x" * 121]
    assert [len(label) for label, _ in labels.items()] == [120]


def test_refuses_none() -> None:
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        Labels(list, most=0)
