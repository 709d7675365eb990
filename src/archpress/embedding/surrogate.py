"""`Surrogate`: guesses the accuracy of any architecture of the space, with its uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from archpress.architecture import Architecture
from archpress.embedding.descriptors import describe
from archpress.embedding.embedding import Embedding
from archpress.embedding.fitting import Labelled
from archpress.embedding.gaussian_process import Features, GaussianProcess

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Guess:
    """Predicted accuracies of B architectures, as normal distributions of the logit.

    Attributes:
        mean: `B`, logits.
        std: `B`, of the logit, without the noise of a single training.
    """

    mean: Array
    std: Array

    @property
    def accuracy(self) -> Array:
        """Most likely accuracy, `B`, in [0, 1]."""
        return np.asarray(expit(self.mean))

    def probability_above(self, accuracy_logit: float) -> Array:
        """Probability that each reaches an accuracy, given as a logit."""
        return np.asarray(ndtr((self.mean - accuracy_logit) / self.std))

    def expected_gain(self, accuracy_logit: float) -> Array:
        """Expected improvement over an accuracy, both as logits, `B`."""
        z = (self.mean - accuracy_logit) / self.std
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        return np.asarray(self.std * (z * ndtr(z) + density))


class Surrogate:
    """A Gaussian process over descriptors and embeddings, fitted on trials.

    Args:
        embedding: fitted; its embeddings are half of the inputs.
        trials: at least two.
    """

    def __init__(self, embedding: Embedding, trials: Labelled) -> None:
        self._embedding = embedding
        self._process = GaussianProcess(
            features(embedding, trials.architectures), trials.logits.double().numpy()
        )

    def predict(self, architectures: Sequence[Architecture]) -> Guess:
        """Guesses for architectures of the embedding's space."""
        return Guess(*self._process.predict(features(self._embedding, architectures)))

    @property
    def noise(self) -> float:
        """Standard deviation of a single training, as a logit of accuracy."""
        return self._process.noise_std


def features(embedding: Embedding, architectures: Sequence[Architecture]) -> Features:
    """The surrogate's inputs."""
    encoded = embedding.encode(architectures).double().numpy()
    return Features(describe(architectures), encoded)
