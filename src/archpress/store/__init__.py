"""Trials in a database, so that nothing is trained twice.

    Store             trials in a SQLite file, or in a PostgreSQL database by its URL
    TrialFilter       which trials are meant
    evaluate_once     evaluates what a store does not have yet; drivers share the work by leases
    Merged            what came of `Store.merge`

What a store promises:

- A trial is on disk, safe from a crash of the process or the machine, when `add` returns; of
  `evaluate_once`, milliseconds after it ended, and before anything else is asked of the store.
- There is one trial for an architecture, data set, recipe and seed: the first one that came.
- Several processes may read and write one store at once; of PostgreSQL, several machines.
- A server that goes away is waited for, for about a minute; then there is one `StoreError`.
- A failed trial is a trial like any other; it is replaced only by one that was asked for.
- A lease is no trial: it ends with its training, or by itself soon after its driver died.
"""

from archpress.store.merging import Merged
from archpress.store.once import Outcome, evaluate_once
from archpress.store.store import Store
from archpress.store.tables import SORT_KEYS, TrialFilter

__all__ = [
    "SORT_KEYS",
    "Merged",
    "Outcome",
    "Store",
    "TrialFilter",
    "evaluate_once",
]
