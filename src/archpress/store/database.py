"""`Database`: whole transactions on SQLite or PostgreSQL; a server that went away is waited for."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.engine import URL, Connection, Engine, make_url

from archpress.errors import StoreError, reason

BUSY_SECONDS = 30  # how long a writer waits for another; a write takes milliseconds
PATIENCE = 60.0  # seconds that a server may be away, e.g. while it is restarted
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds between two tries; each pause is twice the last
CONNECT_SECONDS = 10  # that one try may take
CREATION_LOCK = 0x61726368  # one number for all; others wait while tables are made

POSTGRES = "postgresql+psycopg"
FORM = f"{POSTGRES}://USER:PASSWORD@HOST:5432/DATABASE"
SECRETS = ("password", "sslpassword", "passfile")  # that may also stand behind the ? of a URL
DEADLOCK = ("40001", "40P01")  # SQLSTATEs that ask for the transaction to be tried again

T = TypeVar("T")


class Database:
    """Transactions, as functions, so that a whole one can be tried again.

    Args:
        place: path of a SQLite file, or a URL.

    Attributes:
        place: the same, for people: without a password.

    Raises:
        StoreError: there can be no store at this place.
    """

    def __init__(self, place: str) -> None:
        if not place.strip():
            raise StoreError("the place of a store is empty: give a file or a URL")
        url = _read_url(place)
        self.place = _told(url) if "://" in place else place
        self._secrets = [text for text in (url.password, *_query_secrets(url)) if text]
        self._engine = _engine(url, self.place)
        self._was_open = False

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file or lies in memory, and no server."""
        return self._engine.dialect.name == "sqlite"

    @property
    def is_private(self) -> bool:
        """Whether it lies in the memory of this process, so that no other can use it."""
        return self.is_sqlite and self._engine.url.database in (None, "", ":memory:")

    def close(self) -> None:
        """Close all connections; later transactions open new ones."""
        self._engine.dispose()

    def run(self, what: str, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Do a transaction.

        Once one has succeeded, a server that is away is waited for, with growing pauses, and the
        transaction is done anew. So `work` may run more than once, and even after it was committed,
        if the server's answer was lost.

        Args:
            what: is done, for an error: "read", "write".
            work: reads and writes by the connection it is given; its result is returned.
            writes: whether it writes; then it waits for other writers at its beginning.

        Raises:
            StoreError: it cannot be done.
            sqlalchemy.exc.IntegrityError: a row is there already.
        """
        pause, began = FIRST_PAUSE, None
        while True:
            try:
                with self._engine.execution_options(archpress_writes=writes).begin() as connection:
                    result = work(connection)
            except sql.exc.IntegrityError:
                raise
            except sql.exc.SQLAlchemyError as error:
                began = time.monotonic() if began is None else began
                waited = time.monotonic() - began
                if not self._may_pass(error) or waited + pause > PATIENCE:
                    raise self._failed(what, error, waited) from None
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._was_open = True
                return result

    def lock_creation(self, connection: Connection) -> None:
        """Until this transaction ends, nobody else makes tables."""
        if not self.is_sqlite:  # there, a writer is alone anyway
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(CREATION_LOCK)))

    def write_ahead(self) -> None:
        """Let readers of a file go on beside a writer; kept in the file, so set once."""
        if self.is_sqlite:
            _write_ahead(self._engine)

    def _may_pass(self, error: sql.exc.SQLAlchemyError) -> bool:
        """Whether the same transaction may succeed later.

        Before the first one there is nobody to wait for: an address or a password may be wrong.
        """
        if self.is_sqlite or not self._was_open or not isinstance(error, sql.exc.DBAPIError):
            return False
        if getattr(error.orig, "sqlstate", None) in DEADLOCK:
            return True
        if not isinstance(error, sql.exc.OperationalError | sql.exc.InterfaceError):
            return False
        return error.connection_invalidated or error.statement is None  # None: no connection yet

    def _failed(self, what: str, error: sql.exc.SQLAlchemyError, waited: float) -> StoreError:
        text = reason(getattr(error, "orig", None) or error)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        after = f" after {waited:.0f} s of trying" if waited >= 1 else ""
        return StoreError(f"cannot {what} the store {self.place}{after}: {text}")


def _read_url(place: str) -> URL:
    if "://" not in place:
        return URL.create("sqlite", database=place)
    try:
        url = make_url(place)
    except (sql.exc.ArgumentError, ValueError):  # whose text may have the password
        url = None
    if url is None or "@" in (url.host or ""):  # the rest of a password would stand there
        raise StoreError(
            f"the URL of the store cannot be read; one like {FORM} is, and in a password "
            f"@, :, / and % must be written as %40, %3A, %2F and %25"
        )
    if url.get_backend_name() in ("postgres", "postgresql") and "+" not in url.drivername:
        url = url.set(drivername=POSTGRES)
    return url


def _told(url: URL) -> str:
    """A URL for people."""
    return url.difference_update_query(SECRETS).render_as_string(hide_password=True)


def _query_secrets(url: URL) -> list[str]:
    return [value for name in SECRETS if isinstance(value := url.query.get(name), str)]


def _engine(url: URL, place: str) -> Engine:
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise StoreError(
            f"cannot open the store {place}: a store is a SQLite file or a PostgreSQL database, "
            f"as in {FORM}"
        )
    if kind == "sqlite" and url.database not in (None, "", ":memory:"):
        _check_folder(Path(url.database))
    try:
        if kind == "sqlite":
            engine = sql.create_engine(url)
            sql.event.listen(engine, "connect", _prepare_sqlite)
            sql.event.listen(engine, "begin", _begin_sqlite)
            return engine
        patience = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
        return sql.create_engine(url, pool_pre_ping=True, connect_args=patience)
    except ImportError:
        raise StoreError(
            f"cannot open the store {place}: PostgreSQL needs pip install 'archpress[postgres]'"
        ) from None
    except sql.exc.SQLAlchemyError as error:
        raise StoreError(f"cannot open the store {place}: {reason(error)}") from None


def _check_folder(path: Path) -> None:
    try:
        if path.is_dir():
            raise StoreError(f"cannot open the store {path}: it is a folder, not a file")
        if not path.parent.is_dir():
            raise StoreError(f"cannot open the store {path}: there is no folder {path.parent}")
    except OSError as error:
        raise StoreError(f"cannot open the store {path}: {error.strerror}") from None


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401  any driver's
    connection.isolation_level = None  # the driver would begin transactions later than we do
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA synchronous = FULL")  # with WAL, less is not safe from power loss


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: one that had read first would fail instead of waiting.
    writes = connection.get_execution_options().get("archpress_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _write_ahead(engine: Engine) -> None:
    """Set outside of transactions."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError:
        pass  # another process does the same now, or the folder does not allow it
    finally:
        connection.close()
