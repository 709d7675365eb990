"""`Problem`: what every way to search gets; `Arm`: what each of them is; `run_arm` runs one."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic

import numpy as np

from archpress.architecture.design import D
from archpress.evaluation import Candidate, Trial
from archpress.search.objective import Objective
from archpress.space import Space

RUN_DRY = 30  # batches in a row without anything new, after which a search has run dry


def _nobody(text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Problem(Generic[D]):
    """One search to be made: the door that all arms go through.

    Attributes:
        space: where to look, with the limits.
        objective: what is better.
        budget: designs that may be evaluated.
        batch: designs that are best asked for at once.
        seed: of every draw.
        tell: what an arm does while nothing is trained, in a word or two, for people.
    """

    space: Space[D]
    objective: Objective
    budget: int
    batch: int = 1
    seed: int = 0
    tell: Callable[[str], None] = field(default=_nobody, compare=False, repr=False)

    def rng(self, *stage: int) -> np.random.Generator:
        """Randomness of one stage, apart from all others."""
        return np.random.default_rng([self.seed, *stage])


# Yields candidates, is sent their trials (in the order of the candidates, repeats included), and
# may end before the budget. It is deterministic: run again over stored trials it asks for the same.
Asking = Generator[Sequence[Candidate[D]], Sequence[Trial[D]], None]


def best_measured(
    problem: Problem[D], trials: Sequence[Trial[D]], count: int
) -> Sequence[Trial[D]]:
    """The best as they were measured, first the best; failed ones are left out."""
    return problem.objective.ordered(trials)[:count]


@dataclass(frozen=True)
class Arm(Generic[D]):
    """One way to search.

    Attributes:
        name: for tables and the command line.
        ask: proposes designs.
        rank: names that many of all trials as the most promising, first the best.
    """

    name: str
    ask: Callable[[Problem[D]], Asking[D]]
    rank: Callable[[Problem[D], Sequence[Trial[D]], int], Sequence[Trial[D]]] = best_measured


Evaluate = Callable[[Sequence[Candidate[D]]], Iterable[Trial[D]]]


def run_arm(arm: Arm[D], problem: Problem[D], evaluate: Evaluate[D]) -> list[Trial[D]]:
    """Let an arm spend the budget.

    Args:
        arm: proposes.
        problem: its budget counts designs by key; asking for one again is free.
        evaluate: one trial for each candidate, in any order.

    Returns:
        The trials in the order in which they were asked for, each design once.
    """
    trials: dict[str, Trial[D]] = {}
    asking = arm.ask(problem)
    try:
        wanted = next(asking)
        stale = 0
        while stale < RUN_DRY:
            new = {one.architecture.key: one for one in reversed(wanted)}
            new = {key: new[key] for key in reversed(new) if key not in trials}
            affordable = list(new.values())[: problem.budget - len(trials)]
            found = {trial.architecture.key: trial for trial in evaluate(affordable)}
            trials |= {one.architecture.key: found[one.architecture.key] for one in affordable}
            if len(trials) >= problem.budget:
                break
            stale = 0 if affordable else stale + 1
            wanted = asking.send([trials[one.architecture.key] for one in wanted])
    except StopIteration:
        pass
    finally:
        asking.close()
    return list(trials.values())
