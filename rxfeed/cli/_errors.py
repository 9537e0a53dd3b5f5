"""What goes wrong, as one line for people: what was wrong, what is allowed, and which exit code it is."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import typer

from rxfeed.errors import RxfeedError

# typer brings its own copy of click or uses the installed one, depending on its version.
ClickError: Final[type[Exception]] = typer.BadParameter.__mro__[2]
"""The root of what typer raises for bad usage."""

_SPELLINGS: Final = (
    (re.compile(r"map=\{'(\w+)': \.\.\.\}"), r"--map \1=COLUMN"),
    (re.compile(r'map=\{"(\w+)": None\}'), r"--map \1="),
    (re.compile(r"\bmap has no use for"), "--map has no use for"),
    (re.compile(r"\bsymbol='([^']*)'"), r"--symbol \1"),
    (re.compile(r"\bsymbol=(?= )"), "--symbol"),
    (re.compile(r"\btime_unit=(?=\w)"), "--time-unit "),
    (re.compile(r"^time_unit\b"), "--time-unit"),
    (re.compile(r"\blot=(?=$|[ ;])"), "--lot"),
)


class Usage(Exception):
    """The command line asks for something that is not there. Exit code 2."""


class Failed(Exception):
    """It could not be done. Exit code 1."""


@contextmanager
def usage() -> Generator[None, None, None]:
    """Whatever values are refused in here came from the command line."""
    try:
        yield
    except ValueError as error:
        raise Usage(spelled(str(error))) from None


def spelled(text: str) -> str:
    """Return an error of the library with the names of its arguments as they are on the command line, on one line."""
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return "; ".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def explain(error: Exception) -> tuple[str, int]:
    """Return the line that explains an error, and the exit code."""
    if isinstance(error, Usage):
        return str(error), 2
    if isinstance(error, ClickError):
        text: str = getattr(error, "format_message", error.__str__)()
        context = getattr(error, "ctx", None)
        path = getattr(context, "command_path", "rxfeed")
        return f"{' '.join(text.split()).rstrip('.')}; see {path} --help", 2
    if isinstance(error, Failed):
        return " ".join(str(error).split()), 1
    if isinstance(error, RxfeedError):
        return spelled(str(error)), 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{(error.strerror or str(error) or type(error).__name__)}", 1
    if isinstance(error, MemoryError):
        return "out of memory", 1
    lines = str(error).strip().splitlines() or ["no text"]
    if type(error).__module__.startswith("polars"):
        return f"{lines[0]} ({type(error).__name__})", 1
    return f"a fault in rxfeed: {type(error).__name__}: {lines[0]} (--debug shows where)", 1
