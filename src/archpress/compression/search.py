"""The search: first trials, an embedding, then rounds of propose - train - refit."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from archpress.architecture import Architecture
from archpress.compression.explorer import write_explorer
from archpress.compression.first import first_candidates
from archpress.compression.fitted import labelled
from archpress.compression.learner import EmbeddingLearner
from archpress.compression.settings import Settings
from archpress.compression.timing import Timing
from archpress.compression.trust import Trust, trust_of
from archpress.embedding import Embedding, Ranking, Reconstruction, held_out_ranking
from archpress.embedding.quality import LEAST_RANKED
from archpress.errors import EvaluationError
from archpress.evaluation import Candidate, Evaluator, Trial
from archpress.run_files import JOURNAL_FILE
from archpress.search import (
    Journal,
    Objective,
    Problem,
    Progress,
    note_of,
    propose,
    told_of_waiting,
)
from archpress.space import Limits, Neighbourhood, SearchSpace
from archpress.store import Outcome, Store, TrialFilter, evaluate_once


@dataclass
class SearchResult:
    """What a search knows when it ends.

    Attributes:
        trials: all of this data, recipe and seed, earlier runs' included.
        best: by the surrogate, first the best: for the semifinal or the final.
        ranking: of held-out trials; None where there are too few.
        reconstruction: of unseen architectures.
        trust: what was guessed, held against what was measured afterwards.
        counts: nets whose trials were "trained" or "reused" in this run, and of both those that
            "failed".
        seconds: of each stage.
    """

    trials: list[Trial]
    best: list[Architecture]
    ranking: Ranking | None
    reconstruction: Reconstruction
    trust: Trust
    counts: Mapping[str, int]
    seconds: dict[str, float] = field(default_factory=dict)


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
        timing: of all nets that are trained.
    """

    source: Architecture
    space: SearchSpace
    evaluator: Evaluator
    store: Store
    settings: Settings
    seed: int
    folder: Path
    progress: Progress
    timing: Timing

    @property
    def neighbourhood(self) -> Neighbourhood:
        """Where to look."""
        return Neighbourhood(self.source, self.space)

    def rng(self, *stage: int) -> np.random.Generator:
        """Randomness of one stage, apart from all others."""
        return np.random.default_rng([self.seed, *stage])


def search(task: Task, limits: Limits) -> SearchResult:
    """Find architectures that meet the limits, by trials.

    The loop of `compress`; that of comparisons and tables is `archpress.search.rounds`.

    Args:
        task: what to search and with what.
        limits: the user's, accuracies as a loss (`Limits.against`); the space may hold tighter ones
            of its own.
    """
    settings, journal, tally = task.settings, _journal(task, limits), Tally()
    seconds: dict[str, float] = {}
    if not journal.rounds:
        known = {trial.architecture.key for trial in _of_form(task)}
        journal.add(first_candidates(task.neighbourhood, limits, settings, task.rng(0), known))
    try_failed_again(task, limits, tally)
    with EmbeddingLearner(task.neighbourhood, settings, task.seed, task.folder) as learner:
        with _timed(seconds, "first trials, embedding"):
            _train(task, limits, journal.rounds[0], "first trials", tally)
            task.progress.stage("fitting the embedding", 1)
            ranking = _ranking(learner.embedding, _trials(task), task)
            _time(task)
        with _timed(seconds, "rounds"):
            for number in range(1, settings.rounds + 1):
                _learn(task, learner, number)
                if number >= len(journal.rounds):
                    journal.add(_proposed(task, limits, learner, number))
                name = f"round {number} of {settings.rounds}"
                _train(task, limits, journal.rounds[number], name, tally)
                _time(task)
            _learn(task, learner, settings.rounds + 1)
        trials = _trials(task)
        objective = objective_of(task, limits)
        count = settings.best_of_search(objective)
        best = learner.best(trials, objective, count)
        if not best:  # all too slow: they will be narrowed
            untimed = replace(objective, limits=replace(limits, max_latency=None))
            best = learner.best(trials, untimed, count)
        trust = trust_of(
            learner.embedding,
            trials,
            best[: settings.finalists],
            objective,
            settings.proposals.descent,
            task.rng(4),
        )
        with _timed(seconds, "nets for other limits"):
            write_explorer(task.folder, learner, trials, limits, task.progress, seed=task.seed)
        restored = learner.fitted.reconstruction
        return SearchResult(trials, best, ranking, restored, trust, tally.counts, seconds)


@dataclass
class Tally:
    """Keys of the nets of a run, by what became of them."""

    trained: set[str] = field(default_factory=set)
    reused: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def take(self, outcome: Outcome) -> None:
        """One trial more; what was trained in this run is not reused by it later."""
        key = outcome.trial.architecture.key
        if not outcome.reused:
            self.trained.add(key)
        elif key not in self.trained:
            self.reused.add(key)
        (self.failed.discard if outcome.trial.done else self.failed.add)(key)

    @property
    def counts(self) -> dict[str, int]:
        """How many each are."""
        return {name: len(keys) for name, keys in vars(self).items()}


