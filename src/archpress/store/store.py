"""`Store`: trials in a database."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from archpress.errors import EvaluationError, StoreError
from archpress.evaluation.trial import Trial
from archpress.evaluation.trial_files import write_trials
from archpress.store import tables
from archpress.store.database import Database
from archpress.store.leases import Leases
from archpress.store.merging import Merged, merge
from archpress.store.tables import SCHEMA_VERSION, SORT_KEYS, Identity, TrialFilter
from archpress.store.writing import Pending, Writer

KEYS_AT_ONCE = 500  # in one query


class Store:
    """Trials in a database: a SQLite file, or PostgreSQL by its URL.

    Args:
        place: path of a file, which is made where there is none, or a URL:
            `postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE`, whose tables are made where
            there are none.

    Attributes:
        place: the same, for people: without a password.
        leases: who trains what just now.

    Raises:
        StoreError: here and in every method: what could not be done, with the place.

    >>> with Store("sqlite://") as store:  # in memory
    ...     store.count()
    0
    """

    def __init__(self, place: Path | str) -> None:
        self._database = Database(str(place))
        self.place = self._database.place
        self.leases = Leases(self._database)
        self._writer = Writer(self._database, self.leases)
        try:
            if self._database.run("open", self._is_new):
                self._database.write_ahead()
                self._database.run("create", self._create, writes=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Write what waits, and close all connections; a store that is used again opens new ones.

        Raises:
            StoreError: it could not be written.
        """
        try:
            self.settle()
        finally:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, trial: Trial, *, replace_failed: bool = False) -> bool:
        """Keep a trial, if there is none yet of its architecture, data, recipe and seed.

        Args:
            trial: done or failed.
            replace_failed: put it in the place of a failed one.

        Returns:
            Whether it was kept.
        """
        identity, tries = tables.identity(trial), 0

        def insert(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            if replace_failed:
                connection.execute(tables.without_failed(identity))
            connection.execute(sql.insert(tables.trials).values(**tables.row_of(trial)))
            self.leases.end_all(connection, [identity])

        self.settle()
        try:
            self._database.run("write", insert, writes=True)
        except sql.exc.IntegrityError:  # there is one, also if another process was faster just now
            return tries > 1 and self.find(*identity) == trial  # ours, if the answer was lost
        return True

    def add_soon(self, trial: Trial, *, replace_failed: bool = False) -> None:
        """Keep a trial as `add` does, in a moment, with others that come meanwhile.

        All other methods of this store wait until it is written.

        Args:
            trial: done or failed.
            replace_failed: put it in the place of a failed one.

        Raises:
            StoreError: this one or one before it could not be written; also raised by `settle`.
        """
        self._writer.put(Pending(trial, replace_failed))

    def settle(self) -> None:
        """Wait until what was added is on disk.

        Raises:
            StoreError: some of it could not be written.
        """
        self._writer.settle()

    def find(self, key: str, data: str, recipe: str, seed: int) -> Trial | None:
        """The trial of an architecture's key, data, recipe and seed; None where there is none."""
        return self.find_all([(key, data, recipe, seed)]).get((key, data, recipe, seed))

    def find_all(self, identities: Iterable[Identity]) -> dict[Identity, Trial]:
        """Those that there are, of keys, data, recipes and seeds."""
        groups: dict[tuple[str, str, int], list[str]] = {}
        for key, data, recipe, seed in identities:
            groups.setdefault((data, recipe, seed), []).append(key)
        found: dict[Identity, Trial] = {}
        for (data, recipe, seed), keys in groups.items():
            alike = TrialFilter(data=data, recipe=recipe, seed=seed).conditions()
            query = sql.select(tables.trials).where(*alike)
            for start in range(0, len(keys), KEYS_AT_ONCE):
                among = tables.trials.c.key.in_(keys[start : start + KEYS_AT_ONCE])
                for row in self._rows(query.where(among)):
                    identity = (row["key"], data, recipe, seed)
                    found[identity] = tables.trial_of(row, self.place)
        return found

    def trials(
        self,
        which: TrialFilter | None = None,
        *,
        sort: str = "created",
        descending: bool = False,
        limit: int | None = None,
    ) -> list[Trial]:
        """Trials in order.

        Args:
            which: by default all.
            sort: one of `SORT_KEYS`; what has no such value comes last.
            descending: largest first.
            limit: give at most so many.
        """
        if sort not in SORT_KEYS:
            raise StoreError(f"trials cannot be sorted by {sort!r}; by {', '.join(SORT_KEYS)}")
        column = tables.trials.c[sort]
        order = column.desc() if descending else column.asc()
        query = (
            sql.select(tables.trials)
            .where(*(which or TrialFilter()).conditions())
            .order_by(order.nulls_last(), tables.trials.c.id)
            .limit(limit)
        )
        return self._read(query)

    def count(self, which: TrialFilter | None = None) -> int:
        """Number of trials; by default of all."""
        query = sql.select(sql.func.count()).select_from(tables.trials)
        query = query.where(*(which or TrialFilter()).conditions())
        self.settle()
        return self._database.run("read", lambda connection: connection.scalar(query)) or 0

    def export(self, path: Path | str, which: TrialFilter | None = None) -> int:
        """Write trials to a file of kind `.jsonl` or `.csv`, see `write_trials`.

        Args:
            path: of the file.
            which: by default all.

        Returns:
            Number of trials written.
        """
        found = self.trials(which)
        try:
            write_trials(found, Path(path))
        except (OSError, EvaluationError) as error:
            raise StoreError(f"cannot export the store {self.place}: {error}") from None
        return len(found)

    def merge(self, other: "Store", which: TrialFilter | None = None) -> Merged:
        """Bring the trials of another store into this one; again, and nothing changes.

        A trial that is here stays, unless it failed and the other one did not.

        Args:
            other: is only read.
            which: of its trials; by default all.
        """
        self.settle()
        return merge(self._database, other.trials(which))

    # --- the database ---

    def _read(self, query: sql.Select[tuple[object, ...]]) -> list[Trial]:
        return [tables.trial_of(row, self.place) for row in self._rows(query)]

    def _rows(self, query: sql.Select[tuple[object, ...]]) -> Sequence[sql.RowMapping]:
        self.settle()
        return self._database.run("read", lambda c: c.execute(query).mappings().all())

    def _is_new(self, connection: Connection) -> bool:
        """Whether the database is empty; refuses what this version cannot use."""
        names = sql.inspect(connection).get_table_names()
        if tables.version.name not in names:
            if names and self._database.is_sqlite:
                raise StoreError(f"{self.place} is a database, but no store of archpress")
            return True
        found = connection.scalar(sql.select(tables.version.c.version)) or 0
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"the store {self.place} has schema version {found}; this archpress reads up to "
                f"{SCHEMA_VERSION}, a newer one is needed"
            )
        return False

    def _create(self, connection: Connection) -> None:
        self._database.lock_creation(connection)
        if self._is_new(connection):  # else another process was faster
            tables.schema.create_all(connection)
            connection.execute(sql.insert(tables.version).values(version=SCHEMA_VERSION))
