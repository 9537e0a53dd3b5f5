"""`rxfeed run`: live bars, from the gateway or from a simulator inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rxfeed.cli import _options as options
from rxfeed.cli._errors import Failed, Usage, usage

if TYPE_CHECKING:
    from rxfeed.cli._faces import Face
    from rxfeed.cli._gateway import Choice, World
    from rxfeed.cli._live import Ended, Job
    from rxfeed.settings import Settings

Opt = typer.Option
SYMBOLS = ("MNQ", "MES")


def run(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL...]", help="Roots (MNQ), months (MNQZ26) or ids. By default MNQ MES.")
    ] = None,
    file: Annotated[
        Path | None,
        Opt(
            "--settings",
            metavar="FILE",
            help="A TOML file of settings. RXFEED_… variables count before it, options before both.",
        ),
    ] = None,
    timeframe: Annotated[
        list[str] | None, Opt("-t", "--timeframe", help="5s, 1m, 4h, 1d …; repeat for more. By default 1m.")
    ] = None,
    session: Annotated[
        str | None, Opt(help="CME, NYSE, LSE, FX, 24x7 or 24x7:<IANA zone>. By default CME, and 24x7 for what is simulated.")
    ] = None,
    anchor: Annotated[
        str | None, Opt(help="Windows count from the open (session), the local clock (wall) or utc. By default session.")
    ] = None,
    output: Annotated[
        Path | None, Opt("-o", "--output", metavar="DIR", help="Write bars into files as they close, in a folder by gateway.")
    ] = None,
    format: Annotated[str, Opt(help="Of the files of -o: parquet, csv or ndjson.")] = "parquet",
    json_: Annotated[bool, Opt("--json", help="Bars as NDJSON on stdout, one a line; the totals as JSON on stderr.")] = False,
    lasts: Annotated[str | None, Opt("--for", metavar="TIME", help="End by itself after this time, such as 60s.")] = None,
    lateness: Annotated[
        str | None, Opt(help="How long windows stay open after their end, in event time. By default 0s.")
    ] = None,
    grace: Annotated[
        str | None, Opt(help="How long after its end, by the clock, a quiet symbol's window closes. By default 1s.")
    ] = None,
    horizon: Annotated[
        str | None, Opt(help="How far back a trade may be and still be merged into its window. By default 10m.")
    ] = None,
    rules: Annotated[str, Opt(help=options.RULES_HELP)] = "default",
    rejects: Annotated[Path | None, Opt(metavar="FILE", help="Write rejected trades here, with rule and reason.")] = None,
    fill: Annotated[
        str | None,
        Opt(metavar="previous|none", help="previous: windows without trades get a bar from the close before; none: no bar."),
    ] = None,
    backfill: Annotated[
        str | None, Opt(metavar="TIME", help="Begin with bars of the time before, from the gateway's history, such as 2h.")
    ] = None,
    health_port: Annotated[
        int | None, Opt(metavar="PORT", min=0, max=65_535, help="Serve /health and /metrics on loopback; 0 on any free port.")
    ] = None,
    consumer: Annotated[
        list[str] | None,
        Opt(
            metavar="FILE.py:NAME",
            help="A function of yours (or package.module:NAME) that takes the feed and returns an Observable; repeat for more.",
        ),
    ] = None,
    rate: Annotated[str, Opt(help='Of the simulator inside: trades a second, or "max".')] = "100",
    seed: Annotated[int, Opt(help="Of the simulator inside: each has a market of its own.")] = 0,
    life: Annotated[
        str | None, Opt("--token-life", metavar="TIME", help="Of the simulator inside: how long a token lives. By default 24h.")
    ] = None,
    fault: Annotated[
        list[str] | None, Opt(metavar="FAULT", help="Of the simulator inside, such as drop@30s; see rxfeed simulate.")
    ] = None,
) -> None:
    """Stream live bars until Ctrl-C.

    Without credentials a simulator runs inside, and all that is said and written says so. For a gateway set RXFEED_USER
    and RXFEED_KEY (or RXFEED_CREDENTIALS to a file of yours), and RXFEED_GATEWAY to topstepx, demo or an address.

    All else that can be set, and a part that can be switched off, is a setting: RXFEED_TIMEFRAMES=1s,1m,
    RXFEED_FEATURES__BREAKER=false, or a line in the file of --settings; docs/pipeline.md lists them.
    """
    names = tuple(dict.fromkeys(symbols or ()))
    if not all(name.strip() for name in names):
        raise Usage("a symbol must not be empty")
    if fill is not None:
        options.one_of("--fill", fill, ("previous", "none"))
    options.one_of("--format", format, ("parquet", "csv", "ndjson"))
    if output is not None:
        from rxfeed.cli._barfiles import check_folder

        check_folder("-o", output)
    if rejects is not None:
        from rxfeed.cli._files import check_output

        check_output("--rejects", rejects)
    from rxfeed.cli._consumers import consumer as read
    from rxfeed.cli._gateway import World, chosen
    from rxfeed.cli._live import Job
    from rxfeed.times import SECOND, nanoseconds

    world = World()
    choice = chosen(world.environ)
    simulated = choice.deployment is None or choice.deployment.simulated
    if choice.deployment is not None and (rate != "100" or seed or fault or life):
        raise Usage(
            f"--rate, --seed, --fault and --token-life are of the simulator inside, but the gateway is {choice.deployment}"
        )
    given: dict[str, Any] = {
        "file": file, "symbols": names or None, "timeframes": timeframe, "session": session,
        "anchor": None if anchor is None else options.anchor(anchor), "lateness": lateness, "grace": grace, "horizon": horizon,
        "fill": None if fill is None else fill == "previous", "backfill": backfill, "health_port": health_port,
    }  # fmt: skip
    with usage():
        for option in ("lateness", "grace", "horizon", "backfill"):
            if given[option] is not None:
                nanoseconds(given[option], name=f"--{option}")
        settings = _settings({name: value for name, value in given.items() if value is not None}, simulated=simulated)
        job = Job(
            settings, tuple(options.rules(rules, settings.windows.session)), output=output, format=format, rejects=rejects,
            lasts=None if lasts is None else nanoseconds(lasts, name="--for") / SECOND, rate=options.rate(rate), seed=seed,
            faults=tuple(fault or ()), life=life or "24h", consumers=tuple(map(read, consumer or ())),
        )  # fmt: skip
    _run(job, world, choice, as_json=json_)


def _settings(given: dict[str, Any], *, simulated: bool) -> Settings:
    """Return the settings, with what is the default here where nobody says otherwise."""
    from rxfeed.settings import Settings

    said = Settings(**given)
    own: dict[str, Any] = {} if said.symbols else {"symbols": SYMBOLS}
    if simulated and "session" not in said.model_fields_set:
        own["session"] = "24x7"  # a market that is made up has no night
    return Settings(**given, **own)


def _run(job: Job, world: World, choice: Choice, *, as_json: bool) -> None:
    import asyncio

    face = _face(world, as_json=as_json)
    ended, code = asyncio.run(_streamed(job, world, choice, face))
    if ended is None:
        raise Failed("stopped before it was connected") if code == 0 else typer.Exit(code)
    finish(ended, code, as_json=as_json)


async def _streamed(job: Job, world: World, choice: Choice, face: Face) -> tuple[Ended | None, int]:
    import asyncio
    import gc

    from rxfeed.cli._live import run
    from rxfeed.cli._signals import stopping

    if (task := asyncio.current_task()) is not None:
        task.set_name("rxfeed run")
    # What was imported stays: with it a full collection held up the loop for 56 ms, without it for less than 3.
    gc.collect()
    gc.freeze()
    stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with stopping(stop):
        ended = await run(job, world, choice, face, stop)
    return ended, stop.result() if stop.done() else 0


def _face(world: World, *, as_json: bool) -> Face:
    import sys

    from rxfeed.cli._faces import Json, Lines

    if as_json:
        return Json()
    if sys.stdout.isatty():
        from rxfeed.cli._screen import Console, Screen

        console = Console(highlight=False)
        if not console.is_dumb_terminal:
            return Screen(world.clock, console)
    return Lines()


def finish(ended: Ended, code: int, *, as_json: bool) -> None:
    """Tell the totals, and leave with the right exit code.

    Raises:
        Failed: what ended it, or that the simulator knows it otherwise.
        typer.Exit: it was stopped by a signal.
    """
    import json
    import sys

    from rxfeed.errors import ConnectionLost

    error: Any = ended.error
    if isinstance(error, BrokenPipeError):
        raise error
    totals = ended.totals
    print(json.dumps(totals.as_json()) if as_json else "\n".join(totals.lines()), file=sys.stderr, flush=True)
    if isinstance(error, ConnectionLost):
        raise Failed(f"connection lost ({error.cause}): {error}")
    if error is not None:
        raise error
    if totals.differs:
        raise Failed(totals.difference)
    if code:
        raise typer.Exit(code)
