"""Makes the table of settings in docs/pipeline.md from the settings themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Final, get_args

from pydantic import BaseModel

from rxfeed.settings import Settings
from rxfeed.settings.sources import variable

PAGE: Final = Path(__file__).parent / "pipeline.md"
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->\n"


def rows(kind: type[BaseModel], before: str = "") -> list[str]:
    """Return a line of the table for each setting."""
    found: list[str] = []
    for name, field in kind.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and not get_args(group) and issubclass(group, BaseModel):
            found += rows(group, f"{before}{name}.")
            continue
        text = " ".join((field.description or "").split())
        assert text, f"{before}{name} is not described"
        found.append(f"| `{before}{name}` | {_default(field.default)} | {text}{_range(field.metadata)} |")
    return found


def _default(value: object) -> str:
    match value:
        case () | None:
            return "none"
        case tuple():
            return f"`{','.join(map(str, value))}`"
        case bool():
            return f"`{str(value).lower()}`"
        case int():
            return f"`{value:,}`"
        case _:
            return f"`{value}`"


def _range(limits: list[object]) -> str:
    bounds = {
        name: bound for limit in limits for name in ("gt", "ge", "le") if (bound := getattr(limit, name, None)) is not None
    }
    if "ge" in bounds:
        return f" From {bounds['ge']:,} to {bounds['le']:,}."
    return f" More than {bounds['gt']:,}, at most {bounds['le']:,}." if "gt" in bounds else ""


def page(text: str) -> str:
    """Return the page with the table in it."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    example = variable("features.breaker")
    note = f"In the environment a dot is two underscores: `features.breaker` is `{example}`. `none` stands for no value.\n"
    table = ["| setting | default | |", "|---|---|---|", *rows(Settings)]
    return f"{head}{BEGIN}{note}\n" + "\n".join(table) + f"\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
