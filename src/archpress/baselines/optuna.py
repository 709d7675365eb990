"""Optuna's samplers: they see a space as whole numbers, its dials, and know nothing of nets."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from math import log
from typing import TYPE_CHECKING, Generic

from archpress.architecture.design import D
from archpress.baselines.evolution import population_for
from archpress.errors import ArchpressError
from archpress.evaluation import Candidate, Trial
from archpress.search import Arm, Asking, Problem
from archpress.space import Dial

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial as Ask

MOST_REPEATS = 10  # known designs in a row that a sampler may ask for; then dials are drawn
MOST_DRAWS = 200  # of random dials in a row that make known designs; then nothing is new

MakeSampler = Callable[[Problem[D]], "BaseSampler"]


def tpe() -> Arm[D]:
    """Tree-structured Parzen estimator, as Optuna has it by default.

    Raises:
        ArchpressError: no Optuna, or one before version 5.

    Source:
        Bergstra et al.: Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; constraints
        after Watanabe and Hutter, 2022; Optuna's documentation of `TPESampler`.
    """
    _require_optuna()

    def sampler(problem: Problem[D]) -> "BaseSampler":
        from optuna.samplers import TPESampler

        return TPESampler(seed=problem.seed)

    return _arm("tpe", sampler)


def nsga2() -> Arm[D]:
    """NSGA-II, with populations of the size that `evolution` has.

    Where size is what is minimised it seeks the front of size and error, else accuracy alone.

    Raises:
        ArchpressError: no Optuna, or one before version 5.

    Source:
        Deb et al.: A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, 2002.
    """
    _require_optuna()

    def sampler(problem: Problem[D]) -> "BaseSampler":
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=problem.seed, population_size=population_for(problem.budget))

    return _arm("nsga2", sampler, front=True)


def gaussian_process() -> Arm[D]:
    """Optuna's Gaussian process with log expected improvement; about a second a proposal.

    Raises:
        ArchpressError: no Optuna, or one before version 5.

    Source:
        Optuna's documentation of `GPSampler`; constraints after Gardner et al., 2014.
    """
    _require_optuna()

    def sampler(problem: Problem[D]) -> "BaseSampler":
        from optuna.samplers import GPSampler

        return GPSampler(seed=problem.seed)

    return _arm("gp", sampler)


def _require_optuna() -> None:
    try:
        from optuna.trial import Trial as Ask
    except ImportError:
        raise ArchpressError(
            "this baseline needs Optuna, which is not installed: pip install 'archpress[baselines]'"
        ) from None
    if not hasattr(Ask, "set_constraint"):
        raise ArchpressError(
            "this baseline needs Optuna 5 or newer: pip install -U 'archpress[baselines]'"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna neither logs nor warns of what is experimental in it."""
    from optuna import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def _arm(name: str, sampler: MakeSampler[D], *, front: bool = False) -> Arm[D]:
    def ask(problem: Problem[D]) -> Asking[D]:
        study = _Study(problem, sampler, front=front)
        for number in count():
            designs = study.new_designs(problem.batch)
            if not designs:
                return
            study.learn((yield [Candidate(design, name, number) for design in designs]))

    return Arm(name, ask)


class _Study(Generic[D]):
    """An Optuna study over the dials of a space, asked until it proposes something new.

    Args:
        problem: what is sought; least size under a constraint on accuracy, or least error.
        sampler: of Optuna.
        front: where size is minimised, error is a second aim beside it.
    """

    def __init__(self, problem: Problem[D], sampler: MakeSampler[D], *, front: bool) -> None:
        import optuna

        self._space, self._objective = problem.space, problem.objective
        self._dials = problem.space.dials()
        self._rng = problem.rng(0)
        self._front = front and problem.objective.shrinks
        self._known: dict[str, Trial[D]] = {}
        self._waiting: dict[str, list[Ask]] = {}  # by key: proposals whose trial is not there yet
        with _quiet():
            self._study = optuna.create_study(
                sampler=sampler(problem),
                directions=["minimize", "minimize"] if self._front else ["minimize"],
            )

    def new_designs(self, count: int) -> list[D]:
        """Up to so many that were not asked for before; none where there are none left."""
        designs: list[D] = []
        with _quiet():
            while len(designs) < count:
                design = self._proposed() or self._drawn()
                if design is None:
                    break
                designs.append(design)
        return designs

    def learn(self, trials: Sequence[Trial[D]]) -> None:
        """Tell what came of the designs that were asked for."""
        with _quiet():
            for trial in trials:
                self._known[trial.architecture.key] = trial
                for ask in self._waiting.pop(trial.architecture.key, []):
                    self._tell(ask, trial)

    def _proposed(self) -> D | None:
        """What the sampler wants; of what it wants again it is told what is known."""
        for _ in range(MOST_REPEATS):
            ask = self._study.ask()
            design = self._space.turn({dial.name: _suggested(ask, dial) for dial in self._dials})
            if design.key in self._known:
                self._tell(ask, self._known[design.key])
                continue
            self._waiting.setdefault(design.key, []).append(ask)
            if len(self._waiting[design.key]) == 1:
                return design
        return None

    def _drawn(self) -> D | None:
        """What random dials give, as if the sampler had proposed it."""
        for _ in range(MOST_DRAWS):
            values = {d.name: int(self._rng.integers(d.low, d.high + 1)) for d in self._dials}
            design = self._space.turn(values)
            if design.key not in self._known and design.key not in self._waiting:
                self._study.enqueue_trial(values)
                return self._proposed()
        return None

    def _tell(self, ask: "Ask", trial: Trial[D]) -> None:
        """Size and the miss in accuracy, or the error; what failed has accuracy 0."""
        accuracy = trial.accuracy or 0.0
        if not self._objective.shrinks:
            self._study.tell(ask, 1 - accuracy)
            return
        ask.set_constraint("accuracy", self._objective.least_accuracy - accuracy)
        size = log(max(trial.architecture.parameters, 1))
        self._study.tell(ask, [size, 1 - accuracy] if self._front else size)


def _suggested(ask: "Ask", dial: Dial) -> int:
    if dial.ordered:
        return ask.suggest_int(dial.name, dial.low, dial.high)
    return ask.suggest_categorical(dial.name, range(dial.low, dial.high + 1))
