"""Settings that cannot be: which, what was given, and what is allowed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from rxfeed.errors import RxfeedError


class SettingRefused(RxfeedError, ValueError):
    """Settings that are unknown or impossible."""


def told(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return what is wrong with settings, each in a line of its own."""
    return "\n".join(_line(dict(each), kind) for each in error.errors(include_url=False))


def _line(wrong: dict[str, Any], kind: type[BaseModel]) -> str:
    path = [part for part in wrong["loc"] if isinstance(part, str)]
    given: Any = wrong["input"]
    match wrong["type"]:
        case "extra_forbidden":
            return _unknown(path, kind)
        case "value_error":
            said = str(wrong["ctx"]["error"])
            return f"{'.'.join(path)}: {said}" if path else said
        case "model_type" if (group := _group(kind, path[-1])) is not None:
            return f"{'.'.join(path)} must be a table of {', '.join(group.model_fields)}, got {given!r}"
        case _:
            name = ".".join(_known(path, kind))
            return f"{name} must be {_allowed(path, kind) or _plain(wrong)}, got {given!r}"


def _unknown(path: list[str], kind: type[BaseModel]) -> str:
    for name in path[:-1]:
        kind = _group(kind, name) or kind
    names = sorted(kind.model_fields)
    close = get_close_matches(path[-1], names, 1, 0.6)
    where = f" in {'.'.join(path[:-1])}" if path[:-1] else ""
    return f"there is no setting {path[-1]!r}{where}" + (
        f"; did you mean {close[0]!r}?" if close else f", only {', '.join(names)}"
    )


def _known(path: list[str], kind: type[BaseModel]) -> list[str]:
    """Return that part of a path which names settings; behind it pydantic says which kind of value it tried."""
    found: list[str] = []
    for name in path:
        if name not in kind.model_fields:
            break
        found.append(name)
        group = _group(kind, name)
        if group is None:
            break
        kind = group
    return found


def _group(kind: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = kind.model_fields.get(name)
    group = field.annotation if field else None
    return group if isinstance(group, type) and not get_args(group) and issubclass(group, BaseModel) else None


def _allowed(path: list[str], kind: type[BaseModel]) -> str | None:
    """Return the range of a number."""
    known = _known(path, kind)
    for name in known[:-1]:
        kind = _group(kind, name) or kind
    least = most = None
    for limit in kind.model_fields[known[-1]].metadata if known else ():
        if (bound := getattr(limit, "ge", None)) is not None:
            least = f"from {bound:,}"
        if (bound := getattr(limit, "gt", None)) is not None:
            least = f"more than {bound:,}"
        if (bound := getattr(limit, "le", None)) is not None:
            most = f"{bound:,}"
    if least is None or most is None:
        return None
    return f"{least} to {most}" if least.startswith("from") else f"{least} and at most {most}"


def _plain(wrong: dict[str, Any]) -> str:
    match wrong["type"]:
        case "bool_parsing" | "bool_type":
            return "true or false"
        case "literal_error":
            return str(wrong["ctx"]["expected"])
        case "string_too_short":
            return "no empty text"
        case _:
            return str(wrong["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
