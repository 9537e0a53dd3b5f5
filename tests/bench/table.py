"""The figures as tables: what the terminal shows and the document gets, both from the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Cells = Sequence[str]


class Table(NamedTuple):
    """Cells as text; the first column is words, the others figures."""

    title: str
    head: Cells
    rows: Sequence[Cells]
    notes: Sequence[str] = ()


def tables(figures: Mapping[str, Any]) -> list[Table]:
    """All tables that the figures are enough for."""
    made: list[Table] = []
    for kind, unit in (("rows", "ns a tick, processor"), ("frames", "ns a tick, elapsed")):
        made += [_lanes(kind, unit, got) for got in figures.get(kind, [])]
    if "ticks" in figures:
        lines = [_grown(lane, got["ns a tick"], got["growth"], got["at most"]) for lane, got in figures["ticks"].items()]
        made.append(_growth("ns a tick by number of ticks, eight symbols", lines))
    if "symbols" in figures:
        lines = [_grown(got["lane"], got["ns a tick"], got["growth"], got["at most"]) for got in figures["symbols"]]
        bars = [f"ticks a bar: {_list(figures['symbols'][0]['ticks a bar'])} symbols"]
        made.append(_growth("ns a tick by number of symbols, the same ticks", lines)._replace(notes=bars))
    if "memory" in figures:
        lines = [
            [lane, *(f"{value:.1f}" for value in got["MB"].values()), f"{got['growth']:+.1f}", f"{got['at most']:g}",
             _met(got["growth"] <= got["at most"])]
            for lane, got in figures["memory"].items()
        ]  # fmt: skip
        sizes = [f"{int(size):,}" for size in next(iter(figures["memory"].values()))["MB"]]
        made.append(Table("MB of the process by number of ticks", ["", *sizes, "last growth", "at most", ""], lines))
    if "operators" in figures:
        made.append(_operators(figures["operators"]))
    if "live" in figures:
        made += _live(figures["live"])
    return made


def _lanes(kind: str, unit: str, got: Mapping[str, Any]) -> Table:
    ours = [lane["name"] for lane in got["lanes"] if lane["ours"]]
    head = ["", unit]
    for name in ours:
        head += [f"{name.removeprefix('rxfeed, ')} is", "at least", ""]
    lines: list[list[str]] = []
    for lane in got["lanes"]:
        threads = f", {lane['threads']} threads" if lane["threads"] > 1 else ""
        fewer = f", {lane['ticks']:,} ticks" if lane["ticks"] < got["ticks"] else ""
        cells = [
            lane["name"] + threads + fewer,
            f"{lane['ns a tick']:,.0f}" if lane["ns a tick"] >= 10 else f"{lane['ns a tick']:.1f}",
        ]
        for name in ours:
            times, target = lane["times as fast"].get(name), lane["at least"].get(name)
            met = "" if times is None or target is None else _met(times >= target)
            cells += ["" if times is None else _times(times), "" if target is None else f"{target:g} ×", met]
        lines.append(cells)
    title = f"{kind}: validate and bars of 1s 1m 5m 1h 1d, 8 symbols, {got['ticks a 1s bar']:.0f} ticks a 1s bar"
    return Table(title, head, lines, _compared(got["compared"]))


def _compared(told: Sequence[Sequence[str]]) -> list[str]:
    """One line for all of which the same was found."""
    by_result: dict[str, list[str]] = {}
    for name, result in told:
        by_result.setdefault(result, []).append(name)
    return [f"{result}: {'; '.join(names)}" for result, names in by_result.items()]


def _grown(lane: str, ns: Mapping[str, float], growth: float, most: float) -> dict[str, str]:
    cells = {"": lane, **{f"{int(number):,}": f"{value:,.0f}" for number, value in ns.items()}}
    return {**cells, "grows": f"{growth:.2f} ×", "at most": f"{most:g} ×", " ": _met(growth <= most)}


def _growth(title: str, lines: Sequence[Mapping[str, str]]) -> Table:
    return Table(title, list(lines[0]), [list(line.values()) for line in lines])


def _operators(got: Sequence[Mapping[str, Any]]) -> Table:
    lines = [
        [one["name"], one["of"], f"{one['ns a tick']:,.0f}", "" if one["at most"] is None else f"{one['at most']:g}",
         "" if one["at most"] is None else _met(one["ns a tick"] <= one["at most"])]
        for one in got
    ]  # fmt: skip
    return Table("each operator at rest, on top of a Subject and a sink", ["", "of", "ns a tick", "at most", ""], lines)


def _live(got: Mapping[str, Any]) -> list[Table]:
    cost: list[list[str]] = []
    for name, of in got["cost"].items():
        least, most = of["times the floor"], of["at most"]
        target = ["", ""] if most is None else [f"{most:g} ×", _met(least <= most)]
        cost.append([name, f"{of['ns a trade']:,.0f}", f"{least:.2f} ×", *target])
    paths: list[list[str]] = []
    title = "live: from the socket to a subscriber, 10 trades a message"
    for of, name in ((got["sustained"], "as fast as asked"), (got["slow"], "watched")):
        late, seen = of["ms from socket to bar"], of["ticks a second"]
        wanted = seen >= 0.98 * of["rate"] if name == "as fast as asked" else late["p99"] < 10 and late["p50"] < 1
        paths.append([
            f"{of['rate']:,} a second for {of['seconds']:g} s", f"{seen:,.0f}", str(of["lost"]), f"{of['cores']:.2f}",
            *(f"{late[at]:.2f}" for at in ("p50", "p99", "p99.9")),
            *(f"{of['ms from trade to bar'][at]:.2f}" for at in ("p50", "p99")),
            f"{of['growth']:+.2f}", _met(wanted and not of["lost"]),
        ])  # fmt: skip
    head = [
        "",
        "got a second",
        "lost",
        "cores",
        "socket to bar, ms: p50",
        "p99",
        "p99.9",
        "trade to bar: p50",
        "p99",
        "growth",
        "",
    ]
    return [
        Table(title, ["", "ns a trade, processor", "of the floor", "at most", ""], cost),
        Table("live: socket, validate, bars of 1s 1m 5m 1h 1d", head, paths),
    ]


def _times(times: float) -> str:
    return f"{times:,.0f} ×" if times >= 100 else f"{times:.1f} ×" if times >= 1 else f"{times:.2f} ×"


def _list(values: Mapping[str, float]) -> str:
    return ", ".join(f"{value:.1f} with {int(number):,}" for number, value in values.items())


def _met(met: bool) -> str:
    return "met" if met else "missed"


def text(table: Table) -> str:
    """For a terminal."""
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    lines = ["  ".join(_aligned(row, widths)) for row in (table.head, *table.rows)]
    return "\n".join(["", table.title, *(f"  {line.rstrip()}" for line in lines), *(f"  {note}" for note in table.notes)])


def _aligned(row: Cells, widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def markdown(table: Table) -> str:
    """For the document."""
    ruler = ["---", *("---:" for _ in table.head[1:])]
    lines = [f"| {' | '.join(_bold(cell) for cell in row)} |" for row in (table.head, ruler, *table.rows)]
    notes = ["", *(f"- {note}" for note in table.notes)] if table.notes else []
    return "\n".join([f"**{table.title[:1].upper()}{table.title[1:]}**", "", *lines, *notes])


def _bold(cell: str) -> str:
    return f"**{cell}**" if cell == "missed" else cell
