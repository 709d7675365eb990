"""`Plane`: two axes through an embedding, for a map of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from archpress.architecture import Architecture
from archpress.embedding import Embedding

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """The plane in which some nets differ most.

    Attributes:
        middle: of the nets, `D`.
        axes: `2 x D`, of length 1.
        shares: of their spread that lies along each axis, in [0, 1].
    """

    middle: Array
    axes: Array
    shares: tuple[float, float]

    @classmethod
    def of(cls, embedding: Embedding, nets: Sequence[Architecture]) -> "Plane":
        """The first two principal axes of at least three nets."""
        places = embedding.encode(nets).double().numpy()
        middle = places.mean(0)
        _, lengths, axes = np.linalg.svd(places - middle, full_matrices=False)
        top: Array = axes[:2]
        top *= np.sign(top[np.arange(2), np.abs(top).argmax(1)])[:, None]  # as on all machines
        first, second = (lengths**2 / max(float((lengths**2).sum()), 1e-12))[:2]
        return cls(middle, top, (round(float(first), 4), round(float(second), 4)))

    def places(self, embedding: Embedding, nets: Sequence[Architecture]) -> list[list[float]]:
        """Where nets lie, one pair each."""
        return self.project(embedding.encode(nets))

    def project(self, embeddings: Tensor) -> list[list[float]]:
        """Where embeddings, `B x D`, lie, one pair each."""
        away = embeddings.double().numpy() - self.middle
        found: list[list[float]] = np.round(away @ self.axes.T, 4).tolist()
        return found
