"""The rows of a store that another process writes, read only."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from archpress.errors import StoreError, reason

PATIENCE_SECONDS = 1.0  # with a writer; the page comes again


class TrialRow(NamedTuple):
    """A trial without its architecture; the fields are columns of the store."""

    data: str
    recipe: str
    seed: int
    state: str
    accuracy: float | None
    parameters: int
    macs: int
    peak_memory: int
    seconds: float
    origin: str
    round: int
    predicted: float | None
    created: str
    error: str | None


class Tried(NamedTuple):
    """A trial's architecture; the fields are columns of the store."""

    state: str
    accuracy: float | None
    architecture: str  # JSON


@dataclass(frozen=True, slots=True)
class Which:
    """The trials of a run among all that its store holds.

    Attributes:
        data: key of the images.
        recipe: key of the trial recipe.
        seed: of the trials; None: any.
    """

    data: str
    recipe: str
    seed: int | None

    def has(self, row: TrialRow) -> bool:
        """Whether a row is one of them."""
        same = (row.data, row.recipe) == (self.data, self.recipe)
        return same and self.seed in (None, row.seed)


def read_rows(path: Path) -> list[TrialRow]:
    """All rows, in the order in which they came; none where there is no store yet.

    Raises:
        StoreError: it cannot be read, or is no store.
    """
    query = f"SELECT {', '.join(TrialRow._fields)} FROM trials ORDER BY id"
    return [TrialRow._make(row) for row in _read(path, query)]


def read_tried(path: Path, which: Which) -> list[Tried]:
    """The trials of a run with their architectures, in the order of `read_rows`.

    Raises:
        StoreError: it cannot be read, or is no store.
    """
    query = (
        f"SELECT {', '.join(Tried._fields)} FROM trials "
        "WHERE data = ? AND recipe = ? AND coalesce(seed = ?, 1) ORDER BY id"
    )
    asked = (which.data, which.recipe, which.seed)
    return [Tried._make(row) for row in _read(path, query, asked)]


def _read(path: Path, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The rows that a query finds.

    Nothing is written: while no process has the store open, it is read as a file that does not
    change, since SQLite would put its own files beside it otherwise.

    Raises:
        StoreError: it cannot be read, or is no store.
    """
    if not path.exists():
        return []
    before = _at_rest(path)
    if before:
        try:
            rows = _select(path, "immutable=1", query, values)
            if _at_rest(path) == before:
                return rows
        except sqlite3.Error:  # as below, or a process has begun to write
            pass
    try:
        return _select(path, "mode=ro", query, values)
    except sqlite3.Error as error:
        if "no such table" in str(error):  # another process makes it just now
            return []
        raise StoreError(f"cannot read the store {path}: {reason(error)}") from None


def _select(path: Path, mode: str, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    address = f"{path.resolve().as_uri()}?{mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_SECONDS)) as connection:
        return connection.execute(query, values).fetchall()


def _at_rest(path: Path) -> tuple[int, int] | None:
    """Size and time of a store that no process has open; None where one has."""
    if any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal")):
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
