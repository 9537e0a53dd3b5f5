from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import rxfeed

ROOT = Path(__file__).parent.parent
HEAVY = {"aiohttp", "click", "pandas", "polars", "numpy", "reactivex", "rich", "tenacity", "typer"}
# In two halves, so that this file does not hold what it looks for.
REGISTRIES = {"pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "crates" + ".io"}


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_subpackage_is_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        ".".join(("rxfeed", *path.parent.relative_to(ROOT / "rxfeed").parts)) for path in (ROOT / "rxfeed").rglob("*.py")
    } | {".".join(("rxfeed", *path.parent.relative_to(ROOT).parts)) for path in (ROOT / "operators").rglob("*.py")}
    assert folders == set(settings["packages"])
    for package in settings["packages"]:
        folder = ROOT / package.replace("rxfeed.operators", "operators").replace(".", "/")
        assert (folder / "__init__.py").is_file(), f"{package} has no __init__.py"


def test_importing_it_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, json, rxfeed; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    loaded = set(json.loads(run(sys.executable, "-c", code, cwd=tmp_path)))
    assert loaded & HEAVY == set()


def test_the_operators_need_no_network_and_no_face(tmp_path: Path) -> None:
    code = (
        "import sys, json; from rxfeed import operators as ops; import rxfeed\n"
        "assert ops is rxfeed.operators and ops.__name__ == 'rxfeed.operators'\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    loaded = set(json.loads(run(sys.executable, "-c", code, cwd=tmp_path)))
    assert loaded & {"aiohttp", "click", "pandas", "rich", "typer"} == set()
    assert "operators" not in loaded


@pytest.mark.parametrize("name", rxfeed.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(rxfeed, name) is not None
    assert name in dir(rxfeed)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'rxfeed' has no attribute 'nothing'"):
        _ = rxfeed.nothing  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]


def test_the_version_is_the_distributions() -> None:
    assert rxfeed.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def tracked() -> list[Path]:
    try:
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except (AssertionError, FileNotFoundError):
        pytest.skip("not a git checkout")
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def configured_hosts() -> set[str]:
    """The hosts of the package indexes that this machine's pip is set up with."""
    found = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    urls = [*re.findall(r"\b\w+://[^\s'\"]+", found), *(v for k, v in os.environ.items() if k.endswith("INDEX_URL"))]
    return {host for url in urls if (host := urlsplit(url).hostname) and host not in {"localhost", "127.0.0.1"}}


def test_no_file_names_a_registry_or_a_place_on_this_machine() -> None:
    # A bare "/root" or "/tmp" may well be meant; what is refused is this checkout, this home and this interpreter.
    places = {str(path) for path in (ROOT.resolve(), Path.home(), Path(sys.prefix)) if len(path.parts) > 2}
    words = REGISTRIES | configured_hosts() | places
    hits: list[str] = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        hits += [f"{path.relative_to(ROOT)} has {word!r}" for word in sorted(words) if word in text]
    assert hits == []


def test_nothing_that_is_made_is_tracked() -> None:
    made = re.compile(r"(^|/)(__pycache__|\.venv|build|dist|\.pytest_cache|\.ruff_cache|\.hypothesis|[^/]*\.egg-info)/|\.pyc$")
    assert [str(path) for path in tracked() if made.search(str(path.relative_to(ROOT)))] == []
