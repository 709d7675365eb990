"""`Store`: trials on disk, so that nothing is trained twice; and `evaluate_once`, which sees to it.

What a store promises:

- A trial is on disk, safe from a crash of the process or the machine, when `add` returns.
- There is one trial for an architecture, data set, recipe and seed: the first one that came.
- Several processes may read and write one store at once.
- A failed trial is a trial like any other; it is replaced only by one that was asked for.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sql
from sqlalchemy.engine import URL, Connection, Engine, make_url

from archpress.architecture import Architecture
from archpress.errors import ArchitectureError, EvaluationError, StoreError
from archpress.evaluation.evaluator import Evaluator
from archpress.evaluation.trial import Candidate, Trial, TrialState
from archpress.evaluation.trial_files import write_trials

SCHEMA_VERSION = 1
BUSY_SECONDS = 30  # how long a writer waits for another; a write takes milliseconds

_schema = sql.MetaData()
_version = sql.Table(
    "archpress_schema", _schema, sql.Column("version", sql.Integer, primary_key=True)
)
_trials = sql.Table(
    "trials",
    _schema,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("key", sql.String(32), nullable=False),  # of the architecture
    sql.Column("data", sql.String(64), nullable=False),
    sql.Column("recipe", sql.String(64), nullable=False),
    sql.Column("seed", sql.BigInteger, nullable=False),
    sql.Column("state", sql.String(16), nullable=False),
    sql.Column("accuracy", sql.Double),  # also among the metrics; here to sort by
    sql.Column("parameters", sql.BigInteger, nullable=False),
    sql.Column("macs", sql.BigInteger, nullable=False),
    sql.Column("peak_memory", sql.BigInteger, nullable=False),  # bytes
    sql.Column("seconds", sql.Double, nullable=False),
    sql.Column("origin", sql.String(64), nullable=False),
    sql.Column("round", sql.Integer, nullable=False),
    sql.Column("predicted", sql.Double),
    sql.Column("created", sql.String(40), nullable=False),  # ISO 8601, UTC
    sql.Column("error", sql.Text),
    sql.Column("metrics", sql.Text, nullable=False),  # JSON
    sql.Column("curve", sql.Text, nullable=False),  # JSON
    sql.Column("architecture", sql.Text, nullable=False),  # JSON
    sql.UniqueConstraint("key", "data", "recipe", "seed"),
)
SORT_KEYS = ("created", "accuracy", "parameters", "macs", "peak_memory", "seconds", "round")


@dataclass(frozen=True, slots=True)
class TrialFilter:
    """Which trials are meant; None: any.

    Attributes:
        data: key of the data set.
        recipe: key of the recipe.
        seed: of the training.
        state: done or failed.
        origin: who proposed the architecture.
        round: of the search.
        max_parameters: of the architecture.
        max_macs: of the architecture.
        min_accuracy: in [0, 1].
    """

    data: str | None = None
    recipe: str | None = None
    seed: int | None = None
    state: TrialState | None = None
    origin: str | None = None
    round: int | None = None
    max_parameters: int | None = None
    max_macs: int | None = None
    min_accuracy: float | None = None

    def _conditions(self) -> Iterator[sql.ColumnElement[bool]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            bound, _, name = field.name.rpartition("_")
            match bound:
                case "max":
                    yield _trials.c[name] <= value
                case "min":
                    yield _trials.c[name] >= value
                case _:
                    yield _trials.c[name] == value


class Store:
    """Trials in a database: a SQLite file, or any that SQLAlchemy knows by its URL.

    Args:
        place: path of a file, which is made where there is none, or a URL.

    Raises:
        StoreError: here and in every method: what could not be done, with the place.

    >>> with Store("sqlite://") as store:  # in memory
    ...     store.count()
    0
    """

    def __init__(self, place: Path | str) -> None:
        self.place = str(place)
        self._engine = _engine(self.place)
        try:
            with self._transaction("open") as connection:
                is_new = self._is_new(connection)
            if is_new:
                self._create()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections; a store that is used again opens new ones."""
        self._engine.dispose()

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
        same = _same(_identity(trial))
        try:
            with self._transaction("write", writes=True) as connection:
                if replace_failed:
                    failed = _trials.c.state == TrialState.FAILED.value
                    connection.execute(sql.delete(_trials).where(failed, *same))
                connection.execute(sql.insert(_trials).values(**_row(trial)))
        except sql.exc.IntegrityError:  # there is one, also if another process was faster just now
            return False
        return True

    def find(self, key: str, data: str, recipe: str, seed: int) -> Trial | None:
        """The trial of an architecture's key, data, recipe and seed; None where there is none."""
        query = sql.select(_trials).where(*_same((key, data, recipe, seed)))
        with self._transaction("read") as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _trial(row, self.place)

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
        column = _trials.c[sort]
        order = column.desc() if descending else column.asc()
        query = (
            sql.select(_trials)
            .where(*(which or TrialFilter())._conditions())
            .order_by(order.nulls_last(), _trials.c.id)
            .limit(limit)
        )
        with self._transaction("read") as connection:
            rows = connection.execute(query).mappings().all()
        return [_trial(row, self.place) for row in rows]

    def count(self, which: TrialFilter | None = None) -> int:
        """Number of trials; by default of all."""
        query = sql.select(sql.func.count()).select_from(_trials)
        with self._transaction("read") as connection:
            return connection.scalar(query.where(*(which or TrialFilter())._conditions())) or 0

    def export(self, path: Path | str) -> int:
        """Write all trials to a file of kind `.jsonl` or `.csv`, see `write_trials`.

        Returns:
            Number of trials written.
        """
        trials = self.trials()
        try:
            write_trials(trials, Path(path))
        except (OSError, EvaluationError) as error:
            raise StoreError(f"cannot export the store {self.place}: {error}") from None
        return len(trials)

    # --- the database ---

    @contextmanager
    def _transaction(self, what: str, *, writes: bool = False) -> Iterator[Connection]:
        try:
            with self._engine.execution_options(archpress_writes=writes).begin() as connection:
                yield connection
        except sql.exc.IntegrityError:
            raise
        except sql.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StoreError(f"cannot {what} the store {self.place}: {reason}") from None

    def _is_new(self, connection: Connection) -> bool:
        """Whether the database is empty; refuses what this version cannot use."""
        tables = sql.inspect(connection).get_table_names()
        if _version.name not in tables:
            if tables and connection.dialect.name == "sqlite":
                raise StoreError(f"{self.place} is a database, but no store of archpress")
            return True
        found = connection.scalar(sql.select(_version.c.version)) or 0
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"the store {self.place} has schema version {found}; this archpress reads up to "
                f"{SCHEMA_VERSION}, a newer one is needed"
            )
        return False

    def _create(self) -> None:
        if self._engine.dialect.name == "sqlite":
            _write_ahead(self._engine)
        with self._transaction("create", writes=True) as connection:
            if self._is_new(connection):  # else another process was faster
                _schema.create_all(connection)
                connection.execute(sql.insert(_version).values(version=SCHEMA_VERSION))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial of `evaluate_once`.

    Attributes:
        candidate: that was asked for; its architecture may be written in another way than the
            trial's, with the same key.
        trial: new or from the store; one from the store has the origin, round and prediction of the
            candidate that was trained.
        reused: whether it came from the store.
    """

    candidate: Candidate
    trial: Trial
    reused: bool


def evaluate_once(
    evaluator: Evaluator,
    store: Store,
    candidates: Sequence[Candidate],
    *,
    seed: int,
    retry_failed: bool = False,
) -> Iterator[Outcome]:
    """Evaluate what the store does not have yet, and keep each trial as soon as it ends.

    Candidates with one key are evaluated once, as the first of them. Stored trials come first, then
    new ones in the order in which they end.

    Args:
        evaluator: makes the new trials.
        store: holds the old ones, gets the new ones.
        candidates: any number.
        seed: of the trainings.
        retry_failed: evaluate anew where the stored trial failed, and replace it.

    Raises:
        StoreError: the store cannot be read or written.
    """
    unique: dict[str, Candidate] = {}
    for candidate in candidates:
        unique.setdefault(candidate.architecture.key, candidate)
    missing: dict[str, Candidate] = {}
    for key, candidate in unique.items():
        trial = store.find(key, evaluator.data_key, evaluator.recipe_key, seed)
        if trial is None or (retry_failed and not trial.done):
            missing[key] = candidate
        else:
            yield Outcome(candidate, trial, reused=True)
    if missing:
        for trial in evaluator.evaluate(list(missing.values()), seed=seed):
            store.add(trial, replace_failed=retry_failed)
            yield Outcome(missing[trial.architecture.key], trial, reused=False)


def _engine(place: str) -> Engine:
    try:
        url = make_url(place) if "://" in place else URL.create("sqlite", database=place)
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            _check_folder(Path(url.database))
        engine = sql.create_engine(url)
    except (sql.exc.SQLAlchemyError, ImportError) as error:
        raise StoreError(f"cannot open the store {place}: {error}") from None
    if url.get_backend_name() == "sqlite":
        sql.event.listen(engine, "connect", _prepare_sqlite)
        sql.event.listen(engine, "begin", _begin_sqlite)
    return engine


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
    """Let readers go on beside a writer; kept in the file, so set once, outside of transactions."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError:
        pass  # another process does the same now, or the folder does not allow it
    finally:
        connection.close()


def _identity(trial: Trial) -> tuple[str, str, str, int]:
    return trial.architecture.key, trial.data, trial.recipe, trial.seed


def _same(identity: tuple[str, str, str, int]) -> list[sql.ColumnElement[bool]]:
    names = ("key", "data", "recipe", "seed")
    return [_trials.c[name] == value for name, value in zip(names, identity, strict=True)]


def _row(trial: Trial) -> dict[str, object]:
    return {
        **trial.summary(),
        "metrics": json.dumps(dict(trial.metrics)),
        "curve": json.dumps(trial.curve),
        "architecture": trial.architecture.to_json(),
    }


def _trial(row: sql.RowMapping, place: str) -> Trial:
    try:
        return Trial(
            Architecture.from_json(row["architecture"]),
            row["data"],
            row["recipe"],
            row["seed"],
            TrialState(row["state"]),
            json.loads(row["metrics"]),
            tuple(json.loads(row["curve"])),
            row["error"],
            row["seconds"],
            row["origin"],
            row["round"],
            row["predicted"],
            row["created"],
        )
    except (ArchitectureError, ValueError, TypeError) as error:
        raise StoreError(f"row {row['id']} of the store {place} is damaged: {error}") from None
