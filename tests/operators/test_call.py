"""What operators say they are set to."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from reactivex import Subject

from rxfeed import by, rules
from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.instrument import Instrument
from rxfeed.model import Tick
from rxfeed.windows import Windows


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (ops.bars("1s", "1m", session="CME", lateness="2s"), "bars('1s', '1m', session='CME', lateness='2s')"),
        (ops.bars(Windows("1s", "5m")), "bars(Windows('1s', '5m', session='24x7', anchor='session'))"),
        (ops.bars("1m", grace=None, frames=True), "bars('1m', grace=None, frames=True)"),
        (ops.bars(by=by.ticks(1000)), "bars(by=by.ticks(1000))"),
        (ops.bars(by=[by.ticks(2), by.renko(0.5)]), "bars(by=[by.ticks(2), by.renko(0.5)])"),
        (ops.bars("1s", scheduler=VirtualClock(0)), "bars('1s', scheduler=VirtualClock(1970-01-01T00:00:00Z))"),
        (ops.validate(), "validate()"),
        (ops.validate(rejects=None, fast=False), "validate()"),
        (ops.validate(rules.Finite(), rules.Jump(ticks=40)), "validate(Finite(), Jump(ticks=40))"),
        (ops.validate(rules.where("mine", lambda _: True)), "validate(Where('mine', ...))"),
        (ops.validate(rules.where("mine", lambda _: True, pl.col("size") > 1)), "validate(Where('mine', ..., expr=Expr(...)))"),
        (ops.validate(instruments=[Instrument("A"), Instrument("B", tick_size=1.0)]), "validate(instruments=['A', 'B'])"),
        (ops.validate(instruments={s: Instrument(s) for s in "ABCDE"}), "validate(instruments=['A', 'B', 'C', 'D', ...])"),
        (ops.validate(rejects=[].append), "validate(rejects=...)"),
        (ops.validate(rejects=Subject[Any]()), "validate(rejects=Subject(...))"),
        (ops.dedupe(("time", "seq"), "5s"), "dedupe(('time', 'seq'), horizon='5s')"),
        (ops.dedupe(lambda row: row.seq), "dedupe(...)"),
        (ops.detect_gaps(sequence=True, silence=30), "detect_gaps(sequence=True, silence=30)"),
        (ops.order_book(5), "order_book(depth=5)"),
        (ops.order_book(), "order_book()"),
        (ops.meter("clean"), "meter('clean')"),
        (ops.meter("x" * 200), f"meter('{'x' * 59}...)"),
        (ops.latest_quote(need="bid"), "latest_quote(need='bid')"),
        (ops.collect(Tick, limit=5), "collect(kind=Tick, limit=5)"),
        (ops.share_latest(key="symbol"), "share_latest(key='symbol')"),
        (ops.resubscribe_on(Subject[Any](), timeout="9s"), "resubscribe_on(Subject(...), timeout='9s')"),
        (ops.sample_every("5s", key="symbol"), "sample_every('5s', key='symbol')"),
        (ops.throttle_latest(0.5), "throttle_latest(0.5)"),
    ],
)  # fmt: skip
def test_an_operator_says_how_it_was_made(operator: object, text: str) -> None:
    assert repr(operator) == text


def test_nothing_of_somebody_else_s_is_asked_what_it_is() -> None:
    class Mine(rules.Rule):
        name = "mine"

        def reason(self, element: Any, instrument: Any) -> str | None:
            return None

        def __repr__(self) -> str:
            raise LookupError("not asked")

    needs = (name for name in ("bid", "ask"))
    assert repr(ops.validate(Mine())) == "validate(Mine(...))"
    assert repr(ops.latest_quote(need=needs)) == "latest_quote(need=...)"
