"""Who we are: from the environment or a file, whole or not at all, and read by nobody else."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from rxfeed.errors import CredentialsError
from rxfeed.feeds.projectx.credentials import VARIABLES, Credentials, clean_environment, credentials_from
from rxfeed.secret import Secret
from tests.feeds.projectx.gateway import KEY

OURS = {"RXFEED_USER": "somebody", "RXFEED_KEY": KEY}
THEIRS = {"PROJECT_X_USERNAME": "another", "PROJECT_X_API_KEY": "another-key-01"}


def refused(environ: dict[str, str], file: Any = None) -> str:
    """The error's text; no key is in its traceback, with all its locals."""
    with pytest.raises(CredentialsError) as caught:
        credentials_from(environ, file)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = "".join(line for line in told.format() if "/rxfeed/" in line)
    assert "credentials.py" in ours
    assert KEY not in ours
    assert "another-key-01" not in ours
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def test_none() -> None:
    assert credentials_from({}) is None
    assert credentials_from({"HOME": "/", "RXFEED_GATEWAY": "demo"}) is None


def test_from_the_environment() -> None:
    assert credentials_from(OURS) == Credentials("somebody", Secret(KEY))
    assert credentials_from(THEIRS) == Credentials("another", Secret("another-key-01"))
    assert credentials_from({**THEIRS, **OURS}) == Credentials("somebody", Secret(KEY))
    assert credentials_from({"RXFEED_USER": " somebody\n", "RXFEED_KEY": f"{KEY}\n"}) == Credentials("somebody", Secret(KEY))


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"RXFEED_USER": "x"}, "RXFEED_USER is set, but RXFEED_KEY is not: set both, or none"),
        ({"RXFEED_KEY": KEY}, "RXFEED_KEY is set, but RXFEED_USER is not: set both, or none"),
        ({"RXFEED_KEY": KEY, **THEIRS}, "RXFEED_KEY is set, but RXFEED_USER is not: set both, or none"),
        ({"PROJECT_X_API_KEY": KEY}, "PROJECT_X_API_KEY is set, but PROJECT_X_USERNAME is not: set both, or none"),
        ({"RXFEED_USER": "x", "PROJECT_X_API_KEY": KEY}, "RXFEED_USER is set, but RXFEED_KEY is not: set both, or none"),
        (
            {"RXFEED_USER": "", "RXFEED_KEY": KEY},
            "RXFEED_USER is set, but empty: set both RXFEED_USER and RXFEED_KEY, or unset both",
        ),
        (
            {"RXFEED_USER": "x", "RXFEED_KEY": " "},
            "RXFEED_KEY is set, but empty: set both RXFEED_USER and RXFEED_KEY, or unset both",
        ),
        ({"RXFEED_CREDENTIALS": ""}, "RXFEED_CREDENTIALS is set, but empty: unset it, or name a file"),
        (
            {"RXFEED_CREDENTIALS": "/x", **OURS},
            "credentials are given twice, by RXFEED_USER and RXFEED_KEY and by RXFEED_CREDENTIALS: unset one of them",
        ),
    ],
)
def test_by_half_is_an_error(environ: dict[str, str], text: str) -> None:
    assert refused(environ) == text


def test_from_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "key.toml", f"user = 'somebody'  # who\nkey = '{KEY}'\n")
    expected = Credentials("somebody", Secret(KEY))
    assert credentials_from({"RXFEED_CREDENTIALS": str(path), **THEIRS}) == expected
    assert credentials_from(THEIRS, path) == expected
    assert credentials_from({**OURS, "RXFEED_CREDENTIALS": "/nowhere"}, str(path)) == expected
    path.chmod(0o400)
    assert credentials_from({}, path) == expected


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666, 0o777])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "key.toml", f"user = 'somebody'\nkey = '{KEY}'", mode)
    assert refused({}, path) == f"others may read the credentials in {path} (mode {mode:o}): chmod 600 {path}"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "key.toml", f"user = 'somebody'\nkey = '{KEY}'")
    os.chown(path, 12_345, 12_345)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    assert refused({}, path) == f"the credentials in {path} belong to another user: make a copy, and chmod 600 it"
    monkeypatch.setattr(os, "getuid", lambda: 12_345)
    assert credentials_from({}, path) == Credentials("somebody", Secret(KEY))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"user = 'x'\nkey = {KEY}", 'must be TOML: user = "…" and key = "…", each on a line of its own'),
        (f"RXFEED_KEY={KEY}", 'must be TOML: user = "…" and key = "…", each on a line of its own'),
        (f"key = '{KEY}'", "lack user"),
        ("user = 'x'", "lack key"),
        ("", "lack user"),
        (f"user = 'x'\nkey = '{KEY}'\npassword = 'y'", "may hold user and key only, not 'password'"),
        (f"user = 7\nkey = '{KEY}'", ": user must be text, and not empty"),
        ("user = 'x'\nkey = ' '", ": key must be text, and not empty"),
        (b"user = '\xff'", "must be UTF-8"),
        ("#" * 70_000, "must be at most 65536 bytes"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, text: str | bytes, why: str) -> None:
    path = written(tmp_path / "key.toml", text)
    told = refused({"RXFEED_CREDENTIALS": str(path)})
    assert told == f"the credentials in {path}{why if why.startswith(':') else ' ' + why}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refused({}, tmp_path / "no.toml").endswith("no.toml cannot be read: No such file or directory")
    assert refused({}, tmp_path).endswith(" cannot be read: Is a directory")


def test_an_environment_for_children() -> None:
    live = Secret(KEY)
    environ = {**OURS, **THEIRS, "RXFEED_CREDENTIALS": "/x", "PATH": "/bin", "RXFEED_GATEWAY": "demo", "MY_COPY": f"x{KEY}y"}
    assert clean_environment(environ) == {"PATH": "/bin", "RXFEED_GATEWAY": "demo"}
    assert set(VARIABLES) < set(environ)
    assert live.reveal() == KEY


def test_a_user_must_have_a_name() -> None:
    with pytest.raises(CredentialsError, match="the user must not be empty"):
        Credentials("", Secret(KEY))
