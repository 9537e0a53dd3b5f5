"""What a container may use: the memory limits of this process' Linux control groups, version 1 and 2.

Limits are files that can be changed while we run, so where they lie is found once and what they say is read each time. They
are made by the kernel on reading: no disk is asked.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

_UNLIMITED: Final = 1 << 60
"""Version 1 says "none" by the largest whole number of pages."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_NAMES: Final = {1: ("memory.limit_in_bytes",), 2: ("memory.max", "memory.high")}


class _Mount(NamedTuple):
    version: int
    root: PurePosixPath
    """Which group lies at the mount point."""
    point: PurePosixPath


def limit_files(root: Path = Path("/")) -> list[Path]:
    """Return the files that limit this process' memory, those of its group and of all groups around it; none where there
    are no control groups.

    Args:
        root: what lies where the machine has "/".
    """
    found: list[Path] = []
    groups = _groups(_text(root / "proc/self/cgroup"))
    for mount in _mounts(_text(root / "proc/self/mountinfo")):
        group = groups.get(mount.version)
        if group is None:
            continue
        # In a container the name of the group may be the host's, which is not to be seen from inside.
        inner = group.relative_to(mount.root) if group.is_relative_to(mount.root) else PurePosixPath()
        inner = PurePosixPath() if ".." in inner.parts else inner
        for folder in (inner, *inner.parents):
            here = root / mount.point.relative_to("/") / folder
            found += [path for name in _NAMES[mount.version] if (path := here / name) not in found and _readable(path)]
    return found


def least_limit(files: list[Path]) -> int | None:
    """Return the least that these files allow, in bytes; None if none limits anything."""
    said = [_text(path).strip() for path in files]
    limits = [int(text) for text in said if text.isascii() and text.isdigit()]
    return min((limit for limit in limits if 0 < limit < _UNLIMITED), default=None)


def _groups(text: str) -> dict[int, PurePosixPath]:
    """This process' group by version; of version 1, that of memory."""
    found: dict[int, PurePosixPath] = {}
    for line in text.splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not path.startswith("/"):
            continue
        if number == "0" and not controllers:
            found[2] = PurePosixPath(path)
        elif "memory" in controllers.split(","):
            found[1] = PurePosixPath(path)
    return found


def _mounts(text: str) -> list[_Mount]:
    found: list[_Mount] = []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        left, right = fields.split(" "), rest.split(" ")
        if len(left) < 5 or len(right) < 3:
            continue
        root, point = (PurePosixPath(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)) for field in left[3:5])
        if not point.is_absolute():
            continue
        if right[0] == "cgroup2":
            found.append(_Mount(2, root, point))
        elif right[0] == "cgroup" and "memory" in right[2].split(","):
            found.append(_Mount(1, root, point))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _readable(path: Path) -> bool:
    return bool(_text(path))
