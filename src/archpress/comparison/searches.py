"""One search of one arm with one seed, and its record on disk, so that it is not made twice."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from archpress.architecture import Architecture
from archpress.comparison.conditions import Conditions
from archpress.comparison.play_off import NO_PLACES, Places, places_in
from archpress.comparison.result import Run
from archpress.compression.search import objective_against
from archpress.evaluation import Candidate, Evaluator, Trial
from archpress.search import Arm, Objective, Problem, Progress, note_of, run_arm, told_of_waiting
from archpress.space import Limits, Neighbourhood, SearchSpace
from archpress.store import Store, evaluate_once
from archpress.version import __version__
from archpress.whole_files import write_text

SEARCHES = "searches"  # folder of the records


class AskedRecord(BaseModel):
    """One architecture that a search asked for: its key, and the fields of `Candidate`."""

    key: str
    origin: str
    round: int
    predicted: float | None


class SearchRecord(BaseModel):
    """What a finished search leaves; its trials are in the store.

    Attributes:
        asked: in order, each architecture once.
        ranked: keys of the nets that the arm finds best, first the best.
        own_seconds: wall time without trainings.
    """

    asked: list[AskedRecord]
    ranked: list[str]
    own_seconds: float


@dataclass(frozen=True)
class Searcher:
    """Runs searches over one store.

    Attributes:
        conditions: of the comparison.
        space: around the source, with the limits.
        budget: architectures a search.
        evaluator: makes trials under the trial recipe.
        store: keeps them for all arms.
        progress: who listens.
    """

    conditions: Conditions
    space: SearchSpace
    budget: int
    evaluator: Evaluator
    store: Store
    progress: Progress

    @property
    def neighbourhood(self) -> Neighbourhood:
        """Nets around the source, with the limits."""
        return Neighbourhood(self.conditions.source, self.space)

    def objective(self, limits: Limits, seed: int) -> Objective:
        """Of all searches of a seed; where the accuracy is limited, the source is trained first.

        Args:
            limits: accuracies as a loss (`Limits.against`).
            seed: of the searches.
        """
        if not limits.any_accuracy:
            return objective_against(None, limits)
        self.progress.stage(f"seed {seed}, trial of the source", 1)
        source = [Candidate(self.conditions.source, "source")]
        (own,) = evaluate_once(self.evaluator, self.store, source, seed=seed, retry_failed=True)
        return objective_against(own.trial, limits)

    def places(self, objective: Objective) -> Places:
        """Of the nets of one search, where an arm has finalists."""
        return places_in(self.conditions.settings, self.neighbourhood, objective, self.budget)

    def run(
        self,
        name: str,
        arm: Arm[Architecture],
        objective: Objective,
        seed: int,
        places: Places = NO_PLACES,
    ) -> Run:
        """Let an arm search.

        Args:
            name: of the contestant.
            arm: searches.
            objective: of this seed.
            seed: of the search and its trials.
            places: of its nets in longer trainings, which the budget pays too.
        """
        problem = self._problem(objective, seed, places)
        self.progress.stage(f"seed {seed}, {name}", problem.budget)
        asking = _Asking(self, problem)
        telling = replace(problem, tell=asking.tell)
        started = time.perf_counter()
        trials = run_arm(arm, telling, asking)
        asking.tell("naming the best")
        ranked = tuple(arm.rank(telling, trials, places.nets)) if trials else ()
        seconds = max(0.0, time.perf_counter() - started - asking.seconds)
        run = Run(name, seed, objective, tuple(trials), ranked, seconds)
        asked = [
            AskedRecord(
                key=one.architecture.key,
                origin=one.origin,
                round=one.round,
                predicted=one.predicted,
            )
            for one in trials
        ]
        keys = [trial.architecture.key for trial in ranked]
        record = SearchRecord(asked=asked, ranked=keys, own_seconds=seconds)
        write_text(self._path(name, problem, places), record.model_dump_json() + "\n")
        self.progress.say(_told(run))
        return run

    def recorded(
        self, name: str, objective: Objective, seed: int, places: Places = NO_PLACES
    ) -> Run | None:
        """What a search found before; None where there is no record of it with all its trials."""
        problem = self._problem(objective, seed, places)
        path = self._path(name, problem, places)
        try:
            record = SearchRecord.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError):  # there is none: the search is made, over stored trials
            return None
        place = (self.evaluator.data_key, self.evaluator.recipe_key, problem.seed)
        trials: dict[str, Trial] = {}
        for one in record.asked:
            trial = self.store.find(one.key, *place)
            if trial is None:
                return None
            trials[one.key] = replace(
                trial, origin=one.origin, round=one.round, predicted=one.predicted
            )
        return Run(
            name,
            problem.seed,
            problem.objective,
            tuple(trials.values()),
            tuple(trials[key] for key in record.ranked),
            record.own_seconds,
        )

    def _problem(self, objective: Objective, seed: int, places: Places) -> Problem[Architecture]:
        budget, batch = self.budget - places.trainings, self.conditions.settings.batch
        return Problem(self.neighbourhood, objective, budget, batch, seed)

    def _path(self, name: str, problem: Problem[Architecture], places: Places) -> Path:
        """Of the record; another budget, recipe or limit has another one."""
        settings = replace(self.conditions.settings.of_search(), rounds=1)  # the budget says
        about = (
            self.conditions.source.key,
            problem.objective,
            settings,
            (self.evaluator.data_key, self.evaluator.recipe_key),
            (problem.budget, problem.batch, problem.seed, __version__),
            *([places] if places.semifinalists else []),
        )
        digest = hashlib.sha256(repr(about).encode()).hexdigest()[:12]
        return self.conditions.folder / SEARCHES / f"{name}-{problem.seed}-{digest}.json"


class _Asking:
    """Evaluates candidates of one search, and counts them and the time that it takes."""

    def __init__(self, searcher: Searcher, problem: Problem[Architecture]) -> None:
        self._searcher, self._problem = searcher, problem
        self._done = 0
        self._best = 0.0
        self.seconds = 0.0

    def __call__(self, candidates: Sequence[Candidate]) -> list[Trial]:
        started = time.perf_counter()
        searcher, seed = self._searcher, self._problem.seed
        trials = []
        outcomes = evaluate_once(
            searcher.evaluator,
            searcher.store,
            candidates,
            seed=seed,
            waiting=lambda count: self.tell(told_of_waiting(count)),
        )
        for outcome in outcomes:
            trials.append(outcome.trial.for_candidate(outcome.candidate))  # whoever had it trained
            self._count(outcome.trial)
        self.seconds += time.perf_counter() - started
        return trials

    def tell(self, text: str = "") -> None:
        """The best so far, and what is done now."""
        self._searcher.progress.advance(self._done, note_of(self._best, text))

    def _count(self, trial: Trial) -> None:
        self._done += 1
        accuracy = trial.accuracy or 0.0
        if self._problem.objective.feasible(trial.architecture, accuracy):
            self._best = max(self._best, accuracy)
        if not trial.done:
            self._searcher.progress.say(f"a trial failed: {trial.error}")
        self.tell()


def _told(run: Run) -> str:
    best = f"{run.chosen.accuracy or 0:.2%} on validation" if run.chosen else "nothing"
    return (
        f"seed {run.seed}, {run.arm}: {len(run.trials)} architectures, {run.failed} failed; "
        f"best {best}"
    )
