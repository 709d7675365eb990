"""Bringing the trials of one store into another."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from archpress.evaluation.trial import Trial
from archpress.store.database import Database
from archpress.store.tables import identity, row_of, same, trial_of, trials

AT_ONCE = 200  # trials of one transaction; a crash loses what the next merge brings again


@dataclass(slots=True)
class Merged:
    """What came of a merge.

    Attributes:
        new: trials that were not there.
        replaced: failed trials in whose place a done one came.
        known: trials that were there, with the same result.
        differing: trials of the other store that were there with another result, which stays.
    """

    new: int = 0
    replaced: int = 0
    known: int = 0
    differing: list[Trial] = field(default_factory=list)


def merge(database: Database, found: Sequence[Trial]) -> Merged:
    """Add trials of another store; one that is there stays, unless it failed and the other did not.

    Two trials differ in their result if states, metrics or curves differ; times do not count.

    Args:
        database: into which.
        found: of the other store.

    Raises:
        StoreError: it cannot be written.
    """
    merged = Merged()
    for part in _parts(found):
        done = _with_retries(database, part)
        merged.new += done.new
        merged.replaced += done.replaced
        merged.known += done.known
        merged.differing += done.differing
    return merged


def _with_retries(database: Database, part: Sequence[Trial]) -> Merged:
    while True:
        try:
            return database.run("write", lambda c: _merge(c, database.place, part), writes=True)
        except sql.exc.IntegrityError:
            continue  # another process added one of them just now; it is seen this time


def _merge(connection: Connection, place: str, part: Sequence[Trial]) -> Merged:
    merged = Merged()
    for trial in part:
        query = sql.select(trials).where(*same(trials, identity(trial)))
        row = connection.execute(query).mappings().one_or_none()
        known = None if row is None else trial_of(row, place)
        if known is None:
            merged.new += 1
        elif trial.done and not known.done:
            connection.execute(sql.delete(trials).where(*same(trials, identity(trial))))
            merged.replaced += 1
        else:
            if _result(known) == _result(trial):
                merged.known += 1
            else:
                merged.differing.append(trial)
            continue
        connection.execute(sql.insert(trials).values(**row_of(trial)))
    return merged


def _result(trial: Trial) -> str:
    """As text, in which NaN is like NaN."""
    return json.dumps([trial.state, dict(trial.metrics), trial.curve], sort_keys=True)


def _parts(found: Sequence[Trial]) -> Iterator[Sequence[Trial]]:
    for start in range(0, len(found), AT_ONCE):
        yield found[start : start + AT_ONCE]
