"""`rxfeed synth`: a file of ticks from a market that never was, the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rxfeed.cli import _options as options
from rxfeed.cli._errors import Usage, usage

if TYPE_CHECKING:
    from rxfeed.feeds.synthetic import Market

Opt = typer.Option


def synth(
    output: Annotated[Path, Opt("-o", "--output", metavar="FILE", help=".parquet, .csv, .ndjson or .arrow.")],
    n: Annotated[int, Opt("-n", "--number", help="How many ticks.")] = 1_000_000,
    seed: Annotated[int, Opt(help="Each has a market of its own.")] = 0,
    symbols: Annotated[str, Opt(help="MNQ, MES, NQ, ES, CL and GC have their real tick sizes, others 0.01.")] = "MNQ,MES",
    start: Annotated[str, Opt(help="When it begins, with its zone.")] = "2025-01-06T15:00Z",
    rate: Annotated[float, Opt(help="Ticks a second on average over all symbols, while the market is open.")] = 100.0,
    session: Annotated[str | None, Opt(help="Ticks only in its hours, such as CME; round the clock without.")] = None,
    json_: Annotated[bool, Opt("--json", help="Say what was written as JSON on stdout.")] = False,
) -> None:
    """Write synthetic ticks: symbol, time, price, size, side, seq. `rxfeed bars` reads them with no mapping."""
    from rxfeed.cli._files import check_output

    check_output("-o", output)
    if n < 1:
        raise Usage(f"-n must be at least 1, got {n}")
    names = options.words("--symbols", symbols)
    begin = options.instant("--start", start)
    from rxfeed.feeds.synthetic import synthetic

    with usage():
        market = synthetic(seed, symbols=names, start=begin, rate=rate, n=n, session=session)
    _write(market, output, as_json=json_)


def _write(market: Market, output: Path, *, as_json: bool) -> None:
    import json
    import sys

    import polars as pl

    from rxfeed.cli._files import Folder
    from rxfeed.cli._files import Output as File
    from rxfeed.clock import LiveClock
    from rxfeed.frame import TICK_SCHEMA

    columns = {name: dtype for name, dtype in TICK_SCHEMA.items() if name != "received"} | {"symbol": pl.String()}
    clock = LiveClock()
    began = clock.now
    with Folder(output) as folder:
        file = File(output, pl.Schema(columns), folder.path)
        for frame in market.frames():
            file.add(frame.df.select(*columns).cast({"symbol": pl.String}))
        file.finish()
        file.commit()
    seconds = (clock.now - began) / 1e9
    if as_json:
        said = {"ticks": file.rows, "symbols": list(market.instruments), "seconds": round(seconds, 3), "output": str(output)}
        print(json.dumps(said))
    else:
        print(f"{file.rows:,} ticks of {', '.join(market.instruments)} in {output} ({seconds:.2f} s)", file=sys.stderr)
