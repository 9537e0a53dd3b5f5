"""Bars as files, written as they close: each file is whole at any moment, and each bar is in one row of one file.

A file holds one timeframe. It is made under another name and then renamed, each time something is added, until it is full
and the next one begins. A revision replaces its bar in the file where that is. What can no longer be revised is forgotten here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from rxfeed.cli._errors import Failed, Usage
from rxfeed.cli._files import EXTENSIONS, TIME_TEXT, as_text
from rxfeed.frame import BAR_SCHEMA, Frame
from rxfeed.model import Bar
from rxfeed.times import iso

ROWS: Final = 10_000
"""Rows of a file at most."""


def _parquet(df: pl.DataFrame, path: Path) -> None:
    df.write_parquet(path, compression="zstd")


def _csv(df: pl.DataFrame, path: Path) -> None:
    df.write_csv(path, datetime_format=TIME_TEXT)


def _ndjson(df: pl.DataFrame, path: Path) -> None:
    as_text(df).write_ndjson(path)


FORMATS: Final[Mapping[str, Callable[[pl.DataFrame, Path], None]]] = {"parquet": _parquet, "csv": _csv, "ndjson": _ndjson}


def check_folder(option: str, path: Path) -> None:
    """Refuse a folder that cannot be meant.

    Raises:
        Usage: a file, or what looks like the name of one.
    """
    if path.suffix.lower() in EXTENSIONS:
        raise Usage(f"{option} takes a folder, got {str(path)!r}; --format says what files in it are")
    if path.exists() and not path.is_dir():
        raise Usage(f"{option} takes a folder, and {path} is a file")


class _File:
    __slots__ = ("dirty", "last", "path", "rows")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[tuple[str, int], Bar] = {}
        self.last: dict[str, int] = {}
        """By symbol, where its last bar ends."""
        self.dirty = False


class BarFiles:
    """Writes bars into a folder, files of each timeframe.

    Args:
        folder: made if it is missing.
        began: when the run began, in nanoseconds since the epoch; it is in the files' names.
        format: one of `FORMATS`.
        horizon: how far back a bar may still be revised, in nanoseconds.
        rows: of a file at most.

    Raises:
        Failed: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, began: int, *, format: str = "parquet", horizon: int, rows: int = ROWS) -> None:
        self.folder: Final = folder
        self.rows = 0
        """Bars written, each once."""
        self._write = FORMATS[format]
        self._format, self._horizon, self._most = format, horizon, rows
        self._open: dict[str, list[_File]] = {}
        self._files: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._stamp = self._unused(iso(began // 1_000_000_000 * 1_000_000_000).replace("-", "").replace(":", ""))
        except OSError as error:
            raise self._failed(error) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Failed(f"{folder} cannot be written: Permission denied")

    def _unused(self, stamp: str) -> str:
        """A run that began in the same second has its own files."""
        names = {path.name.partition("_")[2].partition("_")[0] for path in self.folder.iterdir()}
        return next(name for n in range(len(names) + 1) if (name := f"{stamp}-{n + 1}" if n else stamp) not in names)

    def add(self, bars: Iterable[Bar]) -> None:
        """Take bars, the newest revision of each, and write what has changed."""
        for bar in bars:
            self._put(bar)
        for timeframe, files in self._open.items():
            for file in files:
                if file.dirty:
                    self._save(file)
            self._open[timeframe] = [file for file in files[:-1] if self._may_change(file)] + files[-1:]

    def _put(self, bar: Bar) -> None:
        symbol, timeframe, start = bar.identity
        files = self._open.setdefault(timeframe, [])
        self._newest[symbol] = max(bar.end, self._newest.get(symbol, bar.end))
        file = next((one for one in files if (symbol, start) in one.rows), None)
        if file is None:
            if not files or len(files[-1].rows) >= self._most:
                number = self._files[timeframe] = self._files.get(timeframe, 0) + 1
                files.append(_File(self.folder / f"{timeframe}_{self._stamp}_{number:04d}.{self._format}"))
            file = files[-1]
            self.rows += 1
        file.rows[symbol, start] = bar
        file.last[symbol] = max(bar.end, file.last.get(symbol, bar.end))
        file.dirty = True

    def _may_change(self, file: _File) -> bool:
        # A tick that would change a bar is refused when its symbol's watermark is `horizon` past it, and that is at least
        # where the symbol's newest bar ended.
        return any(self._newest[symbol] < end + self._horizon for symbol, end in file.last.items())

    def _save(self, file: _File) -> None:
        made = file.path.with_name(f".{file.path.name}.tmp")
        try:
            self._write(Frame.of(list(file.rows.values()), Bar).df.select(BAR_SCHEMA.names()), made)
            with made.open("rb+") as written:
                os.fsync(written.fileno())
            made.replace(file.path)
        except OSError as error:
            made.unlink(missing_ok=True)
            raise self._failed(error) from None
        file.dirty = False

    def _failed(self, error: OSError) -> Failed:
        return Failed(f"{self.folder} cannot be written: {error.strerror or error}")
