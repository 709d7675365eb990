"""`Surrogate`: guesses the accuracy of any architecture of the space, with its uncertainty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from archpress.architecture import Architecture
from archpress.embedding.descriptors import describe
from archpress.embedding.embedding import Embedding
from archpress.embedding.fitting import Labelled
from archpress.embedding.gaussian_process import Block, Features, GaussianProcess
from archpress.embedding.warp import Warp

Array = NDArray[np.float64]
MOST = 1.645  # standard deviations that hold 90 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Guess:
    """Predicted accuracies of B architectures, normal distributions of warped logits.

    Attributes:
        mean: `B`, scores.
        std: `B`, of the score: of the architecture's own, or with the noise of a single training.
        warp: from logits of accuracy to scores.
    """

    mean: Array
    std: Array
    warp: Warp = field(default_factory=Warp.identity)

    @property
    def accuracy(self) -> Array:
        """Most likely accuracy, `B`, in [0, 1]."""
        return np.asarray(expit(self.warp.backward(self.mean)))

    @property
    def interval(self) -> tuple[Array, Array]:
        """Lowest and highest accuracy of the interval that should hold 90 %, `B` each."""
        low, high = (self.mean + side * MOST * self.std for side in (-1, 1))
        return expit(self.warp.backward(low)), expit(self.warp.backward(high))

    def probability_above(self, accuracy_logit: float) -> Array:
        """Probability that each reaches an accuracy, given as a logit."""
        return np.asarray(ndtr((self.mean - self._score(accuracy_logit)) / self.std))

    def expected_gain(self, accuracy_logit: float) -> Array:
        """Expected improvement over an accuracy, given as a logit; in scores, `B`."""
        z = (self.mean - self._score(accuracy_logit)) / self.std
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        return np.asarray(self.std * (z * ndtr(z) + density))

    def deviations(self, accuracy_logits: Array) -> Array:
        """How many standard deviations measured accuracies (logits, `B`) are off, `B`."""
        return np.asarray((self.warp.forward(accuracy_logits) - self.mean) / self.std)

    def _score(self, accuracy_logit: float) -> float:
        return float(self.warp.forward(np.array(accuracy_logit)))


class Surrogate:
    """A Gaussian process over descriptors and embeddings, fitted on trials.

    Args:
        embedding: fitted; its embeddings are half of the inputs.
        trials: at least two.
    """

    def __init__(self, embedding: Embedding, trials: Labelled) -> None:
        self._inputs = Inputs(embedding, trials.architectures)
        features = self._inputs.of(trials.architectures)
        self._model = WarpedProcess(features, trials.logits.double().numpy())

    def predict(self, architectures: Sequence[Architecture], *, noise: bool = False) -> Guess:
        """Guesses for architectures of the embedding's space.

        Args:
            architectures: of that space.
            noise: whether the deviation is that of one training or of what it measures.
        """
        return self._model.predict(self._inputs.of(architectures), noise=noise)


class WarpedProcess:
    """A Gaussian process on the normal scores of its targets.

    Args:
        inputs: of the trials.
        logits: `B`, of their accuracies.
        start: an earlier process over the same blocks, from which the fit goes on.
    """

    def __init__(
        self, inputs: Features, logits: Array, start: "WarpedProcess | None" = None
    ) -> None:
        self._warp = Warp.of(logits)
        earlier = start._process if start is not None else None
        self._process: GaussianProcess = GaussianProcess(
            inputs, self._warp.forward(logits), earlier
        )

    def predict(self, inputs: Features, *, noise: bool = False) -> Guess:
        """Guesses for other inputs; `noise` as of `GaussianProcess.predict`."""
        return Guess(*self._process.predict(inputs, noise=noise), self._warp)


class Inputs:
    """The surrogate's inputs: standardised descriptors, and embeddings.

    Args:
        embedding: fitted.
        reference: architectures whose descriptors get mean 0 and variance 1.
    """

    def __init__(self, embedding: Embedding, reference: Sequence[Architecture]) -> None:
        self._embedding = embedding
        values = describe(reference)
        self._mean, spread = values.mean(0), values.std(0)
        self._std = np.where(spread > 1e-9, spread, 1.0)

    def of(self, architectures: Sequence[Architecture]) -> Features:
        """Inputs of other architectures; far outliers are cut off."""
        numbers = ((describe(architectures) - self._mean) / self._std).clip(-4, 4)
        numbers = numbers / math.sqrt(numbers.shape[1])
        encoded = self._embedding.encode(architectures).double().numpy()
        encoded = encoded / math.sqrt(encoded.shape[1])
        return Features((Block(numbers, "near"), Block(encoded, "near"), Block(numbers, "linear")))
