"""In a log or a notebook an operator should say what it is set to: as the call that makes it, defaults left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from inspect import Parameter, signature
from typing import Any, Final, cast

from rxfeed.by import By
from rxfeed.instrument import Instrument
from rxfeed.overflow import Blocking, Windowed
from rxfeed.sessions import Session
from rxfeed.windows import Windows

_LONGEST: Final = 60
"""Of one value, in characters."""
_MANY: Final = 4
"""Of a list, as many are told."""


class Called:
    """An operator that was made by a call, and says so."""

    def __init__(self, call: str) -> None:
        self._call = call

    def __repr__(self) -> str:
        return self._call


def call(function: Callable[..., object], given: Mapping[str, Any]) -> str:
    """Return a call as text, such as `bars('1s', '1m', session='CME')`.

    Args:
        function: what was called.
        given: its arguments by name: `locals()`, in its first line.
    """
    told: list[str] = []
    for key, parameter in signature(function).parameters.items():
        value = given[key]
        if parameter.kind is Parameter.VAR_POSITIONAL:
            told += _several(value, len(value))
        elif parameter.default is Parameter.empty:
            told.append(_value(value))
        elif value is not parameter.default and (
            (text := _value(value)) != _value(parameter.default) or text.endswith("(...)")
        ):
            told.append(f"{key}={text}")
    return f"{function.__name__}({', '.join(told)})"


def _value(value: Any) -> str:
    match value:
        case None | bool() | int() | float() | str() | timedelta():
            return _cut(repr(value))
        case type():
            return value.__name__
        case By():
            return f"by.{value}"
        case Windowed() | Blocking():
            return str(value)
        case Session():
            return repr(value.name)
        case Instrument():
            return repr(value.symbol)
        case Windows():
            names = ", ".join(repr(timeframe.name) for timeframe in value.timeframes)
            return f"Windows({names}, session={value.session.name!r}, anchor={value.anchor!r})"
        case dict():
            return f"[{', '.join(_several(cast('dict[Any, Any]', value).values()))}]"
        case tuple():
            return f"({', '.join(_several(cast('tuple[Any, ...]', value)))})"
        case list():
            return f"[{', '.join(_several(cast('list[Any]', value)))}]"
        case _:
            kind: type[Any] = type(cast("object", value))
            if kind.__module__ == "builtins":
                return "..."  # a function, or something that may be used up by looking
            # Ours say what they are; somebody else's might say anything, at any length.
            if not kind.__module__.startswith("rxfeed."):
                return f"{kind.__name__}(...)"
            return _made(value) if is_dataclass(value) else _cut(repr(value))


def _made(value: Any) -> str:
    texts: list[str] = []
    for each in fields(value):
        text = _value(getattr(value, each.name))
        if each.default is MISSING:
            texts.append(text)
        elif text != _value(each.default):  # as texts: not everything can be compared, an expression for one
            texts.append(f"{each.name}={text}")
    return f"{type(value).__name__}({', '.join(texts)})"


def _several(values: Iterable[Any], most: int = _MANY) -> list[str]:
    texts = [_value(value) for value in values]
    return texts if len(texts) <= most else [*texts[:most], "..."]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
