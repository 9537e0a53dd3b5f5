"""`rxfeed bars`: files of ticks in, one table of bars out."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rxfeed.cli import _options as options
from rxfeed.cli._errors import Usage, usage

if TYPE_CHECKING:
    from rxfeed.cli._files import Output
    from rxfeed.cli._job import Job
    from rxfeed.cli._lastrows import LastRows

Opt = typer.Option


def bars(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Parquet, CSV, NDJSON or Arrow files of ticks, or folders of them.")
    ],
    timeframe: Annotated[list[str], Opt("-t", "--timeframe", help="5s, 1m, 4h, 1d (trade date), 1w or 1mo; repeat for more.")],
    output: Annotated[
        str, Opt("-o", "--output", metavar="FILE", help=".parquet, .csv, .ndjson or .arrow; - prints a table.")
    ] = "-",
    session: Annotated[str, Opt(help="CME, NYSE, LSE, FX, 24x7, or 24x7:<IANA zone> such as 24x7:Europe/London.")] = "24x7",
    anchor: Annotated[str, Opt(help="Windows count from the open (session), the local clock (wall) or utc.")] = "session",
    map: Annotated[list[str] | None, Opt(metavar="OURS=THEIRS", help="Columns, such as time=timestamp,size=amount.")] = None,
    time_unit: Annotated[str | None, Opt(help="Of times that are numbers: ns, us, ms or s.")] = None,
    symbol: Annotated[str | None, Opt(help="Of every tick, where there is no column for it.")] = None,
    lot: Annotated[str | None, Opt(help="What one lot is in the file's unit, such as 0.000001.")] = None,
    lateness: Annotated[str, Opt(help="How long windows stay open after their end, in event time.")] = "0s",
    horizon: Annotated[str, Opt(help="How far back a tick may be and still be merged into its window.")] = "10m",
    rules: Annotated[str, Opt(help=options.RULES_HELP)] = "default",
    rejects: Annotated[Path | None, Opt(metavar="FILE", help="Write rejected ticks here, with rule and reason.")] = None,
    order: Annotated[str, Opt(help="Several inputs: time (merged) or given (one after another).")] = "time",
    instrument: Annotated[list[str] | None, Opt(metavar="SYMBOL:TICK", help="Tick size, such as MNQ:0.25; repeat.")] = None,
    fill: Annotated[str | None, Opt(metavar="previous", help="Make bars of empty windows from the close before.")] = None,
    json_: Annotated[bool, Opt("--json", help="The summary as JSON on stdout; with -o -, the bars as NDJSON.")] = False,
) -> None:
    """Turn recorded ticks into bars of several timeframes in one pass.

    The output has the last revision of each bar, sorted by symbol, timeframe (finer first) and start.
    """
    from rxfeed.cli._files import check_output

    target = None if output == "-" else Path(output)
    if target is not None:
        check_output("-o", target, inputs)
    if rejects is not None:
        check_output("--rejects", rejects, inputs)
        if target and target.resolve() == rejects.resolve():
            raise Usage(f"-o and --rejects must be two files, got {rejects} for both")
    if fill is not None:
        options.one_of("--fill", fill, ("previous", "none"))
    from rxfeed.cli._job import Job
    from rxfeed.windows import Windows

    with usage():
        windows = Windows(*timeframe, session=session, anchor=options.anchor(anchor))
        job = Job(
            tuple(inputs), windows, tuple(options.rules(rules, windows.session)),
            map=options.columns(map or ()), time_unit=time_unit, symbol=symbol, lot=lot,
            order=options.one_of("--order", order, ("time", "given")), lateness=lateness, horizon=horizon,
            fill="previous" if fill == "previous" else None, instruments=options.instruments(instrument or ()),
        )  # fmt: skip
    _make(job, target, rejects, as_json=json_)


def _make(job: Job, target: Path | None, rejected: Path | None, *, as_json: bool) -> None:
    from rxfeed.cli._files import Folder
    from rxfeed.cli._files import Output as File
    from rxfeed.cli._job import run
    from rxfeed.cli._lastrows import LastRows
    from rxfeed.cli._log import logging_to
    from rxfeed.cli._rejects import RejectsFile
    from rxfeed.cli._summary import Summary
    from rxfeed.clock import LiveClock
    from rxfeed.frame import BAR_SCHEMA

    clock = LiveClock()
    began = clock.now
    with ExitStack() as stack:
        # What the library logs, such as a change of the clock, is a line among the others here.
        stack.enter_context(logging_to(lambda line: print(line, file=sys.stderr)))
        work = stack.enter_context(Folder(target)).path
        out = None if target is None else File(target, BAR_SCHEMA, work)
        rejects = None if rejected is None else RejectsFile(rejected, stack.enter_context(Folder(rejected)).path)
        store = LastRows(job.timeframes, work)
        counts = run(job, store, rejects)
        _write(store, out, as_json=as_json)
        for file in (rejects, out):
            if file is not None:
                file.finish()
        for file in (rejects and rejects.output, out):
            if file is not None:
                file.commit()
    summary = Summary(
        counts, "-" if target is None else str(target), None if rejected is None else str(rejected),
        bars=store.bars, late=store.late, revisions=store.revisions, seconds=(clock.now - began) / 1e9,
    )  # fmt: skip
    if as_json and target is not None:
        print(json.dumps(summary.as_json()))
        return
    sys.stdout.flush()
    print("\n".join(summary.lines()), file=sys.stderr)


def _write(store: LastRows, out: Output | None, *, as_json: bool) -> None:
    from rxfeed.cli._files import as_text

    if out is not None:
        for rows in store.rows():
            out.add(rows)
    elif as_json:
        for rows in store.rows():
            sys.stdout.write(as_text(rows).write_ndjson() if rows.height else "")
    else:
        from rxfeed.cli._table import print_table

        print_table(rows for rows in store.rows() if rows.height)
