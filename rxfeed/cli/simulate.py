"""`rxfeed simulate`: a gateway that never was, served on this machine to people who develop against it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from rxfeed.cli import _options as options
from rxfeed.cli._errors import Failed, Usage, spelled, usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from rxfeed.feeds.simulator import Simulator
    from rxfeed.feeds.simulator.pacing import Rate

Opt = typer.Option
KEY_VARIABLE = "RXFEED_SIMULATOR_KEY"

_EPILOG = """
Faults are written NAME[:PLACE][=VALUE][@TIME|/TIME]: drop@30s comes once, drop/30s again and again.

"""


class WithFaults(TyperCommand):
    """A command whose help ends with the table of faults, which is looked up only then."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from rxfeed.feeds.simulator.faults import table

        formatter.write(_EPILOG + "".join(f"  {line}\n" for line in table().splitlines()))


def simulate(
    port: Annotated[int, Opt(help="On 127.0.0.1; 0 takes a free one.")] = 5170,
    rate: Annotated[str, Opt(help='Trades a second over all contracts, 0 to 1000000, or "max" or "tape".')] = "100",
    contracts: Annotated[
        str | None, Opt(help="Roots, months or ids, such as MNQ,MESZ26. By default MNQ,MES,NQ,ES, or the tape's.")
    ] = None,
    token_life: Annotated[str, Opt(help="How long a login lasts, such as 60s or 24h.")] = "24h",  # noqa: S107  # a duration
    sessions: Annotated[
        str,
        Opt(
            metavar="MODE",
            help="A user's: many, newest (token alone is good), or one (connection to each hub).",
        ),
    ] = "many",
    expiry: Annotated[
        str, Opt(metavar="HOW", help="When a token runs out, its connections: keep, drop, close, or logout (GatewayLogout).")
    ] = "keep",
    resolution: Annotated[str, Opt(metavar="TIME", help="What the times of trades are cut to, such as 1ms or 1s.")] = "100ns",
    lag: Annotated[str, Opt(metavar="TIME", help="How far behind a connection may be, each by a time of its own.")] = "0s",
    fault: Annotated[list[str] | None, Opt(metavar="FAULT", help="What goes wrong, see below; may be repeated.")] = None,
    seed: Annotated[int, Opt(help="Each has a market of its own.")] = 0,
    tape: Annotated[Path | None, Opt(metavar="FILE", help="Recorded ticks to play instead: a file or folder.")] = None,
    map_: Annotated[
        list[str] | None, Opt("--map", metavar="NAME=COLUMN", help="The tape's columns, as `rxfeed bars` has it.")
    ] = None,
    for_: Annotated[str | None, Opt("--for", metavar="TIME", help="End by itself after this time, such as 60s.")] = None,
    json_: Annotated[bool, Opt("--json", help="Say what there is as JSON on stdout, and at the end what was sent.")] = False,
) -> None:
    """Serve a simulated gateway on this machine until Ctrl-C.

    It has login, both hubs, history, and a market of its own.

    It lets in user simulator with key simulator, or the key in the environment variable RXFEED_SIMULATOR_KEY.
    """
    import asyncio
    import os

    from rxfeed.errors import InputError
    from rxfeed.feeds.simulator import Simulator
    from rxfeed.feeds.simulator.core import KEY, USER
    from rxfeed.times import SECOND, nanoseconds

    if not 0 <= port <= 65_535:
        raise Usage(f"--port must be 0 to 65535, got {port}")
    key = os.environ.get(KEY_VARIABLE) or KEY
    with usage():
        lasts = None if for_ is None else nanoseconds(for_, name="--for") / SECOND
    try:
        simulator = Simulator(
            None if contracts is None else options.words("--contracts", contracts), rate=_rate(rate), seed=seed,
            token_life=token_life, sessions=sessions, expiry=expiry, resolution=resolution, lag=lag, users={USER: key},
            tape=tape, map=options.columns(map_ or ()), faults=fault or (), past=0 if tape else "1h",
        )  # fmt: skip
    except InputError:
        raise  # the tape's fault, not the command line's
    except ValueError as error:
        raise Usage(spelled(str(error))) from None
    try:
        code = asyncio.run(
            _serve(simulator, port, lasts, lambda address: _begin(simulator, address, key != KEY, fault or [], json_))
        )
    except OSError as error:
        raise Failed(f"port {port} cannot be had: {error.strerror or error}; --port 0 takes a free one") from None
    _end(simulator, json_)
    if code:
        raise typer.Exit(code)


def _rate(text: str) -> Rate:
    if text == "max":
        return "max"
    if text == "tape":
        return "tape"
    try:
        return float(text)
    except ValueError:
        raise Usage(f'--rate must be a number of trades a second, "max" or "tape", got {text!r}') from None


async def _serve(simulator: Simulator, port: int, lasts: float | None, say: Callable[[str], None]) -> int:
    """Serve until the time is over or a signal comes; return the exit code."""
    import asyncio

    from rxfeed.cli._signals import stopping
    from rxfeed.feeds.simulator import serve

    stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with stopping(stop):
        async with serve(simulator, port=port) as address:
            say(address)
            try:
                async with asyncio.timeout(lasts):
                    return await stop
            except TimeoutError:
                return 0


def _begin(simulator: Simulator, address: str, own_key: bool, faults: list[str], as_json: bool) -> None:
    import json

    contracts = [market.listed for market in simulator.markets.values()]
    key = f"as in {KEY_VARIABLE}" if own_key else "simulator"
    if as_json:
        said = {
            "simulated": True, "address": address, "user": "simulator", "contracts": [one.id for one in contracts],
            "rate": simulator.rate, "faults": faults,
        }  # fmt: skip
        print(json.dumps(said), flush=True)
        return
    rate = simulator.rate if isinstance(simulator.rate, str) else f"{simulator.rate:,g}"
    lines = [
        f"A simulated gateway is at {address} (simulated: no order, price or account here is real)",
        f"  log in     POST {address}/api/Auth/loginKey  user simulator, key {key}",
        f"  hubs       {address}/hubs/market and {address}/hubs/user",
        f"  contracts  {', '.join(one.id for one in contracts)}",
        f"  rate       {rate} trades a second, seed {simulator.seed}",
        f"  faults     {', '.join(faults) or 'none; rxfeed simulate --help lists them'}",
        f"  truth      GET {address}/simulator/truth",
        f'  more       POST {address}/simulator/faults {{"fault": "drop"}}',
        f"  connect    RXFEED_GATEWAY={address} rxfeed run",
        "Ctrl-C ends it.",
    ]
    print("\n".join(lines), flush=True)


def _end(simulator: Simulator, as_json: bool) -> None:
    import json

    truth = simulator.truth
    trades = sum(totals.elements for totals in truth.traded.values())
    if as_json:
        print(json.dumps(truth.row()), flush=True)
    else:
        sent = sum(one.messages for one in truth.connections.values())
        faults = ", ".join(f"{count} × {name}" for name, count in simulator.faults.items()) or "no faults"
        print(f"{trades:,} trades were simulated, {sent:,} messages sent to {len(truth.connections)} connections, {faults}")
