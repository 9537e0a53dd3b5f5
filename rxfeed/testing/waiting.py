"""Who waits, and for what: in words, for the errors of a simulation. Names and places only, never a value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any, Final, cast

_AWAITED: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
_WAITER: Final = "_fut_waiter"
_MOST: Final = 20


def listed(things: Iterable[str]) -> str:
    """Return texts one on each line; of very many only the first."""
    all_of_them = list(things)
    lines = all_of_them[:_MOST]
    if len(all_of_them) > _MOST:
        lines.append(f"and {len(all_of_them) - _MOST} more")
    return "".join(f"\n  {line}" for line in lines)


def pending(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    """Return the tasks that are not done, in the order in which they were made."""
    return sorted(asyncio.all_tasks(loop), key=_order)


def _order(task: asyncio.Task[Any]) -> tuple[int, str]:
    number: int = getattr(task, "number", 0)
    return number, task.get_name()


def describe_task(task: asyncio.Task[Any]) -> str:
    """Return a task's name, the places where its coroutines stand, outermost first, and what it waits for."""
    places = [_place(frame.f_code, frame.f_lineno) for frame in _frames(task.get_coro())]
    waiter = getattr(task, _WAITER, None)
    if isinstance(waiter, asyncio.Task):
        awaited = f", waits for {cast('asyncio.Task[Any]', waiter).get_name()}"
    else:
        awaited = "" if waiter is not None else ", has not been started or is about to run"
    return f"{task.get_name()}: {' > '.join(places) or 'no place'}{awaited}"


def _frames(awaited: object) -> Iterator[FrameType]:
    while awaited is not None:
        following: object = None
        for frame_name, next_name in _AWAITED:
            frame = getattr(awaited, frame_name, None)
            if frame is not None:
                yield frame
                following = getattr(awaited, next_name, None)
                break
        awaited = following


def _place(code: CodeType, line: int) -> str:
    return f"{code.co_qualname} ({PurePath(code.co_filename).name}:{line})"


def describe_callback(callback: Callable[..., object]) -> str:
    """Return a callback's name and where it was written."""
    while isinstance(callback, partial):
        callback = callback.func
    inner: object = getattr(callback, "__func__", callback)
    code = getattr(inner, "__code__", None)
    if isinstance(code, CodeType):
        return _place(code, code.co_firstlineno)
    name: str = getattr(inner, "__qualname__", type(inner).__qualname__)
    owner = getattr(callback, "__self__", None)
    return f"{name} of {owner.get_name()}" if isinstance(owner, asyncio.Task) else name
