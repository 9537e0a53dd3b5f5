"""The benchmark runs, on next to nothing, so that it cannot rot. What it measures here is worth nothing."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import polars as pl
import pytest

from tests.bench import lanes, operators, peers
from tests.bench.__main__ import SECTIONS, TINY, measure
from tests.bench.check import Disagreement, compared
from tests.bench.found import Found
from tests.bench.market import SPARSE, Market, side_by_side
from tests.bench.measure import ratio, take_turns
from tests.bench.operators import ENTRIES
from tests.bench.own import environment
from tests.bench.peers import Check, Lane, Missing, Own, nothing
from tests.bench.peers.rxfeed_frames import bars
from tests.bench.report import BEGIN, END, rewritten
from tests.bench.table import tables, text


@pytest.mark.parametrize("name", sorted(module.name for module in iter_modules(peers.__path__)))
def test_every_peer_makes_our_bars(name: str) -> None:
    peer: Any = import_module(f"tests.bench.peers.{name}")
    if peer.OWN is not None:
        pytest.skip("it has an environment of its own, which is made by `make bench` only")
    try:
        found = Found(peer.lanes())
    except Missing as missing:
        pytest.skip(str(missing))
    got = lanes.run(found, Market.of(500, SPARSE), 1, cpu=True)
    assert all(result.startswith("bars equal in ") for _, result in got["compared"])
    assert len(got["compared"]) == sum(len(lane.checks) for lane in found.lanes)
    assert all(lane["ns a tick"] > 0 for lane in got["lanes"])


def test_all_of_it_from_the_ticks_to_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    figures = measure(TINY, frozenset(SECTIONS), own=False)
    about = {"machine": "a machine", "command": "make bench", "date": "2025-03-10", "quick": False}
    told = json.loads(json.dumps({**about, **figures}))
    document = rewritten(f"before\n{BEGIN}\nold\n{END}\nafter\n", told)
    assert document.startswith(f"before\n{BEGIN}\n\n`make bench` on 2025-03-10: a machine. With ")
    assert document.endswith(f"\n\n{END}\nafter\n")
    assert "old" not in document
    assert "Not measured: nautilus_trader, since it has an environment of its own" in document
    shown = capsys.readouterr().out
    assert len(tables(told)) == 10
    for table in tables(told):
        assert text(table) in shown
        assert all(cell in document for row in table.rows for cell in row)


def test_figures_of_a_quick_run_are_not_quoted() -> None:
    with pytest.raises(ValueError, match="not to quote it"):
        rewritten(f"{BEGIN}{END}", {"quick": True})


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="the document must hold <!-- figures: begin --> and <!-- figures: end -->"):
        rewritten(f"{END}{BEGIN}", {"quick": False})


def test_an_operator_without_an_entry_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "ENTRIES", {name: entry for name, entry in ENTRIES.items() if name != "where"})
    with pytest.raises(LookupError, match="no entry for where: say in ENTRIES"):
        operators.run(1, 1)


def _changed(name: str, values: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    ours = bars(Market.of(500, SPARSE).frame)
    return ours.with_columns(values.alias(name)), ours


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("open", pl.col("open") + (pl.int_range(pl.len()) == 3), "open of 1 of"),
        ("count", pl.col("count") + 1, "count of"),
        ("notional", pl.col("notional") * 1.00001, "notional of"),
        ("start", pl.col("start") + (pl.int_range(pl.len()) == 3), "which bars there are: it has 1 more and 1 of"),
        ("close", pl.lit(None, pl.Float64), "everything"),
    ],
)
def test_a_bar_that_is_not_ours_is_seen(name: str, values: pl.Expr, said: str) -> None:
    theirs, ours = _changed(name, values)
    if name == "close":
        theirs, ours = theirs.clear(), ours.clear()
    with pytest.raises(Disagreement, match=f"a peer and rxfeed disagree on {said}"):
        compared(Lane("a peer", nothing, nothing), Check(nothing), theirs, ours)


def test_what_a_peer_cannot_do_is_told_with_how_much() -> None:
    theirs, ours = _changed("volume", pl.when(pl.col("timeframe") == "1s").then(0).otherwise("volume"))
    got = compared(Lane("a peer", nothing, nothing), Check(nothing, ("1s", "1m"), exact=False), theirs, ours)
    seconds = ours.filter(pl.col("timeframe") == "1s").height
    minutes = ours.filter(pl.col("timeframe") == "1m").height
    said = f"{seconds} of {seconds + minutes} bars differ, 50 % of the volume is lost; it makes no 5m 1h 1d"
    assert got == ("a peer", said)


def test_float_sums_may_differ_in_their_last_digits() -> None:
    theirs, ours = _changed("notional", pl.col("notional") * (1 + 1e-13))
    assert compared(Lane("a peer", nothing, nothing), Check(nothing), theirs, ours)[1].startswith("bars equal in end open")


def test_as_many_ticks_to_a_bar_with_many_symbols_as_with_one() -> None:
    one, many = side_by_side(6_000, 1), side_by_side(6_000, 3)
    assert many.df["symbol"].value_counts()["count"].to_list() == [2_000] * 3
    assert many.df["time"].is_sorted()
    whole = one.df.select("price", "size").rows()
    pieces = many.df.with_columns(pl.col("symbol").cast(pl.String)).partition_by("symbol", as_dict=True)
    assert [row for name in sorted(pieces) for row in pieces[name].select("price", "size").rows()] == whole
    assert {piece["time"][0] for piece in pieces.values()} == {one.df["time"][0]}


def test_rounds_take_turns_and_ratios_are_by_round() -> None:
    order: list[str] = []

    def run(name: str) -> float:
        order.append(name)
        return len(order)

    assert take_turns({"a": lambda: run("a"), "b": lambda: run("b")}, 2) == {"a": [1, 3], "b": [2, 4]}
    assert order == ["a", "b", "a", "b"]
    assert ratio([10.0, 40.0, 90.0], [10.0, 20.0, 30.0]) == 2.0


def test_a_python_that_does_not_run_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("python3.12", "python3.13"):
        shim = tmp_path / name
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert environment.find(Own((), (3, 11), (99, 0))) == Path(sys.executable)
    assert environment.find(Own((), (99, 0), (99, 0))) is None
    with pytest.raises(Missing, match=r"needs Python 99\.0 or newer with venv, and none that runs was found"):
        environment.python_of("nobody", Own((), (99, 0), (99, 0)))
