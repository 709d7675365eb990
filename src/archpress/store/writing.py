"""`Writer`: trials that come fast are written together, as a commit waits for the disk."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from archpress.evaluation.trial import Trial
from archpress.store import tables
from archpress.store.database import Database
from archpress.store.leases import Leases


@dataclass(frozen=True, slots=True)
class Pending:
    """A trial to be kept, if there is none yet of its identity.

    Attributes:
        trial: done or failed.
        replace_failed: put it in the place of a failed one.
    """

    trial: Trial
    replace_failed: bool


class Writer:
    """Writes in a thread of its own whatever has come since its last transaction.

    Args:
        database: where trials are kept.
        leases: which end with their trials.
    """

    def __init__(self, database: Database, leases: Leases) -> None:
        self._database, self._leases = database, leases
        self._pending: list[Pending] = []
        self._changed = threading.Condition()
        self._is_writing = False
        self._error: Exception | None = None

    def put(self, one: Pending) -> None:
        """Have a trial written soon.

        Raises:
            StoreError: an earlier one could not be written.
        """
        if self._database.is_private:  # its connections cannot be shared with a thread
            self._write([one])
            return
        with self._changed:
            self._raise()
            self._pending.append(one)
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._work, name="archpress store", daemon=True).start()

    def settle(self) -> None:
        """Wait until all that was put is written.

        Raises:
            StoreError: some of it could not be.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_writing)
            self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        while True:
            with self._changed:
                batch, self._pending = self._pending, []
                if not batch:
                    self._is_writing = False
                    self._changed.notify_all()
                    return
            try:
                self._write(batch)
            except Exception as error:  # whoever waits is told, and does not wait for ever
                with self._changed:
                    self._error = error

    def _write(self, batch: Sequence[Pending]) -> None:
        self._database.run("write", lambda connection: self._insert(connection, batch), writes=True)

    def _insert(self, connection: Connection, batch: Sequence[Pending]) -> None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(tables.trials).on_conflict_do_nothing(
            index_elements=list(tables.IDENTITY)
        )
        for replaces, some in groupby(batch, lambda one: one.replace_failed):
            if not replaces:
                connection.execute(statement, [tables.row_of(one.trial) for one in some])
                continue
            for one in some:
                connection.execute(tables.without_failed(tables.identity(one.trial)))
                connection.execute(statement, tables.row_of(one.trial))
        self._leases.end_all(connection, [tables.identity(one.trial) for one in batch])
