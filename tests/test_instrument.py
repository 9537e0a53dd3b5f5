from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.instrument import Instrument

STEPS = ["0.25", "0.1", "0.01", "0.05", "0.005", "1", "5", "0.015625", "1e-5", "1e-8"]


@pytest.mark.parametrize("step", STEPS)
@given(st.data())
def test_every_multiple_up_to_a_million_is_on_the_grid_and_known_exactly(step: str, data: st.DataObject) -> None:
    exact = Fraction(step)
    count = data.draw(st.integers(-math.floor(1_000_000 / exact), math.floor(1_000_000 / exact)))
    instrument = Instrument("X", float(step), may_be_negative=True)
    price = float(count * exact)
    assert instrument.on_grid(price)
    assert instrument.ticks(price) == count
    assert instrument.ticks(count * float(step)) == count


@pytest.mark.parametrize("step", STEPS)
@given(st.data())
def test_a_tenth_of_a_tick_off_is_off(step: str, data: st.DataObject) -> None:
    exact = Fraction(step)
    count = data.draw(st.integers(0, math.floor(1_000_000 / exact)))
    part = data.draw(st.integers(10, 90))
    instrument = Instrument("X", float(step))
    price = float((count + Fraction(part, 100)) * exact)
    assert not instrument.on_grid(price)
    with pytest.raises(ValueError, match=r"price of X must be a multiple of .*, got "):
        instrument.ticks(price)


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf])
def test_what_is_no_price_is_on_no_grid(price: float) -> None:
    assert not Instrument("X").on_grid(price)
    assert not Instrument("X", 0.25).on_grid(price)
    with pytest.raises(ValueError, match=r"must be a multiple of 0\.25, got"):
        Instrument("X", 0.25).ticks(price)


def test_without_a_tick_size_any_price_passes_and_none_is_a_number_of_ticks() -> None:
    assert Instrument("X").on_grid(1 / 3)
    with pytest.raises(ValueError, match=r"X has no tick_size, so 1\.5 is no number of ticks"):
        Instrument("X").ticks(1.5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"symbol": ""}, "symbol must be text with no space around it, got ''"),
        ({"symbol": " ES"}, "symbol must be text with no space around it, got ' ES'"),
        ({"symbol": "ES", "tick_size": 0.0}, "tick_size of ES must be finite and more than 0, or None, got 0.0"),
        ({"symbol": "ES", "tick_size": math.nan}, "tick_size of ES must be finite and more than 0, or None, got nan"),
        ({"symbol": "ES", "lot_size": -1.0}, "lot_size of ES must be finite and more than 0, got -1.0"),
        ({"symbol": "ES", "lot_size": math.inf}, "lot_size of ES must be finite and more than 0, got inf"),
    ],
)
def test_refuses_what_cannot_be(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Instrument(**arguments)  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == text


def test_refuses_hours_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match=r"session must be one of .*, got 'Atlantis'"):
        Instrument("ES", session="Atlantis")


def test_hours_may_be_left_to_the_pipeline() -> None:
    assert Instrument("ES").session is None
    assert Instrument("ES", session="CME").session == "CME"


def test_is_a_frozen_value() -> None:
    instrument = Instrument("ES", 0.25)
    assert instrument == Instrument("ES", 0.25)
    assert hash(instrument) == hash(Instrument("ES", 0.25))
    with pytest.raises(AttributeError):
        instrument.tick_size = 0.5  # pyright: ignore[reportAttributeAccessIssue]
