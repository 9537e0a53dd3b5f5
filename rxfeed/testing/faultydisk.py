"""Which calls of a simulated disk fail, and how often."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import Final, Literal, get_args

Call = Literal["append", "write", "sync", "read", "size", "truncate", "rename", "remove", "list", "make_folder"]

_CALLS: Final[tuple[str, ...]] = get_args(Call)


@dataclass(slots=True)
class _Trouble:
    code: int
    calls: Sequence[str]
    path: PurePosixPath | None
    left: int | None


class Troubles:
    """The calls that are to fail."""

    def __init__(self) -> None:
        self._all: list[_Trouble] = []

    def add(self, code: int, calls: Sequence[str], path: PurePosixPath | None, times: int | None) -> None:
        """Let calls fail."""
        unknown = [call for call in calls if call not in _CALLS]
        if unknown:
            raise ValueError(f"a disk has the calls {', '.join(_CALLS)}, got {unknown[0]!r}")
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, got {times}")
        self._all.append(_Trouble(code, calls or _CALLS, path, times))

    def clear(self) -> None:
        """Let no call fail."""
        self._all.clear()

    def find(self, call: Call, path: PurePosixPath) -> OSError | None:
        """Return the error that this call is to fail with, and count it."""
        for trouble in self._all:
            if call in trouble.calls and trouble.path in (None, path):
                if trouble.left is not None:
                    trouble.left -= 1
                    if not trouble.left:
                        self._all.remove(trouble)
                return os_error(trouble.code, path)
        return None


def os_error(code: int, path: PurePath) -> OSError:
    """Return the error as the operating system words it."""
    return OSError(code, os.strerror(code), str(path))
