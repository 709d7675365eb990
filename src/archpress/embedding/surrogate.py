"""`Surrogate`: guesses the accuracy of any architecture of the space, with its uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from archpress.architecture import Architecture
from archpress.embedding.descriptors import describe
from archpress.embedding.embedding import Embedding
from archpress.embedding.fitting import Labelled
from archpress.embedding.gaussian_process import Features, GaussianProcess
from archpress.embedding.warp import Warp

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Guess:
    """Predicted accuracies of B architectures, normal distributions of warped logits.

    Attributes:
        mean: `B`, scores.
        std: `B`, of the score, without the noise of a single training.
        warp: from logits of accuracy to scores.
    """

    mean: Array
    std: Array
    warp: Warp = field(default_factory=Warp.identity)

    @property
    def accuracy(self) -> Array:
        """Most likely accuracy, `B`, in [0, 1]."""
        return np.asarray(expit(self.warp.backward(self.mean)))

    def probability_above(self, accuracy_logit: float) -> Array:
        """Probability that each reaches an accuracy, given as a logit."""
        return np.asarray(ndtr((self.mean - self._score(accuracy_logit)) / self.std))

    def expected_gain(self, accuracy_logit: float) -> Array:
        """Expected improvement over an accuracy, given as a logit; in scores, `B`."""
        z = (self.mean - self._score(accuracy_logit)) / self.std
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        return np.asarray(self.std * (z * ndtr(z) + density))

    def _score(self, accuracy_logit: float) -> float:
        return float(self.warp.forward(np.array(accuracy_logit)))


class Surrogate:
    """A Gaussian process over descriptors and embeddings, fitted on trials.

    Args:
        embedding: fitted; its embeddings are half of the inputs.
        trials: at least two.
    """

    def __init__(self, embedding: Embedding, trials: Labelled) -> None:
        inputs = features(embedding, trials.architectures)
        self._embedding = embedding
        self._model = WarpedProcess(inputs, trials.logits.double().numpy())

    def predict(self, architectures: Sequence[Architecture]) -> Guess:
        """Guesses for architectures of the embedding's space."""
        return self._model.predict(features(self._embedding, architectures))


class WarpedProcess:
    """A Gaussian process on the normal scores of its targets.

    Args:
        inputs: of the trials.
        logits: `B`, of their accuracies.
    """

    def __init__(self, inputs: Features, logits: Array) -> None:
        self._warp = Warp.of(logits)
        self._process = GaussianProcess(inputs, self._warp.forward(logits))

    def predict(self, inputs: Features) -> Guess:
        """Guesses for other inputs."""
        return Guess(*self._process.predict(inputs), self._warp)


def features(embedding: Embedding, architectures: Sequence[Architecture]) -> Features:
    """The surrogate's inputs."""
    encoded = embedding.encode(architectures).double().numpy()
    return Features(describe(architectures), encoded)