def try_failed_again(task: Task, limits: Limits, tally: Tally) -> None:
    """Trials whose failure would end every later call.

    Where all failed, the reason is likelier one that is past than the nets; and where accuracies
    are relative to the source's own trial, nothing can be compared without it.
    """

    def again(failed: Sequence[Candidate], what: str) -> None:
        _train(task, limits, failed, f"{what}, which failed before", tally, retry_failed=True)

    trials = _trials(task)
    if trials and not any(trial.done for trial in trials):
        failed = [
            Candidate(trial.architecture, trial.origin, trial.round, trial.predicted)
            for trial in trials
        ]
        again(failed, "all trials")
    own = None if limits.max_accuracy_loss is None else _own_trial(task)
    if own is not None and not own.done:
        again([Candidate(task.source, "source")], "the source's trial")


def _learn(task: Task, learner: EmbeddingLearner, number: int) -> None:
    task.progress.stage("learning from the trials", 1)
    learner.learn(_trials(task), number)


def _proposed(
    task: Task, limits: Limits, learner: EmbeddingLearner, number: int
) -> list[Candidate]:
    settings, trials = task.settings, _of_form(task)
    problem = Problem(
        task.neighbourhood, objective_of(task, limits), len(trials) + settings.batch, seed=task.seed
    )
    return propose(
        problem, trials, learner, settings.proposals, count=settings.batch, number=number
    )


def _train(
    task: Task,
    limits: Limits,
    candidates: Sequence[Candidate],
    name: str,
    tally: Tally,
    *,
    retry_failed: bool = False,
) -> None:
    task.progress.stage(name, len(candidates))
    done, best, objective = 0, 0.0, _known_objective(task, limits)

    def tell(waited: int = 0) -> None:
        task.progress.advance(done, note_of(best, told_of_waiting(waited)))

    outcomes = evaluate_once(
        task.evaluator,
        task.store,
        candidates,
        seed=task.seed,
        retry_failed=retry_failed,
        waiting=tell,
    )
    for outcome in outcomes:
        done += 1
        tally.take(outcome)
        if not outcome.trial.done:
            task.progress.say(f"a trial failed: {outcome.trial.error}")
        if objective is None:
            objective = _known_objective(task, limits, outcome.trial)
        task.progress.trial(outcome.trial, objective)
        best = max(best, outcome.trial.accuracy or 0.0)
        tell()


def _time(task: Task) -> None:
    """Nothing else runs meanwhile: workers wait, and the embedding is fitted."""
    nets = [trial.architecture for trial in _trials(task)]
    task.timing.take(nets, "timing nets that were trained")


def _trials(task: Task) -> list[Trial]:
    """All trials that count, in an order that does not depend on which ended first."""
    which = TrialFilter(
        data=task.evaluator.data_key, recipe=task.evaluator.recipe_key, seed=task.seed
    )
    return sorted(task.store.trials(which), key=lambda trial: trial.architecture.key)


def _of_form(task: Task) -> list[Trial]:
    """Those whose nets may be a result; a folder may hold trials of runs that asked for less."""
    found = _trials(task)
    return [trial for trial in found if task.space.out_of_form(trial.architecture) is None]


def _ranking(embedding: Embedding, trials: Sequence[Trial], task: Task) -> Ranking | None:
    known = labelled(trials, embedding, task.source.classes)
    return held_out_ranking(embedding, known, task.seed) if len(known) >= LEAST_RANKED else None


def objective_of(task: Task, limits: Limits) -> Objective:
    """What candidates of a task are judged by, see `objective_against`."""
    return objective_against(_own_trial(task), limits)


def objective_against(own: Trial | None, limits: Limits) -> Objective:
    """A limit on the loss of accuracy as one on trials: relative to the source's own trial.

    Args:
        own: the source's trial; None: there is none.
        limits: the user's.

    Raises:
        EvaluationError: the accuracy is limited and there is no such trial, or it failed, so there
            is nothing to compare with.
    """
    if limits.max_accuracy_loss is None:
        return Objective(limits)
    if own is None or own.accuracy is None:
        why = own.error if own else "there is none"
        raise EvaluationError(
            f"the accuracy is limited, and the source's own brief trial failed ({why}): "
            "nothing can be compared with it"
        )
    return Objective(limits, limits.least_accuracy(own.accuracy))


def _own_trial(task: Task) -> Trial | None:
    """The source's."""
    return next((t for t in _trials(task) if t.architecture.key == task.source.key), None)


def _known_objective(task: Task, limits: Limits, last: Trial | None = None) -> Objective | None:
    """That of the trials so far; None where it hangs on the source's, which has none yet.

    Args:
        task: of the search.
        limits: the user's.
        last: trial, if none before it was the source's.
    """
    if limits.any_accuracy:
        key = task.source.key
        trials = _trials(task) if last is None else [last]
        if not any(trial.done and trial.architecture.key == key for trial in trials):
            return None
    return objective_of(task, limits)


def _journal(task: Task, limits: Limits) -> Journal:
    settings = task.settings.of_search()
    about = (task.source.key, limits, settings, task.evaluator.data_key, task.seed)
    device = repr((limits.max_latency, limits.latency)) if limits.max_latency else ""
    precision = settings.trial.precision
    rounded = "" if precision == "float32" else precision
    text = repr(about) + device + task.space.form_text + rounded
    return Journal(task.folder / JOURNAL_FILE, text)


# --- small machinery ---------------------------------------------------------------------------


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
