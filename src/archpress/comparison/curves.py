"""How far a search was after each trained architecture, and the mean of several with its band."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student

from archpress.evaluation import Trial
from archpress.judging import running_best
from archpress.search import Objective

Goal = Literal["accuracy", "compression"]  # what is compared

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Band:
    """Mean over seeds after each trained architecture.

    Attributes:
        start: trained architectures at the first value; before, not all seeds had one.
        mean: one value a trained architecture.
        low, high: of the 95 % interval of the mean (Student's t); the mean itself for one seed.
    """

    start: int
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def best_so_far(
    trials: Sequence[Trial],
    objective: Objective,
    goal: Goal,
    source_parameters: int,
) -> list[float | None]:
    """The best trial within all limits after each trained architecture; None while there is none.

    Args:
        trials: in the order in which they were asked for.
        objective: tells what is within the limits.
        goal: best accuracy, or most compression.
        source_parameters: that compression is measured against.
    """

    def value(trial: Trial) -> float | None:
        net, accuracy = trial.architecture, trial.accuracy
        if accuracy is None or not objective.feasible(net, accuracy):
            return None
        return accuracy if goal == "accuracy" else source_parameters / net.parameters

    return running_best(map(value, trials))


def band(curves: Sequence[Sequence[float | None]], budget: int) -> Band | None:
    """Mean and 95 % interval; None where no length has a value of every seed.

    Args:
        curves: of `best_so_far`, one a seed; a search that ended early keeps its last value.
        budget: length of the band.
    """
    full = [[*curve, *[curve[-1]] * (budget - len(curve))] for curve in curves if curve]
    steps = [step for step in zip(*full, strict=True) if None not in step]
    if not steps:
        return None
    values = np.array(steps, dtype=np.float64)  # steps x seeds
    count = values.shape[1]
    mean, half = values.mean(axis=1), np.zeros(len(values))
    if count > 1:
        error = values.std(axis=1, ddof=1) / np.sqrt(count)
        half = error * student.ppf((1 + CONFIDENCE) / 2, count - 1)
    return Band(
        budget - len(steps) + 1,
        tuple(mean.tolist()),
        tuple((mean - half).tolist()),
        tuple((mean + half).tolist()),
    )
