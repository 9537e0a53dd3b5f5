"""The notebooks run in marimo and in JupyterLab's kernel, show what is committed, and leave nothing running."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.hosts import FOLDER, SOURCES, for_jupyter, in_jupyter, in_marimo, texts

RENEW = "the .ipynb is not what its .py makes: run `make notebooks`"
every = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


@every
def test_it_runs_in_both_hosts_each_cell_twice_and_shows_what_is_committed(source: Path, tmp_path: Path) -> None:
    committed = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    marimos = in_marimo(source, tmp_path, check=True)
    shown, blank = texts(marimos), for_jupyter(marimos)
    assert [cell.source for cell in committed.cells] == [cell.source for cell in blank.cells], RENEW
    first, again = in_jupyter(blank, tmp_path, times=2)
    assert texts(first) == texts(committed), RENEW
    assert texts(again) == texts(first)
    assert shown == texts(first)


def test_marimo_finds_nothing_to_improve() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "marimo", "check", "--strict", *SOURCES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@every
def test_what_is_committed_is_whole_and_small(source: Path) -> None:
    path = source.with_suffix(".ipynb")
    outputs = [out for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code" for out in cell.outputs]
    assert outputs
    assert {out.output_type for out in outputs} <= {"stream", "display_data", "execute_result"}
    assert all(out.name == "stdout" for out in outputs if out.output_type == "stream")
    assert path.stat().st_size < 300_000


def test_there_is_no_notebook_without_a_source() -> None:
    assert len(SOURCES) >= 1
    assert sorted(FOLDER.glob("*.ipynb")) == [source.with_suffix(".ipynb") for source in SOURCES]
