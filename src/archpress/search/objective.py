"""`Objective`: what is better, given the limits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from archpress.architecture.design import D, Design
from archpress.embedding import Guess
from archpress.embedding.fitting import LOGIT_FLOOR
from archpress.evaluation import Trial
from archpress.space import Limits


def safe_logit(accuracy: float) -> float:
    """Logit of an accuracy, finite at 0 and 1."""
    return float(logit(min(max(accuracy, LOGIT_FLOOR), 1 - LOGIT_FLOOR)))


@dataclass(frozen=True, slots=True)
class Objective:
    """With a cost limit: the most accurate net within it. With an accuracy limit: the smallest.

    Accuracies are those of trials; what a result must reach is judged again after its final
    training.

    Attributes:
        limits: the user's.
        least_accuracy: that a trial must reach; 0 without an accuracy limit.
    """

    limits: Limits
    least_accuracy: float = 0.0

    @property
    def shrinks(self) -> bool:
        """Whether size is what is minimised, not the error."""
        return not self.limits.any_cost

    def feasible(self, architecture: Design, accuracy: float) -> bool:
        """Whether all limits are met by an architecture of this accuracy."""
        return self.limits.allow(architecture) and accuracy >= self.least_accuracy

    def loss(
        self, architecture: Design, accuracy: float, expected: float | None = None
    ) -> tuple[float, float]:
        """To be minimised: first how far from the limits, then what is to be improved.

        Args:
            architecture: to be judged.
            accuracy: that limits are held against.
            expected: accuracy to choose by, where that is another one.
        """
        miss = max(0.0, self.least_accuracy - accuracy)
        over = sum(found / allowed - 1 for _, allowed, found in self.limits.broken(architecture))
        error = -(accuracy if expected is None else expected)
        return miss + over, float(architecture.parameters) if self.shrinks else error

    def best(self, trials: Sequence[Trial[D]]) -> Trial[D] | None:
        """The best of the trials that ended well; None where there is none."""
        return next(iter(self.ordered(trials)), None)

    def ordered(self, trials: Sequence[Trial[D]]) -> list[Trial[D]]:
        """The trials that ended well, first the best."""
        done = [trial for trial in trials if trial.accuracy is not None]
        return sorted(done, key=lambda t: self.loss(t.architecture, t.accuracy or 0.0))

    def could_gain(self, designs: Sequence[D], best: Trial[D] | None) -> Sequence[D]:
        """Those that could be better than the best trial, however accurate they are."""
        if best is None or not self.shrinks:
            return designs
        size = self._size_to_beat(best)
        return [one for one in designs if one.parameters < size]

    def acquisition(
        self, architectures: Sequence[Design], guess: Guess, best: Trial[D] | None
    ) -> NDArray[np.float64]:
        """How much each candidate promises, `B`; 0 for what breaks a cost limit.

        To be more accurate: expected gain over the best. To be smaller: probability of meeting the
        accuracy times the gain in log compression.
        """
        allowed = np.array([self.limits.allow(net) for net in architectures], dtype=np.float64)
        if self.shrinks:
            sizes = np.log([net.parameters for net in architectures])
            beaten = self._size_to_beat(best)
            known = math.log(beaten) if beaten < math.inf else sizes.max()
            gain = np.maximum(known - sizes, 0.0)
            promise = guess.probability_above(safe_logit(self.least_accuracy)) * gain
            return np.asarray(allowed * promise)
        level = safe_logit(best.accuracy if best and best.accuracy else 0.0)
        return np.asarray(allowed * guess.expected_gain(level))

    def _size_to_beat(self, best: Trial[D] | None) -> float:
        """Parameters of the best trial; any where it is not accurate enough: larger nets may be."""
        if best is None or not self.feasible(best.architecture, best.accuracy or 0.0):
            return math.inf
        return best.architecture.parameters
