"""A head for a cost that is known only once a device was timed: log latency from an embedding."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archpress.randomness import seeded

WIDTH = 64
STEPS = 300
RATE = 3e-3


class LatencyHead(nn.Module):
    """Natural logarithm of the milliseconds of a pass, `B` from `B x D`; differentiable."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dimensions, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU()
        )
        self.out = nn.Linear(WIDTH, 1)
        self.mean, self.std = torch.zeros(()), torch.ones(())

    def forward(self, embeddings: Tensor) -> Tensor:
        """Of `B x D` embeddings."""
        standard: Tensor = self.out(self.layers(embeddings)).squeeze(-1)
        return standard * self.std + self.mean


def fit_latency_head(embeddings: Tensor, milliseconds: Sequence[float], seed: int) -> LatencyHead:
    """A head that tells the latency of decoded nets from their embeddings.

    Args:
        embeddings: `B x D`, of architectures.
        milliseconds: of each, above 0.
        seed: of its first weights.
    """
    with seeded(seed):
        head = LatencyHead(embeddings.shape[1])
    logs = torch.tensor(milliseconds).log()
    head.mean, head.std = logs.mean(), logs.std().clamp(min=1e-3)
    optimizer = torch.optim.Adam(head.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        error = nn.functional.huber_loss(head(embeddings) / head.std, logs / head.std)
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return head.requires_grad_(False)
