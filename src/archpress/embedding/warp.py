"""`Warp`: accuracies as normal scores, so that a few bad nets do not rule the fit.

Random nets fail in many ways, and good ones differ by a point: on any fixed scale of accuracy the
failures make up most of the variance. Ranks do not care (docs/choices.md, "What ranks").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

Array = NDArray[np.float64]
LEAST_SLOPE = 0.1  # scores a logit, where the map is extended beyond what was measured


@dataclass(frozen=True, slots=True)
class Warp:
    """Straight lines between measured values and their normal scores.

    Attributes:
        values: rising, different.
        scores: rising; the normal quantile of each value's mean rank.
    """

    values: Array
    scores: Array

    @classmethod
    def of(cls, values: Array) -> "Warp":
        """The map that gives these values normal scores; at least one value."""
        scores = ndtri((rankdata(values) - 0.5) / len(values))
        unique, first = np.unique(values, return_index=True)
        return cls(unique, scores[first])

    @classmethod
    def identity(cls) -> "Warp":
        """The map that changes nothing."""
        return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))

    def forward(self, values: Array) -> Array:
        """Values to scores; straight on beyond the ends."""
        return _lines(values, self.values, self.scores, self._slope())

    def backward(self, scores: Array) -> Array:
        """Scores to values, the inverse of `forward`."""
        return _lines(scores, self.scores, self.values, 1 / self._slope())

    def _slope(self) -> float:
        """Of the extensions: the mean slope over all values."""
        if len(self.values) < 2:
            return 1.0
        rise = (self.scores[-1] - self.scores[0]) / (self.values[-1] - self.values[0])
        return max(float(rise), LEAST_SLOPE)


def _lines(x: Array, xs: Array, ys: Array, slope: float) -> Array:
    inside = np.interp(x, xs, ys)
    below = ys[0] + slope * (x - xs[0])
    above = ys[-1] + slope * (x - xs[-1])
    return np.where(x < xs[0], below, np.where(x > xs[-1], above, inside))
