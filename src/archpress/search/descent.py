"""Gradient descent in the embedding (section 4.4 of the paper), from many starts at once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from archpress.architecture import Architecture
from archpress.embedding import Embedding
from archpress.embedding.model import LEARNED_COSTS
from archpress.search.objective import Objective, safe_logit
from archpress.space.limits import COSTS


@dataclass(frozen=True, slots=True)
class DescentSettings:
    """How to walk.

    Attributes:
        starts: descents at once.
        steps: of Adam on the embeddings.
        rate: its learning rate; embeddings have variance 1 in each dimension.
        every: steps between decodes.
        noise: standard deviation added to the starts, so that copies of one part.
        limit_weight: of the hinge on log costs, against logits of accuracy.
        norm_weight: pulls embeddings back to the shell that the encoder maps to.
        doubt_weight: of the heads' disagreement.
        widest_margin: hinges aim at limits times 1 to exp(-this), spread over the starts, since
            predicted costs are a little off.
    """

    starts: int = 48
    steps: int = 60
    rate: float = 0.05
    every: int = 10
    noise: float = 0.3
    limit_weight: float = 5.0
    norm_weight: float = 1.0
    doubt_weight: float = 0.5
    widest_margin: float = 0.3


def descend(
    embedding: Embedding,
    starts: Sequence[Architecture],
    objective: Objective,
    settings: DescentSettings,
    rng: np.random.Generator,
) -> list[Architecture]:
    """Architectures that are met on the way down, in the space, repeats included.

    Args:
        embedding: fitted on architectures and on trials.
        starts: where descents begin, in turn, each with noise of its own.
        objective: what to walk towards.
        settings: how.
        rng: of the noise.

    Source:
        Section 4.4. Ours: many starts, hinges with margins, the pull to the norm, the doubt of an
        ensemble, and that decoded nets are judged by exact costs, not by predicted ones.
    """
    return [
        one.architecture
        for _, places in walk(embedding, starts, objective, settings, rng)
        for one in embedding.decode(places)
    ]


def walk(
    embedding: Embedding,
    starts: Sequence[Architecture],
    objective: Objective,
    settings: DescentSettings,
    rng: np.random.Generator,
) -> Iterator[tuple[int, Tensor]]:
    """(step, `starts x D` embeddings) every `settings.every` steps; arguments as of `descend`."""
    chosen = [starts[i % len(starts)] for i in range(settings.starts)]
    origin = embedding.encode(chosen)
    moved = origin + settings.noise * origin.new_tensor(rng.normal(size=origin.shape))
    path = moved.clone().requires_grad_()
    margins = origin.new_tensor(rng.uniform(0, settings.widest_margin, size=len(chosen)))
    optimizer = torch.optim.Adam([path], lr=settings.rate)
    embedding.model.requires_grad_(False)
    try:
        for step in range(1, settings.steps + 1):
            optimizer.zero_grad()
            _loss(embedding, path, margins, objective, settings).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step % settings.every == 0:
                yield step, path.detach().clone()
    finally:
        embedding.model.requires_grad_(True)


def _loss(
    embedding: Embedding,
    path: Tensor,
    margins: Tensor,
    objective: Objective,
    settings: DescentSettings,
) -> Tensor:
    logits = embedding.predict_accuracy_logits(path)  # heads x B
    costs = embedding.predict_costs(path)  # B x 3, logs
    accuracy, doubt = logits.mean(0), logits.std(0)
    if objective.shrinks:
        short = torch.relu(safe_logit(objective.least_accuracy) + margins - accuracy)
        goal = costs[:, LEARNED_COSTS.index("parameters")] + settings.limit_weight * short
    else:
        goal = -accuracy
    limits = objective.limits
    allowed_costs = {cost: getattr(limits, name) for name, (cost, _) in COSTS.items()}
    allowed_costs["parameters"] = limits.most_parameters  # there is no head for sizes of files
    for cost in LEARNED_COSTS:
        allowed = allowed_costs[cost]
        if allowed is not None:
            over = torch.relu(
                costs[:, LEARNED_COSTS.index(cost)] + margins - math.log(max(allowed, 1))
            )
            goal = goal + settings.limit_weight * over
    if limits.max_latency is not None and embedding.latency is not None:
        over = embedding.latency(path) + margins - math.log(limits.max_latency)
        goal = goal + settings.limit_weight * torch.relu(over)
    norm = (path.square().mean(1) - 1).square()
    return (goal + settings.doubt_weight * doubt + settings.norm_weight * norm).sum()
