"""What the README shows is what happens: its commands and its Python run as printed, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SECONDS = re.compile(r"\(\d+\.\d\d s\)")
NOT_RUN = ("make ", "python -m pip ", "export ")
LIVE = ("rxfeed run ", "rxfeed doctor")
VARIABLES = ("RXFEED_", "PROJECT_X_")


def shapes(output: str) -> set[str]:
    """What lines look like, whatever the numbers, the month and the flags: what is live is never the same twice."""
    for pattern, shape in (
        (r"[FGHJKMNQUVXZ](\.?)\d\d\b", r"M\g<1>0"), (r"[\d:,.T-]*\d", "0"), (r"0 (µs|ms|s)\b", "0 s"), (r" (GAP|PARTIAL)", ""),
        (r"first of \w+", "first of any"), (r" +", " "),
    ):  # fmt: skip
        output = re.sub(pattern, shape, output)
    return {line.strip() for line in output.splitlines()}


def ran(command: list[str], folder: Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environ
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return SECONDS.sub("(… s)", done.stdout)


def test_the_blocks_run_as_printed(tmp_path: Path) -> None:
    printed = None
    for language, text in BLOCKS:
        if language == "python":
            assert len(text.splitlines()) <= 16
            (tmp_path / "pipeline.py").write_text(text)
            done = subprocess.run([sys.executable, "pipeline.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            printed = done.stdout
        elif language == "text":
            assert printed == text
        else:
            assert language == "console"
            for part in text.split("$ ")[1:]:
                command, _, output = part.partition("\n")
                if command.startswith("cat "):
                    (tmp_path / command.removeprefix("cat ")).write_text(output)
                elif not command.startswith(NOT_RUN):
                    program, *args = shlex.split(command)
                    assert program == "rxfeed"
                    said = ran([sys.executable, "-m", "rxfeed", *args], tmp_path)
                    if command.startswith(LIVE):
                        assert shapes(said) == shapes(SECONDS.sub("(… s)", output))
                    else:
                        assert said == SECONDS.sub("(… s)", output)
    assert printed


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_the_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


def test_the_first_commands_are_demo_and_test() -> None:
    assert BLOCKS[0] == ("console", "$ make demo\n$ make test\n")
