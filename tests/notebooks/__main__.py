"""Make each `.ipynb` from its source: `make notebooks`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat

from tests.notebooks.hosts import SOURCES, for_jupyter, in_jupyter, in_marimo

for source in SOURCES:
    with tempfile.TemporaryDirectory() as folder:
        blank = for_jupyter(in_marimo(source, Path(folder)))
        (run,) = in_jupyter(blank, Path(folder))
    nbformat.write(run, source.with_suffix(".ipynb"))
    print(f"made {source.with_suffix('.ipynb').name}")
