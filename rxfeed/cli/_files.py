"""Outputs that are there whole or not at all: rows go to a temporary folder beside the output, which is renamed at the end.

Text is appended as it comes. Parquet and Arrow cannot be appended to, so their rows wait in parts, which are streamed into
one file at the end; memory holds a part at most.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import polars as pl

from rxfeed.cli._errors import Failed, Usage

PART_ROWS: Final = 262_144
GROUP_ROWS: Final = 65_536
TIME_TEXT: Final = "%Y-%m-%dT%H:%M:%S%.9fZ"


class Folder:
    """A temporary folder, gone when it is left."""

    def __init__(self, beside: Path | None) -> None:
        if beside is None:
            self.path = Path(tempfile.mkdtemp(prefix="rxfeed-"))
            _folders.add(self.path)
            return
        parent = beside.parent
        if not parent.is_dir():
            raise Failed(f"{beside} cannot be written: there is no folder {parent}")
        try:
            self.path = Path(tempfile.mkdtemp(prefix=f".{beside.name}.", suffix=".tmp", dir=parent))
        except OSError as error:
            raise Failed(f"{beside} cannot be written: {error.strerror or error}") from None

        _folders.add(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _remove(self.path)


_folders: Final[set[Path]] = set()


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _folders.discard(path)


def clean_up() -> None:
    """Remove what is left. One Ctrl-C can come twice, from polars and from Python, the second time while a folder is left."""
    for path in tuple(_folders):
        _remove(path)


class Output:
    """One file of rows, made in a temporary folder and put in place by `commit`.

    Args:
        path: where it goes at last; its extension says in which form.
        schema: of the rows; a file without rows has these columns too.
        folder: where it is made.
    """

    def __init__(self, path: Path, schema: pl.Schema, folder: Path) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema
        self._folder = folder
        self._made = folder / f"made{path.suffix.lower()}"
        self._held: list[pl.DataFrame] = []
        self._held_rows = 0
        self._parts: list[Path] = []
        self._text = TEXTS.get(path.suffix.lower())
        if self._text is not None:
            self._text(pl.DataFrame(schema=schema), self._made)

    def add(self, df: pl.DataFrame) -> None:
        """Append rows."""
        self.rows += df.height
        if self._text is not None:
            if df.height:
                self._text(df, self._made)
            return
        self._held.append(df)
        self._held_rows += df.height
        if self._held_rows >= PART_ROWS:
            part = self._folder / f"part{len(self._parts):06d}.parquet"
            pl.concat(self._held).write_parquet(part, compression="lz4", row_group_size=GROUP_ROWS)
            self._parts.append(part)
            self._held, self._held_rows = [], 0

    def finish(self) -> None:
        """Make the file whole; it is still under its temporary name."""
        if self._text is not None:
            return
        last = pl.concat(self._held) if self._held else pl.DataFrame(schema=self._schema)
        self._held = []
        query = last.lazy()
        if self._parts:
            query = pl.concat([pl.scan_parquet(self._parts, glob=False, hive_partitioning=False), query])
        if self._made.suffix == ".parquet":
            query.sink_parquet(self._made, compression="zstd", row_group_size=GROUP_ROWS)
        else:
            query.sink_ipc(self._made, compression="uncompressed", compat_level=pl.CompatLevel.oldest())

    def commit(self) -> None:
        """Put it in place of whatever was there."""
        try:
            os.replace(self._made, self.path.resolve())  # noqa: PTH105  # a link to a file stays one
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror or error}") from None


def _csv(df: pl.DataFrame, path: Path) -> None:
    with path.open("ab") as file:
        df.write_csv(file, include_header=not df.height, datetime_format=TIME_TEXT)


def _ndjson(df: pl.DataFrame, path: Path) -> None:
    with path.open("ab") as file:
        if df.height:
            as_text(df).write_ndjson(file)


def as_text(df: pl.DataFrame) -> pl.DataFrame:
    """Return rows with times as ISO 8601 text to the nanosecond."""
    return df.with_columns(pl.col(pl.Datetime).dt.strftime(TIME_TEXT), pl.col(pl.Date).dt.strftime("%Y-%m-%d"))


TEXTS: Final[Mapping[str, Callable[[pl.DataFrame, Path], None]]] = {".csv": _csv, ".ndjson": _ndjson, ".jsonl": _ndjson}
EXTENSIONS: Final = (".parquet", ".csv", ".ndjson", ".jsonl", ".arrow", ".ipc", ".feather")


def check_output(option: str, path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output that cannot be meant.

    Raises:
        Usage: an unknown extension, a folder, or one of the inputs or inside one.
    """
    if path.suffix.lower() not in EXTENSIONS:
        raise Usage(f"{option} must end in one of {' '.join(EXTENSIONS)}, got {str(path)!r}")
    if path.is_dir():
        raise Usage(f"{option} {path} is a folder")
    target = path.resolve()
    for given in inputs:
        source = given.resolve()
        if target == source or (path.exists() and given.exists() and path.samefile(given)):
            raise Usage(f"{option} {path} is an input; it would be overwritten")
        if source.is_dir() and source in target.parents:
            raise Usage(f"{option} {path} lies in the input folder {given} and would be read as ticks the next time")
