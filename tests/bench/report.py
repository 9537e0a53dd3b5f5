"""`python -m tests.bench.report build/bench.json`: put measured figures into the document, between its marks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.table import markdown, tables

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def body(figures: Mapping[str, Any]) -> str:
    """What stands between the marks."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(figures["versions"].items()))
    parts = [f"`{figures['command']}` on {figures['date']}: {figures['machine']}. With {versions}."]
    if figures["missing"]:
        parts.append("\n".join(f"- Not measured: {name}, since {why}" for name, why in figures["missing"].items()))
    return "\n\n".join(parts + [markdown(table) for table in tables(figures)])


def rewritten(document: str, figures: Mapping[str, Any]) -> str:
    """The document with these figures.

    Raises:
        ValueError: the figures are of a quick run, or the document has no marks.
    """
    if figures["quick"]:
        raise ValueError("figures of --quick are to try it, not to quote it")
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document must hold {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{body(figures)}\n\n{END}{after}"


def main() -> None:
    """Rewrite the document."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.report", description=__doc__)
    parser.add_argument("json", type=Path, help="what `python -m tests.bench --json` wrote")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    args = parser.parse_args()
    document: Path = args.document
    document.write_text(rewritten(document.read_text(), json.loads(args.json.read_text())))


if __name__ == "__main__":
    main()
