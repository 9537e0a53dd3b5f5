"""Environments of their own, under build/peers/, made once with the nearest Python that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.peers import Missing, Own

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "build" / "peers"
NEWEST = 14
Version = tuple[int, int]


def python_of(name: str, own: Own) -> Path:
    """Return the Python of a peer's environment, made if it is not there.

    Raises:
        Missing: it cannot be made.
    """
    folder = FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "\n".join(own.requirements) + "\n"
    if stamp.is_file() and stamp.read_text() == wanted and version_of(python) is not None:
        return python
    base = find(own)
    if base is None:
        least = ".".join(map(str, own.least))
        raise Missing(
            f"it needs Python {least} or newer with venv, and none that runs was found; to get it: pyenv install 3.12"
        )
    print(f"making {folder.relative_to(ROOT)} for {', '.join(own.requirements)}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *own.requirements]
    for command in ([str(base), "-m", "venv", str(folder)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            raise Missing(f"{' '.join(command[1:4])} failed: {said}")
    stamp.write_text(wanted)
    return python


def find(own: Own) -> Path | None:
    """Return the oldest Python that is as new as is better, else the newest that will do."""
    found = {version: python for python in _pythons() if (version := version_of(python)) is not None}
    better = sorted(version for version in found if version >= own.better)
    good = sorted(version for version in found if version >= own.least)
    return found[better[0]] if better else found[good[-1]] if good else None


def _pythons() -> Iterator[Path]:
    """Places where a Python may be. A name on the PATH may be a shim that does not run. The last of a version counts."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(pyenv.glob("3.*/bin/python"))
    for minor in range(11, NEWEST + 1):
        if name := shutil.which(f"python3.{minor}"):
            yield Path(name)
    yield Path(sys.executable)


def version_of(python: Path) -> Version | None:
    """Return the version of a Python that runs and can make an environment, else None."""
    code = "import ensurepip, sys, venv; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)
