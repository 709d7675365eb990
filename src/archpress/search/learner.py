"""`Learner`: what a search learns from trials."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from archpress.architecture.design import D
from archpress.embedding import Guess
from archpress.evaluation import Trial
from archpress.search.objective import Objective

Array = NDArray[np.float64]


class Learner(Protocol[D]):
    """Learns from trials, then guesses accuracies and proposes designs of its own."""

    def learn(self, trials: Sequence[Trial[D]], number: int) -> None:
        """Take in all trials so far; `number` is the round's, for its randomness."""

    def guess(self, designs: Sequence[D]) -> Guess:
        """Accuracies with their uncertainty, with a training's noise or without as each learns."""

    def places(self, designs: Sequence[D]) -> Array:
        """`B x F`: what lies near each other here is alike."""

    def descend(
        self, parents: Sequence[D], objective: Objective, rng: np.random.Generator
    ) -> Iterator[D]:
        """Designs found by gradient descent; none where a space has no embedding."""
