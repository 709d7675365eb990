"""The paper's compression: one gradient descent from the given net, decoded on the way."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from archpress.architecture import Architecture
from archpress.embedding.paper import PaperEmbedding
from archpress.errors import ArchitectureError
from archpress.space import Limits


@dataclass(frozen=True, slots=True)
class PaperDescent:
    """How to walk; the paper gives none of the numbers.

    Attributes:
        steps: of plain gradient descent; guess.
        rate: of a step; guess.
        size_weight: of the predicted parameters, the paper's first term; guess.
        accuracy_weight: of the predicted accuracy; guess.
    """

    steps: int = 200
    rate: float = 0.3
    size_weight: float = 1.0
    accuracy_weight: float = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class DescentStep:
    """Where the descent is after a step.

    Attributes:
        place: embedding.
        accuracy: predicted there, in [0, 1].
        parameters: likewise.
        net: decoded; None where that is no valid net.
    """

    place: Tensor
    accuracy: float
    parameters: float
    net: Architecture | None


def descend_once(
    embedding: PaperEmbedding, source: Architecture, limits: Limits, settings: PaperDescent
) -> Iterator[DescentStep]:
    """The steps of one descent.

    With a limit on parameters the first term is what they are above it, the paper's relaxed
    objective; without one it is their predicted number.

    Args:
        embedding: fitted.
        source: where the descent begins; the decoded nets have as many layers.
        limits: of which only that on parameters has a gradient here.
        settings: how to walk.

    Raises:
        ArchitectureError: the source has no 5-vectors.

    Source:
        Section 4.4 of the paper.
    """
    length = len(source.layers)
    allowed = limits.max_parameters
    place = embedding.encode(source)
    for _ in range(settings.steps):
        here = place.clone().requires_grad_()
        accuracy, size = embedding.model.regress(here, length)
        if allowed is not None:
            size = torch.relu(size - embedding.standardised(allowed))
        goal = settings.size_weight * size - settings.accuracy_weight * accuracy
        (gradient,) = torch.autograd.grad(goal.sum(), here)
        place = place - settings.rate * gradient
        yield _step(embedding, place, length)


def _step(embedding: PaperEmbedding, place: Tensor, length: int) -> DescentStep:
    with torch.no_grad():
        accuracy, size = embedding.model.regress(place, length)
    try:
        net = embedding.decode(place, length)
    except ArchitectureError:
        net = None
    return DescentStep(place, accuracy.item(), embedding.parameters(size.item()), net)
