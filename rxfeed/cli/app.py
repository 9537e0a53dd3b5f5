"""One entry, and one place that turns whatever goes wrong into a line on stderr and an exit code.

0 is done, 1 failed, 2 bad usage, 130 interrupted, 143 terminated, 141 nobody reads the output any more.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from rxfeed.cli._errors import ClickError, Failed, Usage, explain

app = typer.Typer(
    name="rxfeed",
    help="Ticks in, exact bars out, and nothing lost in between.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _version(wanted: bool) -> None:
    if wanted:
        import rxfeed

        print(f"rxfeed {rxfeed.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="On a failure, show where in the code it came from.")] = False,
) -> None:
    """Ticks in, exact bars out, and nothing lost in between."""


def _register() -> None:
    from rxfeed.cli.bars import bars
    from rxfeed.cli.doctor import doctor
    from rxfeed.cli.run import run
    from rxfeed.cli.sessions import sessions
    from rxfeed.cli.simulate import WithFaults, simulate
    from rxfeed.cli.synth import synth

    for command in (run, doctor, bars, synth, sessions):
        app.command()(command)
    app.command(cls=WithFaults)(simulate)


_register()


class _Terminated(BaseException):
    """SIGTERM or SIGHUP, as an exception, so that temporary files are removed."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        args: without the program's name; None for those of this process.
    """
    given = list(sys.argv[1:] if args is None else args) or ["--help"]
    options = given[: given.index("--")] if "--" in given else given
    debug = "--debug" in options
    if debug:
        given.remove("--debug")  # it may stand anywhere
    previous = _on_sigterm()
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        _clean_up()
        return _say("interrupted, nothing was written", 130)
    except _Terminated:
        _clean_up()
        return _say("terminated, nothing was written", 143)
    except BrokenPipeError:
        # Else the interpreter would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:  # noqa: BLE001  # whatever it is, people get one line
        if debug:
            import traceback

            traceback.print_exception(error)
        return _say(*explain(error))
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _run(given: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("rxfeed", given) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except ClickError as error:
        raise Usage(explain(error)[0]) from None
    return 0


def _clean_up() -> None:
    files = sys.modules.get("rxfeed.cli._files")
    if files is not None:
        files.clean_up()


def _say(text: str, code: int) -> int:
    try:
        print(f"rxfeed: {text}", file=sys.stderr)
    except OSError:
        return code
    return code


def _on_sigterm() -> signal.Handlers | None:
    def stop(*_: object) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, stop)
    except ValueError:  # not the main thread: signals are somebody else's business
        return None
    return before  # pyright: ignore[reportReturnType]


__all__ = ["Failed", "app", "main"]
