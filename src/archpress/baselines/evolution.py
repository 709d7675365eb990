"""Regularized evolution: tournaments in a population whose oldest member dies."""

from collections import deque
from collections.abc import Container
from itertools import count

import numpy as np

from archpress.architecture.design import D
from archpress.errors import ArchpressError
from archpress.evaluation import Candidate, Trial
from archpress.search import Arm, Asking, Objective, Problem
from archpress.space import Space, distinct

MOST_POPULATION = 20  # the paper's 100 are for budgets of thousands
SHARE_OF_TOURNAMENT = 4  # a population in a tournament, as in the paper: 25 of 100
EDITS_A_STEP = 10  # mutations that are tried before one more edit is made at once
MOST_MUTATIONS = 50


def evolution(*, population: int | None = None, tournament: int | None = None) -> Arm[D]:
    """Aging evolution: the best of a random few is mutated by one edit, and the oldest dies.

    A mutation that was evaluated before is drawn again, with more edits the longer it takes.

    Args:
        population: designs alive; by default a quarter of the budget, 2 to 20.
        tournament: designs that are drawn, with replacement, and of which the best has a child; by
            default a quarter of the population, at least 2.

    Raises:
        ArchpressError: a population or a tournament below 1.

    Source:
        Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search,
        AAAI 2019, algorithm 1. Small populations and mutations without repeats are ours.
    """
    for name, value in (("population", population), ("tournament", tournament)):
        if value is not None and value < 1:
            raise ArchpressError(f"evolution: {name} must be at least 1, not {value}")

    def ask(problem: Problem[D]) -> Asking[D]:
        size = population or population_for(problem.budget)
        return _ask(problem, size, tournament or max(2, size // SHARE_OF_TOURNAMENT))

    return Arm("evolution", ask)


def population_for(budget: int) -> int:
    """Designs alive, so that at least three quarters of a budget are children."""
    return min(MOST_POPULATION, max(2, budget // 4))


def _ask(problem: Problem[D], population: int, tournament: int) -> Asking[D]:
    first = distinct(problem.space.sample(problem.rng(0)), min(population, problem.budget))
    trials = yield [Candidate(design, "evolution") for design in first]
    alive = deque(trials, maxlen=population)  # what is added beyond pushes the oldest out
    known = {design.key for design in first}
    rng = problem.rng(1)
    for number in count(1):
        children = []
        for _ in range(problem.batch):
            parent = _winner(list(alive), problem.objective, rng, tournament)
            child = _mutated(parent, problem.space, rng, known)
            known.add(child.key)
            children.append(Candidate(child, "evolution", number))
        alive.extend((yield children))


def _winner(
    alive: list[Trial[D]], objective: Objective, rng: np.random.Generator, tournament: int
) -> D:
    drawn = [alive[int(i)] for i in rng.integers(len(alive), size=tournament)]
    return min(drawn, key=lambda trial: _loss(trial, objective)).architecture


def _loss(trial: Trial[D], objective: Objective) -> tuple[float, float]:
    """What failed is worse than all that did not."""
    if trial.accuracy is None:
        return np.inf, np.inf
    return objective.loss(trial.architecture, trial.accuracy)


def _mutated(parent: D, space: Space[D], rng: np.random.Generator, known: Container[str]) -> D:
    """A new design near the parent; one that is known where none was found."""
    child = parent
    for attempt in range(MOST_MUTATIONS):
        child = space.edit(parent, rng, edits=1 + attempt // EDITS_A_STEP)
        if child.key not in known:
            break
    return child
