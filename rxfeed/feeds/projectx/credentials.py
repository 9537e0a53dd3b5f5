"""Who we are to the gateway: from the environment, or from a file that nobody else can read.

Never from the command line, which every user of a machine can see. The environment of a process can be read by its owner
only, but its children inherit it: start them with `clean_environment`.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from rxfeed.errors import CredentialsError
from rxfeed.secret import Secret, exposes

USER: Final = "RXFEED_USER"
KEY: Final = "RXFEED_KEY"
FILE: Final = "RXFEED_CREDENTIALS"
PROJECT_X_USER: Final = "PROJECT_X_USERNAME"
PROJECT_X_KEY: Final = "PROJECT_X_API_KEY"
VARIABLES: Final = (USER, KEY, FILE, PROJECT_X_USER, PROJECT_X_KEY)

_MOST: Final = 1 << 16


class Credentials(msgspec.Struct, frozen=True):
    """A user and the key to the gateway's API.

    Args:
        user: the user's name.
        key: the API key.

    Raises:
        CredentialsError: no name.
    """

    user: str
    key: Secret

    def __post_init__(self) -> None:
        if not self.user:
            raise CredentialsError("the user must not be empty")


def credentials_from(environ: Mapping[str, str], file: str | Path | None = None) -> Credentials | None:
    """Return the credentials, None when none are given at all.

    In this order: `file`; the variables RXFEED_USER and RXFEED_KEY, or the file that RXFEED_CREDENTIALS names; the variables
    PROJECT_X_USERNAME and PROJECT_X_API_KEY. Such a file is TOML and says `user = "…"` and `key = "…"`.

    Raises:
        CredentialsError: they are given by half, twice, or empty; the file cannot be read, or others could read it.
    """
    found = _found(environ, file)
    del environ  # no locals of a traceback may hold it
    if isinstance(found, CredentialsError):
        raise found
    return found


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for child processes: without our variables, and without any that holds a live secret.

    Nothing is taken from the environment given.
    """
    return {name: value for name, value in environ.items() if name not in VARIABLES and not exposes(value)}


# What follows returns its errors, since its locals hold the key as text.


def _found(environ: Mapping[str, str], file: str | Path | None) -> Credentials | CredentialsError | None:
    if file is not None:
        return _read(Path(file))
    pair = _pair(environ, USER, KEY)
    if FILE in environ:
        if pair is not None:
            return CredentialsError(f"credentials are given twice, by {USER} and {KEY} and by {FILE}: unset one of them")
        if not environ[FILE].strip():
            return CredentialsError(f"{FILE} is set, but empty: unset it, or name a file")
        return _read(Path(environ[FILE].strip()))
    return pair or _pair(environ, PROJECT_X_USER, PROJECT_X_KEY)


def _pair(environ: Mapping[str, str], user: str, key: str) -> Credentials | CredentialsError | None:
    if user not in environ and key not in environ:
        return None
    for name, other in ((user, key), (key, user)):
        if name not in environ:
            return CredentialsError(f"{other} is set, but {name} is not: set both, or none")
        if not environ[name].strip():
            return CredentialsError(f"{name} is set, but empty: set both {user} and {key}, or unset both")
    return Credentials(environ[user].strip(), Secret(environ[key].strip()))


def _read(path: Path) -> Credentials | CredentialsError:
    where = f"the credentials in {path}"
    try:
        with path.expanduser().open("rb") as opened:
            if refused := _open_to_others(path, os.fstat(opened.fileno())):
                return refused
            raw = opened.read(_MOST + 1)
        if len(raw) > _MOST:
            return CredentialsError(f"{where} must be at most {_MOST} bytes")
        table: dict[str, Any] = tomllib.loads(raw.decode())
    except OSError as error:
        return CredentialsError(f"{where} cannot be read: {os.strerror(error.errno) if error.errno else type(error).__name__}")
    except UnicodeDecodeError:
        return CredentialsError(f"{where} must be UTF-8")
    except tomllib.TOMLDecodeError:
        return CredentialsError(f'{where} must be TOML: user = "…" and key = "…", each on a line of its own')
    if unknown := sorted(set(table) - {"user", "key"}):
        return CredentialsError(f"{where} may hold user and key only, not {unknown[0]!r}")
    for name in ("user", "key"):
        if name not in table:
            return CredentialsError(f"{where} lack {name}")
        if not isinstance(table[name], str) or not table[name].strip():
            return CredentialsError(f"{where}: {name} must be text, and not empty")
    return Credentials(table["user"].strip(), Secret(table["key"].strip()))


def _open_to_others(path: Path, status: os.stat_result) -> CredentialsError | None:
    if os.name != "posix":
        return None
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        return CredentialsError(f"others may read the credentials in {path} (mode {mode:o}): chmod 600 {path}")
    if status.st_uid not in (os.getuid(), 0):
        return CredentialsError(f"the credentials in {path} belong to another user: make a copy, and chmod 600 it")
    return None
