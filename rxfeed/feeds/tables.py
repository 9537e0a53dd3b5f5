"""One file, table or frame of ticks, opened late and read block by block, so that it may be larger than memory.

Parquet is read by row groups: there, a group is what has to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Final, Protocol, cast

import polars as pl

from rxfeed.errors import InputError
from rxfeed.feeds.columns import tick_columns
from rxfeed.feeds.layout import Layout, Place, resolve
from rxfeed.frame import Frame
from rxfeed.model import UNKNOWN_TIME, Tick

_JSON_LOOK: Final = 10_000


def _csv(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, infer_schema=False, glob=False)


def _ndjson(path: Path, columns: Iterable[str] | None = None) -> pl.LazyFrame:
    # Types guessed from the first rows fail, or lose values, in later ones; text does not.
    schema = None if columns is None else dict.fromkeys(columns, pl.String)
    return pl.scan_ndjson(escape(str(path)), schema=schema, infer_schema_length=_JSON_LOOK)


def _ipc(path: Path) -> pl.LazyFrame:
    return pl.scan_ipc(path, glob=False, hive_partitioning=False)


def _parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


SCANS: Final[Mapping[str, Callable[[Path], pl.LazyFrame]]] = {
    ".parquet": _parquet, ".csv": _csv, ".ndjson": _ndjson, ".jsonl": _ndjson, ".arrow": _ipc, ".ipc": _ipc, ".feather": _ipc,
}  # fmt: skip


class TickSource(Protocol):
    """One file or table of ticks, not yet opened."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def from_disk(self) -> bool:
        """Whether having no row at all is an error."""
        ...

    def numbered(self) -> bool:
        """Return whether it has `seq` of its own."""
        ...

    def first(self) -> int | None:
        """Return the time of its first row, None when it has none; UNKNOWN_TIME when it cannot be told cheaply."""
        ...

    def rows(self) -> int | None:
        """Return how many rows it has; None when that cannot be told cheaply."""
        ...

    def blocks(self, chunk: int) -> Iterator[pl.DataFrame]:
        """Return its rows in the form of `TICK_SCHEMA`, at most `chunk` in a block."""
        ...


@dataclass(frozen=True, slots=True)
class FrameSource:
    """A frame: in rxfeed's own form already."""

    frame: Frame[Tick]
    name: str
    from_disk: bool = False

    def numbered(self) -> bool:
        return True

    def first(self) -> int | None:
        return int(self.frame.column("time")[0]) if len(self.frame) else None

    def rows(self) -> int | None:
        return len(self.frame)

    def blocks(self, chunk: int) -> Iterator[pl.DataFrame]:
        return self.frame.df.iter_slices(chunk)


@dataclass(slots=True)
class TableSource:
    """A file or a table with columns of its own."""

    name: str
    layout: Layout
    scan: Callable[[], pl.LazyFrame]
    kind: str = ""
    constants: Mapping[str, str] = field(default_factory=dict[str, str])
    table: pl.DataFrame | None = None
    _plan: tuple[dict[str, str], pl.LazyFrame] | None = None

    @property
    def from_disk(self) -> bool:
        return bool(self.kind)

    def numbered(self) -> bool:
        return "seq" in self._opened()[0]

    def first(self) -> int | None:
        if not self.kind and self.table is None:
            return UNKNOWN_TIME  # a query is not run twice to save some memory
        found, query = self._opened()
        with _refusing(self.name):
            head = query.head(1).collect()
        rows = self._convert(head, found, 0)
        return int(rows["time"].to_physical()[0]) if rows.height else None

    def rows(self) -> int | None:
        if self.table is not None:
            return self.table.height
        if self.kind not in (".parquet", ".arrow", ".ipc", ".feather"):
            return None
        with _refusing(self.name):
            return int(self.scan().select(pl.len()).collect().item())

    def blocks(self, chunk: int) -> Iterator[pl.DataFrame]:
        found, query = self._opened()
        before = 0
        for block in self._raw(query, chunk):
            yield self._convert(block, found, before)
            before += block.height

    def _raw(self, query: pl.LazyFrame, chunk: int) -> Iterator[pl.DataFrame]:
        if self.table is not None:
            yield from self.table.iter_slices(chunk)
            return
        with _refusing(self.name):
            query_batches = query.collect_batches(chunk_size=chunk, maintain_order=True, lazy=True)
            batches = iter(cast("Iterable[pl.DataFrame]", query_batches))
        while True:
            with _refusing(self.name):
                block = next(batches, None)
            if block is None:
                return
            yield block

    def _opened(self) -> tuple[dict[str, str], pl.LazyFrame]:
        if self._plan is None:
            with _refusing(self.name):
                query = self.scan()
                columns = query.collect_schema().names()
            found = resolve([*columns, *(c for c in self.constants if c not in columns)], self.layout, self.name)
            wanted = list(dict.fromkeys(c for c in found.values() if c in columns))
            if self.kind in (".ndjson", ".jsonl"):
                query = _ndjson(Path(self.name), wanted)
            added = [pl.lit(value).alias(c) for c, value in self.constants.items() if c in found.values() and c not in columns]
            self._plan = found, query.select(*wanted, *added)
        return self._plan

    def _convert(self, block: pl.DataFrame, found: Mapping[str, str], before: int) -> pl.DataFrame:
        return tick_columns(block, found, self.layout, Place(self.name, before))


class _refusing:  # noqa: N801  # reads as a statement
    """Turns what polars or the system says about a source into one line."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeError)):
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(f"{self.name} cannot be read: {lines[0]}") from None
