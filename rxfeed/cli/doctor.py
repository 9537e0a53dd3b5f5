"""`rxfeed doctor`: why it does not connect, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rxfeed.cli._checks import Check
    from rxfeed.cli._gateway import World

Opt = typer.Option


def doctor(
    symbol: Annotated[str, typer.Argument(metavar="[SYMBOL]", help="What is subscribed to.")] = "MNQ",
    no_login: Annotated[bool, Opt("--no-login", help="Do not log in: no session is opened.")] = False,
    json_: Annotated[bool, Opt("--json", help="As JSON.")] = False,
) -> None:
    """Check credentials, clock, hosts, login and hubs, and say what to do.

    It logs in, which opens a session of its own: a gateway that allows one session only may end another one of yours.
    Exit code 1 if anything failed.
    """
    import asyncio

    from rxfeed.cli._gateway import World

    checks = asyncio.run(examined(World(), symbol, login=not no_login, as_json=json_))
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


async def examined(world: World, symbol: str, *, login: bool, as_json: bool) -> list[Check]:
    """Examine everything, print what is found as it is found (or at the end, as JSON), and return it."""
    import json

    from rxfeed.cli._checks import examine
    from rxfeed.cli._log import logging_to

    said: list[str] = []
    checks: list[Check] = []
    with logging_to(said.append):  # what is wrong is said by the checks
        async for check in examine(world, symbol, login=login):
            checks.append(check)
            if not as_json:
                print("\n".join(check.lines()), flush=True)
    if as_json:
        failed = any(check.state == "failed" for check in checks)
        print(json.dumps({"ok": not failed, "checks": [check.as_json() for check in checks]}, indent=1))
    return checks
