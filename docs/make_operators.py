"""Writes docs/operators.md from the operators' docstrings: `make docs`. A test holds the two together."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rxfeed import operators as ops

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "operators.md"
SECTIONS = ("Args", "Returns", "Raises", "Ends", "Drops", "Clock")
NEEDED = ("Returns", "Ends", "Drops", "Clock")
HEAD = """\
# The operators

`from rxfeed import operators as ops`, and then `ticks.pipe(ops.validate(), ops.bars("1m"))`. Made from the docstrings by
`make docs`; the name leads to the source, where arguments and errors are described. Every one of them passes the same
contract, [tests/contract](../tests/contract).

In a diagram time runs to the right: `|` is completion, `#` an error, `[ab]` a frame, `(c|)` comes at one time.

"""
COLUMNS = ("Operator", "What it does", "From, to", "Drops", "Ends", "Clock")


class Entry(NamedTuple):
    """What a docstring says."""

    name: str
    source: str
    """The file, from the root of the project."""
    summary: str
    marble: list[str]
    """What is fed, the call, and what comes out."""
    sections: dict[str, str]
    """In the order in which they stand."""

    @property
    def kinds(self) -> str:
        """What the operator makes of what."""
        returns = re.split(r"[;.](?:\s|$)", self.sections["Returns"], maxsplit=1)[0]
        turned = re.fullmatch(r"(?:An operator|A pipeline's end:) from (.+?) to (.+)", returns)
        if turned is None:
            return returns
        return f"{turned[1]} → {turned[2]}".replace(", or from ", ", or ").replace(" to ", " → ")


def read(operator: Callable[..., Any], name: str) -> Entry:
    """Read an operator's docstring.

    Raises:
        ValueError: something that every docstring must have is not there, or stands elsewhere; the text says what.
    """
    doc = inspect.getdoc(operator) or ""
    paragraphs = [part for part in doc.split("\n\n") if part.strip()]
    if not paragraphs or paragraphs[0].startswith((" ", "--", "Args:")):
        raise ValueError(f"{name}: the docstring must begin with a sentence")
    marble = [line.strip() for line in paragraphs[1].splitlines()] if len(paragraphs) > 1 else []
    if len(marble) != 3 or not marble[0].startswith("--") or not marble[2].startswith("--"):
        raise ValueError(
            f"{name}: after a first sentence the docstring must draw a marble diagram of three lines: fed, call, got"
        )
    sections = _sections(doc)
    needed = [*NEEDED, *(["Args"] if inspect.signature(operator).parameters else [])]
    if missing := [section for section in needed if section not in sections]:
        raise ValueError(f"{name}: the docstring must say {', '.join(f'{section}:' for section in missing)}")
    if list(sections) != [section for section in SECTIONS if section in sections]:
        raise ValueError(f"{name}: the docstring's order must be {', '.join(SECTIONS)}, got {', '.join(sections)}")
    given = re.findall(r"^    (\w+): ", _block(doc, "Args"), re.MULTILINE)
    if given != list(inspect.signature(operator).parameters):
        raise ValueError(f"{name}: Args must name {', '.join(inspect.signature(operator).parameters)}, got {', '.join(given)}")
    path = Path(inspect.getsourcefile(operator) or "").resolve().relative_to(ROOT)
    return Entry(name, path.as_posix(), _text(paragraphs[0]), marble, sections)


def _block(doc: str, section: str) -> str:
    found = re.search(rf"^{section}:(.*(?:\n(?:[ ]+\S.*|(?!{'|'.join(SECTIONS)}:)\S.*))*)", doc, re.MULTILINE)
    return found[1] if found else ""


def _sections(doc: str) -> dict[str, str]:
    names = re.findall(rf"^({'|'.join(SECTIONS)}):", doc, re.MULTILINE)
    return {name: _text(_block(doc, name)) for name in names}


def _cell(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return (text.removesuffix(".") if text.count(". ") == 0 else text).replace("|", "\\|")


def _text(block: str) -> str:
    return " ".join(block.split())


def entries() -> list[Entry]:
    """All public operators."""
    return [read(getattr(ops, name), name) for name in ops.__all__]


def page(found: list[Entry]) -> str:
    """Return the page."""
    rows = [
        (f"[{e.name}](../{e.source})", e.summary, e.kinds, *(e.sections[name] for name in ("Drops", "Ends", "Clock")))
        for e in found
    ]
    cells = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in cells)
    drawn = "\n".join(f"\n## {e.name}\n\n```text\n{chr(10).join(e.marble)}\n```" for e in found)
    return f"{HEAD}{table}\n{drawn}\n"


if __name__ == "__main__":
    PAGE.write_text(page(entries()))
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(ops.__all__)} operators\n")
