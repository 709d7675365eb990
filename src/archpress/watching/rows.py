"""The rows of a store that another process writes: numbers without architectures, read only."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from archpress.errors import StoreError, reason

PATIENCE_SECONDS = 1.0  # with a writer; the page comes again


class Row(NamedTuple):
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


QUERY = f"SELECT {', '.join(Row._fields)} FROM trials ORDER BY id"


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

    def has(self, row: Row) -> bool:
        """Whether a row is one of them."""
        same = (row.data, row.recipe) == (self.data, self.recipe)
        return same and self.seed in (None, row.seed)


def read_rows(path: Path) -> list[Row]:
    """All rows, in the order in which they came; none where the store is empty.

    Nothing is written: while no process has the store open, it is read as a file that does not
    change, since SQLite would put its own files beside it otherwise.

    Raises:
        StoreError: it cannot be read, or is no store.
    """
    before = _at_rest(path)
    if before:
        try:
            rows = _read(path, "immutable=1")
            if _at_rest(path) == before:
                return rows
        except sqlite3.Error:  # as below, or a process has begun to write
            pass
    try:
        return _read(path, "mode=ro")
    except sqlite3.Error as error:
        if "no such table" in str(error):  # another process makes it just now
            return []
        raise StoreError(f"cannot read the store {path}: {reason(error)}") from None


def _read(path: Path, mode: str) -> list[Row]:
    address = f"{path.resolve().as_uri()}?{mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_SECONDS)) as connection:
        return [Row._make(row) for row in connection.execute(QUERY)]


def _at_rest(path: Path) -> tuple[int, int] | None:
    """Size and time of a store that no process has open; None where one has."""
    if any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal")):
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
