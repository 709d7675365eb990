"""The tables of a store, and trials as their rows."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields

import sqlalchemy as sql
from pydantic_core import from_json

from archpress.architecture import Architecture
from archpress.errors import StoreError
from archpress.evaluation.trial import Trial, TrialState

SCHEMA_VERSION = 1  # of the trials; leases come and go, so their table is made where it is missing

Identity = tuple[str, str, str, int]  # key of the architecture, data, recipe, seed
IDENTITY = ("key", "data", "recipe", "seed")

schema = sql.MetaData()
version = sql.Table(
    "archpress_schema", schema, sql.Column("version", sql.Integer, primary_key=True)
)
trials = sql.Table(
    "trials",
    schema,
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
    sql.UniqueConstraint(*IDENTITY),
)
leases = sql.Table(
    "leases",
    schema,
    sql.Column("key", sql.String(32), primary_key=True),
    sql.Column("data", sql.String(64), primary_key=True),
    sql.Column("recipe", sql.String(64), primary_key=True),
    sql.Column("seed", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("owner", sql.String(200), nullable=False),
    sql.Column("expires", sql.Double, nullable=False),  # seconds, by the database's clock
)
SORT_KEYS = ("created", "accuracy", "parameters", "macs", "peak_memory", "seconds", "round")


@dataclass(frozen=True, slots=True)
class TrialFilter:
    """Which trials are meant; None: any.

    Attributes:
        key: of the architecture, or how it begins.
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

    key: str | None = None
    data: str | None = None
    recipe: str | None = None
    seed: int | None = None
    state: TrialState | None = None
    origin: str | None = None
    round: int | None = None
    max_parameters: int | None = None
    max_macs: int | None = None
    min_accuracy: float | None = None

    def conditions(self) -> Iterator[sql.ColumnElement[bool]]:
        """Conditions on the table of trials; all must hold."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            bound, _, name = field.name.rpartition("_")
            match bound:
                case "max":
                    yield trials.c[name] <= value
                case "min":
                    yield trials.c[name] >= value
                case _ if name == "key":
                    yield trials.c.key.startswith(value, autoescape=True)
                case _:
                    yield trials.c[name] == value


def identity(trial: Trial) -> Identity:
    """What makes it the one trial that it is."""
    return trial.architecture.key, trial.data, trial.recipe, trial.seed


def same(table: sql.Table, identity: Identity) -> list[sql.ColumnElement[bool]]:
    """Conditions on the one row of a table that is of this identity."""
    return [table.c[name] == value for name, value in zip(IDENTITY, identity, strict=True)]


def without_failed(identity: Identity) -> sql.Delete:
    """Takes away the failed trial of this identity, if there is one."""
    failed = trials.c.state == TrialState.FAILED.value
    return sql.delete(trials).where(failed, *same(trials, identity))


def row_of(trial: Trial) -> dict[str, object]:
    """The values of the columns of a trial."""
    return {
        **trial.summary(),
        "metrics": json.dumps(dict(trial.metrics)),
        "curve": json.dumps(trial.curve),
        "architecture": trial.architecture.to_json(),
    }


def trial_of(row: sql.RowMapping, place: str) -> Trial:
    """The trial of a row.

    Raises:
        StoreError: the row is damaged; its number and the store's place are named. What describes
            the architecture is read when it is needed: `ArchitectureError` then.
    """
    where = f"row {row['id']} of the store {place}"
    known = {name: row[name] for name in ("key", "parameters", "macs", "peak_memory")}
    try:
        return Trial(
            Architecture.from_json_later(row["architecture"], where=where, **known),
            row["data"],
            row["recipe"],
            row["seed"],
            TrialState(row["state"]),
            from_json(row["metrics"]),
            tuple(from_json(row["curve"])),
            row["error"],
            row["seconds"],
            row["origin"],
            row["round"],
            row["predicted"],
            row["created"],
        )
    except (ValueError, TypeError) as error:
        raise StoreError(f"{where} is damaged: {error}") from None
