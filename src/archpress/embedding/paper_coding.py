"""How the paper's embedding writes the type of a layer: as a number, as in the paper, or not."""

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from archpress.architecture.kinds import PAPER_KINDS

Types = Literal["ordinal", "categorical"]
TYPES = len(PAPER_KINDS)


class Coding(Protocol):
    """5-vectors as what a model reads, and back from what it writes.

    Attributes:
        channels: of what it reads and writes.
    """

    channels: int

    def write(self, vectors: Tensor) -> Tensor:
        """`L x 5` -> `C x L`."""

    def loss(self, decoded: Tensor, vectors: Tensor) -> Tensor:
        """How far `C x L` is from `L x 5`."""

    def read(self, decoded: Tensor) -> Tensor:
        """`C x L` -> `L x 5`, not rounded."""


class Ordinal:
    """The paper's: types are the numbers 1 to 8, so that 2 lies between 1 and 3.

    Args:
        scale: `5`, what each field is divided by.
    """

    channels = 5

    def __init__(self, scale: Tensor) -> None:
        self._scale = scale

    def write(self, vectors: Tensor) -> Tensor:
        """Scaled."""
        return (vectors / self._scale).T

    def loss(self, decoded: Tensor, vectors: Tensor) -> Tensor:
        """Mean squared error, section 4.3."""
        return F.mse_loss(decoded, self.write(vectors))

    def read(self, decoded: Tensor) -> Tensor:
        """In their own units."""
        return decoded.T * self._scale


class Categorical:
    """Types as categories, none nearer to one than to another.

    Args:
        scale: `5`, what each field is divided by; the first is not used.
    """

    channels = TYPES + 4

    def __init__(self, scale: Tensor) -> None:
        self._scale = scale[1:]

    def write(self, vectors: Tensor) -> Tensor:
        """A channel a type, then the other fields."""
        types = F.one_hot(vectors[:, 0].long() - 1, TYPES)
        return torch.cat([types, vectors[:, 1:] / self._scale], dim=1).T

    def loss(self, decoded: Tensor, vectors: Tensor) -> Tensor:
        """Cross entropy of the types, mean squared error of the rest."""
        types = F.cross_entropy(decoded[:TYPES].T, vectors[:, 0].long() - 1)
        return types + F.mse_loss(decoded[TYPES:].T, vectors[:, 1:] / self._scale)

    def read(self, decoded: Tensor) -> Tensor:
        """The likeliest types."""
        types = decoded[:TYPES].argmax(0, keepdim=True).T + 1
        return torch.cat([types, decoded[TYPES:].T * self._scale], dim=1)


def coding_of(types: Types, scale: Tensor) -> Coding:
    """By its name.

    >>> vectors = torch.tensor([[1.0, 3, 16, 1, 1], [4.0, 0, 16, 0, 0]])
    >>> for types in ("ordinal", "categorical"):
    ...     coding = coding_of(types, torch.tensor([8.0, 3, 512, 3, 1]))
    ...     bool((coding.read(coding.write(vectors)) == vectors).all())
    True
    True
    """
    return Ordinal(scale) if types == "ordinal" else Categorical(scale)
