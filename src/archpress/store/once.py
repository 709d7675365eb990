"""`evaluate_once`: what the store does not have yet is evaluated, once among all drivers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from archpress.errors import StoreError
from archpress.evaluation.evaluator import Evaluator
from archpress.evaluation.trial import Candidate, Trial
from archpress.store.leases import LEASE_SECONDS
from archpress.store.store import Store
from archpress.store.tables import Identity

HEARTBEAT = LEASE_SECONDS / 4  # seconds between two renewals
POLL = 1.0  # seconds between two looks for trials that another driver makes


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
    waiting: Callable[[int], None] | None = None,
) -> Iterator[Outcome]:
    """Evaluate what the store does not have yet, and keep each trial as soon as it ends.

    Candidates with one key are evaluated once, as the first of them. Stored trials come first, then
    new ones in the order in which they end, then those that other drivers on the same store were
    making meanwhile. What another driver began and does not finish is evaluated here.

    Args:
        evaluator: makes the new trials.
        store: holds the old ones, gets the new ones.
        candidates: any number.
        seed: of the trainings.
        retry_failed: evaluate anew where the stored trial failed, and replace it.
        waiting: is told, every second while there is nothing else to do, how many trials of other
            drivers are waited for; 0 when that is over.

    Raises:
        StoreError: the store cannot be read or written.
    """
    unique: dict[str, Candidate] = {}
    for candidate in candidates:
        unique.setdefault(candidate.architecture.key, candidate)
    wanted = {
        (key, evaluator.data_key, evaluator.recipe_key, seed): candidate
        for key, candidate in unique.items()
    }
    waited = False
    while wanted:
        yield from _stored(store, wanted, retry_failed)
        held = store.leases.take([*wanted]) if wanted else set()
        others = 0 if held else len(wanted)
        if waiting is not None and (others or waited):
            waiting(others)
        waited = others > 0
        if held:
            yield from _evaluated(evaluator, store, wanted, held, seed, retry_failed)
        elif others:
            time.sleep(POLL)


def _stored(
    store: Store, wanted: dict[Identity, Candidate], retry_failed: bool
) -> Iterator[Outcome]:
    """Those that the store has; they are wanted no more."""
    known = store.find_all(wanted)
    for identity in [*wanted]:
        trial = known.get(identity)
        if trial is not None and (trial.done or not retry_failed):
            yield Outcome(wanted.pop(identity), trial, reused=True)


def _evaluated(
    evaluator: Evaluator,
    store: Store,
    wanted: dict[Identity, Candidate],
    held: set[Identity],
    seed: int,
    retry_failed: bool,
) -> Iterator[Outcome]:
    """Those that this driver holds; others may have finished some before it took them."""
    with _kept(store, held):
        mine = {identity: one for identity, one in wanted.items() if identity in held}
        yield from _stored(store, mine, retry_failed)
        for identity in held - mine.keys():
            del wanted[identity]
        missing = {identity[0]: identity for identity in mine}
        for trial in evaluator.evaluate([*mine.values()], seed=seed) if mine else ():
            identity = missing[trial.architecture.key]
            store.add_soon(trial, replace_failed=retry_failed)  # which ends the lease
            held.discard(identity)
            yield Outcome(wanted.pop(identity), trial, reused=False)


@contextmanager
def _kept(store: Store, held: set[Identity]) -> Iterator[None]:
    """Renew leases meanwhile, and give those back that are left."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT):
            with suppress(StoreError):  # the next one may reach it; the driver will tell if none
                store.leases.renew()

    heart = threading.Thread(target=beat, name="archpress leases", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()  # or it would use the store once more after it was closed
        store.settle()
        with suppress(StoreError):  # they end by themselves
            store.leases.give_back([*held])
