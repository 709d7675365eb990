"""The search: first trials, an embedding, then rounds of propose - train - refit."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from archpress.architecture import Architecture, simplify
from archpress.architecture.zoo import plain
from archpress.compression.fitted import Fitted, encodable, fitted_embedding, labelled
from archpress.compression.settings import Settings
from archpress.embedding import (
    Embedding,
    Labelled,
    Ranking,
    Reconstruction,
    Surrogate,
    held_out_ranking,
    refit,
)
from archpress.errors import ArchitectureError
from archpress.evaluation import Candidate, Evaluator, Trial
from archpress.search.journal import Journal
from archpress.search.objective import Objective
from archpress.search.progress import Progress
from archpress.search.proposals import propose
from archpress.space import (
    Limits,
    PaperSampler,
    SearchSpace,
    distinct,
    narrow_to_fit,
    repair,
    sample_neighbourhood,
)
from archpress.store import Store, TrialFilter, evaluate_once

LEAST_RANKED = 10  # trials, below which a rank correlation says nothing

# Hand-made nets among the first trials, scaled to the limits: (widths, global average pooling).
# What five minutes of handwork find, the search should start from.
HAND_MADE = (
    ((16, 16, 32, 32, 64, 64), True),
    ((16, 16, 24, 24, 32, 32, 48, 48), True),
    ((12, 12, 16, 16, 16, 16), False),
    ((16, 24, 24, 24, 16), False),
)


@dataclass
class Search:
    """What a search knows when it ends.

    Attributes:
        trials: all of this data, recipe and seed, earlier runs' included.
        embedding: fitted on them.
        surrogate: likewise.
        ranking: of held-out trials; None where there are too few.
        reconstruction: of unseen architectures.
        counts: trials "trained", "reused" and "failed" in this run.
        seconds: of each stage.
    """

    trials: list[Trial]
    embedding: Embedding
    surrogate: Surrogate
    ranking: Ranking | None
    reconstruction: Reconstruction
    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def finalists(self, objective: Objective, count: int) -> list[Architecture]:
        """The best by the surrogate, which has seen all trials and so averages their noise."""
        done = [simplify(trial.architecture) for trial in self.trials if trial.done]
        allowed = [net for net in done if objective.limits.allow(net)]
        nets = encodable(allowed, self.embedding)
        if not nets:
            return []
        accuracies = self.surrogate.predict(nets).accuracy
        guessed = {net.key: float(a) for net, a in zip(nets, accuracies, strict=True)}
        nets.sort(key=lambda net: (objective.loss(net, guessed[net.key]), net.key))
        return nets[:count]


@dataclass(frozen=True)
class Task:
    """What is searched for, and with what.

    Attributes:
        source: that is compressed.
        space: with the limits.
        evaluator: makes trials.
        store: keeps them.
        settings: how much work.
        seed: of trials and of every draw.
        folder: for the journal and the embedding.
        progress: who listens.
    """

    source: Architecture
    space: SearchSpace
    evaluator: Evaluator
    store: Store
    settings: Settings
    seed: int
    folder: Path
    progress: Progress

    def fitted_embedding(self, stop: threading.Event) -> Fitted:
        """The embedding before it has seen a trial."""
        return fitted_embedding(self.source, self.settings, self.seed, self.folder, stop)

    def labelled(self, embedding: Embedding) -> Labelled:
        """What the embedding learns from."""
        return labelled(_trials(self), embedding, self.source.classes)

    def rng(self, *stage: int) -> np.random.Generator:
        """Randomness of one stage, apart from all others."""
        return np.random.default_rng([self.seed, *stage])


def search(task: Task, limits: Limits) -> Search:
    """Find architectures that meet the limits, by trials.

    Args:
        task: what to search and with what.
        limits: the user's; the space may hold tighter ones of its own.
    """
    settings, journal = task.settings, _journal(task, limits)
    counts: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    if not journal.rounds:
        journal.add(first_candidates(task, limits))
    with _timed(seconds, "first trials, embedding"), _in_background(task) as fitting:
        _train(task, journal.rounds[0], "first trials", counts)
        task.progress.stage("fitting the embedding", 1)
        fitted = fitting.result()
    embedding = fitted.embedding
    ranking = _ranking(embedding, task.labelled(embedding), task.seed)
    embedding.space = task.space
    with _timed(seconds, "rounds"):
        for number in range(1, settings.rounds + 1):
            surrogate = _refitted(task, fitted, number)
            if number >= len(journal.rounds):
                candidates = propose(
                    _trials(task),
                    task.source,
                    task.space,
                    embedding,
                    surrogate,
                    objective_of(task, limits),
                    settings.proposals,
                    count=settings.batch,
                    number=number,
                    rng=task.rng(2, number),
                )
                journal.add(candidates)
            name = f"round {number} of {settings.rounds}"
            _train(task, journal.rounds[number], name, counts)
        surrogate = _refitted(task, fitted, settings.rounds + 1)
    return Search(
        _trials(task), embedding, surrogate, ranking, fitted.reconstruction, counts, seconds
    )


# --- before the rounds -------------------------------------------------------------------------


def first_candidates(task: Task, limits: Limits) -> list[Candidate]:
    """What is trained before anything is known.

    The narrowed source and hand-made nets of the size allowed; then, as far as the store has fewer
    trials than `settings.first`, samples of the neighbourhood and of the paper's sampler. Where the
    accuracy is limited, the source itself, to compare with.
    """
    anchors = anchor_nets(task.source, task.space)
    if limits.any_accuracy:
        anchors.insert(0, Candidate(task.source, "source"))
    known = {trial.architecture.key for trial in _trials(task)}
    missing = max(0, task.settings.first - len(known) - len(anchors))
    from_paper = round(missing * task.settings.paper_share)
    rng = task.rng(0)
    known |= {one.architecture.key for one in anchors}
    near = distinct(
        sample_neighbourhood(task.source, task.space, rng), missing - from_paper, known=known
    )
    known |= {net.key for net in near}
    far = distinct(PaperSampler(task.space, rng), from_paper, known=known)
    return [
        *anchors,
        *(Candidate(net, "neighbourhood") for net in near),
        *(Candidate(net, "paper-sampler") for net in far),
    ]


def anchor_nets(source: Architecture, space: SearchSpace) -> list[Candidate]:
    """The source narrowed to the limits, and hand-made nets of that size."""
    narrowed = narrow_to_fit(source, space) or repair(source.layers, space).architecture
    candidates = [Candidate(narrowed, "narrowed source")]
    candidates += [Candidate(net, "hand-made") for net in hand_made_nets(space)]
    unique = {one.architecture.key: one for one in reversed(candidates)}
    return [one for one in reversed(unique.values()) if space.contains(one.architecture)]


def hand_made_nets(space: SearchSpace) -> list[Architecture]:
    """Plain conv-BN-ReLU nets as wide as the limits allow, the usual one first."""
    nets = []
    for widths, average in HAND_MADE:
        layers = plain([8 * width for width in widths], space.classes, average=average)
        try:
            wide = Architecture(space.input_shape, tuple(layers))
        except ArchitectureError:  # two pools do not fit the smallest images
            continue
        fitting = narrow_to_fit(wide, space)
        if fitting is not None:
            nets.append(fitting)
    return nets


# --- rounds ------------------------------------------------------------------------------------


def _train(task: Task, candidates: Sequence[Candidate], name: str, counts: Counter[str]) -> None:
    task.progress.stage(name, len(candidates))
    best = 0.0
    outcomes = evaluate_once(task.evaluator, task.store, candidates, seed=task.seed)
    for done, outcome in enumerate(outcomes, start=1):
        counts["reused" if outcome.reused else "trained"] += 1
        if not outcome.trial.done:
            counts["failed"] += 1
            task.progress.say(f"a trial failed: {outcome.trial.error}")
        best = max(best, outcome.trial.accuracy or 0.0)
        task.progress.advance(done, f"best {best:.1%}")


def _refitted(task: Task, fitted: Fitted, number: int) -> Surrogate:
    task.progress.stage("learning from the trials", 1)
    labelled = task.labelled(fitted.embedding)
    refit(fitted.embedding, labelled, fitted.pool, task.settings.fit, task.rng(3, number))
    return Surrogate(fitted.embedding, labelled)


def _trials(task: Task) -> list[Trial]:
    """All trials that count, in an order that does not depend on which ended first."""
    which = TrialFilter(
        data=task.evaluator.data_key, recipe=task.evaluator.recipe_key, seed=task.seed
    )
    return sorted(task.store.trials(which), key=lambda trial: trial.architecture.key)


def _ranking(embedding: Embedding, labelled: Labelled, seed: int) -> Ranking | None:
    return held_out_ranking(embedding, labelled, seed) if len(labelled) >= LEAST_RANKED else None


def objective_of(task: Task, limits: Limits) -> Objective:
    """Limits on accuracy as limits on trials: relative to the source's own trial."""
    least = 0.0
    if limits.any_accuracy:
        key = task.source.key
        own = next((t.accuracy for t in _trials(task) if t.architecture.key == key), None)
        loss = limits.max_accuracy_loss or 0.0
        least = max(0.0, (own or 0.0) - loss)
    return Objective(limits, least)


def _journal(task: Task, limits: Limits) -> Journal:
    settings = replace(task.settings, final=task.settings.trial)  # finals do not change a search
    about = (task.source.key, limits, settings, task.evaluator.data_key, task.seed)
    return Journal(task.folder / "search.jsonl", repr(about))


# --- small machinery ---------------------------------------------------------------------------


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started


@contextmanager
def _in_background(task: Task) -> Iterator["Future[Fitted]"]:
    """Fit the embedding while the workers train; an interruption does not wait for its end."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        try:
            yield executor.submit(task.fitted_embedding, stop)
        except BaseException:
            stop.set()
            raise
