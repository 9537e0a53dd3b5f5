"""Run a notebook in marimo and in JupyterLab's kernel, without a browser.

The source is `notebooks/*.py`, which marimo opens, people read, and ruff checks. Its `.ipynb` is made from it, for JupyterLab
and for those who look at it on the web: without the cell that is marimo's own, and with the outputs of JupyterLab's kernel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

FOLDER: Final = Path(__file__).parent.parent.parent / "notebooks"
SOURCES: Final = sorted(FOLDER.glob("*.py"))
MARIMOS: Final = "import marimo as mo"
KERNEL: Final = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
FIRST: Final = "@app.cell"
LAST: Final = 'if __name__ == "__main__":'

BEFORE: Final = """\
import asyncio as check_asyncio
import warnings as check_warnings

check_warnings.simplefilter("error")
check_before = set(check_asyncio.all_tasks())
"""
AFTER: Final = """\
for check_turn in range(20):  # what was cancelled needs a few turns of the loop to end, and no time
    await check_asyncio.sleep(0)
check_left = [
    task
    for task in check_asyncio.all_tasks() - check_before
    if task.get_coro().cr_frame.f_globals["__name__"].partition(".")[0] not in ("IPython", "ipykernel", "marimo")
]
assert not check_left, check_left
check_loop = check_asyncio.get_running_loop()
check_calls = [call._callback for call in (*check_loop._scheduled, *check_loop._ready) if not call.cancelled()]
check_calls = [call for call in check_calls if getattr(call, "__module__", None) in ("rxfeed.clock", "__main__")]
assert not check_calls, check_calls
check_warnings.resetwarnings()
"""
"""Whether all that was started has stopped; run in the notebook's own loop."""


def in_marimo(source: Path, folder: Path, *, check: bool = False) -> nbformat.NotebookNode:
    """Run a source in marimo, as `marimo edit` would, and return it as a notebook with its outputs.

    Args:
        source: the `.py`.
        folder: where copies may be made.
        check: also run `BEFORE` and `AFTER`, which are not in the result.

    Raises:
        AssertionError: a cell failed.
    """
    copy = folder / source.name
    text = source.read_text()
    if check:
        shared = "check_asyncio, check_before, check_warnings"
        start, end = text.index(FIRST), text.rindex(LAST)
        before, after = _cell(BEFORE, "", shared), _cell(AFTER, shared, "")
        text = text[:start] + before + text[start:end] + after + text[end:]
    copy.write_text(text)
    made = copy.with_suffix(".ipynb")
    command = ["export", "ipynb", "--include-outputs", "--sort", "top-down", copy.name, "--force", "--output", made.name]
    done = subprocess.run(
        [sys.executable, "-m", "marimo", "-q", *command],
        cwd=folder, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.exists(), done.stdout + done.stderr
    notebook: Any = nbformat.read(made, as_version=4)
    errors = [out for cell in notebook.cells for out in cell.get("outputs", ()) if out.output_type == "error"]
    assert done.returncode == 0, f"{errors}\n{done.stdout}{done.stderr}"
    assert "Task was destroyed" not in done.stderr, done.stderr
    if check:
        del notebook.cells[0], notebook.cells[-1]
    return notebook


def _cell(code: str, takes: str, gives: str) -> str:
    return f"{FIRST}\nasync def _({takes}):\n{indent(code, '    ')}    return {gives}\n\n\n"


def for_jupyter(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return marimo's notebook without outputs and without what is marimo's own."""
    cells: list[Any] = [cell for cell in notebook.cells if cell.source != MARIMOS]
    for number, cell in enumerate(cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = []
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})


def in_jupyter(notebook: nbformat.NotebookNode, folder: Path, *, times: int = 1) -> list[nbformat.NotebookNode]:
    """Run a notebook in JupyterLab's kernel and return it with its outputs.

    Args:
        notebook: what to run; it is not changed.
        folder: where it runs.
        times: how often each cell is run before the next one; there is one result for each.

    Raises:
        CellExecutionError: a cell failed, warned, or left something running.
    """
    runs: list[Any] = [nbformat.from_dict(notebook) for _ in range(times)]
    for number, run in enumerate(runs[1:], 2):
        for cell in run.cells:
            cell.id += f"-{number}"
    cells = [new_code_cell(BEFORE), *chain(*zip(*(run.cells for run in runs), strict=True)), new_code_cell(AFTER)]
    whole = new_notebook(cells=cells, metadata=notebook.metadata)
    client = NotebookClient(
        whole, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
        record_timing=False, coalesce_streams=True,
    )  # fmt: skip
    kernel: Any = client.create_kernel_manager()
    with tempfile.TemporaryDirectory() as sockets:  # neither ports nor files in the user's home
        kernel.transport, kernel.connection_file = "ipc", f"{sockets}/kernel.json"
        client.execute(cleanup_kc=True)
    for run in runs:
        for number, cell in enumerate((cell for cell in run.cells if cell.cell_type == "code"), 1):
            cell.execution_count = number
            cell.outputs = [out for one in cell.outputs if (out := _repeatable(one, number)) is not None]
    return runs


def _repeatable(output: Any, number: int) -> Any:
    """Logs go to stderr and tell the time of day, which nobody wants to read again."""
    if output.output_type == "stream" and output.name == "stderr":
        return None
    if output.output_type == "execute_result":
        output.execution_count = number
    return output


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what each code cell showed: what was printed, tables, and of pictures that there was one."""
    return [_text(cell.outputs) for cell in notebook.cells if cell.cell_type == "code" and cell.source != MARIMOS]


def _text(outputs: list[Any]) -> str:
    printed = "".join(out.text for out in outputs if out.output_type == "stream" and out.name == "stdout")
    shown = [out.data for out in outputs if out.output_type in ("display_data", "execute_result")]
    kinds = ("image/png", "text/html", "text/plain")
    for data in shown:
        kind = next(kind for kind in kinds if kind in data)
        printed += "<picture>" if kind == "image/png" else data[kind]
    return printed
