"""`LayerCNN`: small 1-D CNNs that read a net layer by layer and tell a number, e.g. its accuracy.

A member of `Predictor` for tables of hundreds of nets. The encoder of a search's embedding has to
tell architectures apart and to be walked through; these only have to predict.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad, smooth_l1_loss
from torch.optim.lr_scheduler import OneCycleLR

from archpress.architecture import Architecture
from archpress.embedding.positions import TOLD_KINDS, LayerPlace, places_of
from archpress.evaluation import torch_threads
from archpress.randomness import seeded

Array = NDArray[np.float64]
WIDTH, BLOCKS = 64, 3
DROPOUT = 0.15
STEPS, BATCH = 750, 32
PEAK_RATE, WEIGHT_DECAY = 3e-3, 0.05
TYPICAL_LENGTH = 10  # layers, by which sums over layers are divided
EMPTY = -1e3  # what an empty slot counts in a maximum
KERNELS = (1, 3)  # told apart; wider ones are one group
NUMBERS = 4 + len(KERNELS) + 1  # of a layer beside its kind


class LayerCNN:
    """Mean of some CNNs from different initialisations, each trained on all nets.

    Args:
        nets: of known target.
        whole: `N x F`, numbers of each net as a whole, standardised.
        target: `N`, any unit.
        members: CNNs.
        seed: of the first of them.
    """

    def __init__(
        self,
        nets: Sequence[Architecture],
        whole: Array,
        target: Array,
        *,
        members: int,
        seed: int = 0,
    ) -> None:
        self._mean, self._std = float(np.mean(target)), float(np.std(target)) or 1.0
        scores = torch.from_numpy((np.asarray(target) - self._mean) / self._std).float()
        inputs = _sequences(nets), torch.from_numpy(whole).float()
        with torch_threads(1):  # the operations are too small for more
            self._networks = [_trained(*inputs, scores, seed + at) for at in range(members)]

    def predict(self, nets: Sequence[Architecture], whole: Array) -> Array:
        """Targets, `B`; `whole` as in the fit, one row a net."""
        inputs = _sequences(nets), torch.from_numpy(whole).float()
        with torch.no_grad():
            scores = torch.stack([network(*inputs) for network in self._networks]).mean(0)
        return np.asarray(scores.double().numpy() * self._std + self._mean)


class _Network(nn.Module):
    """Residual convolutions along the layers; sum, maximum and last layer beside `whole`."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.first = nn.Linear(len(TOLD_KINDS) + NUMBERS + 1, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(BLOCKS))
        # Convolutions of length 3, as products with each layer beside its neighbours: Conv1d takes
        # twice as long for so short sequences.
        self.convs = nn.ModuleList(nn.Linear(3 * WIDTH, WIDTH) for _ in range(BLOCKS))
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Sequential(
            nn.Linear(3 * WIDTH + numbers, WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, 1),
        )

    def forward(self, layers: Tensor, whole: Tensor) -> Tensor:
        there = layers[..., -1:]  # B L 1
        hidden = self.first(layers) * there  # B L W
        for norm, conv in zip(self.norms, self.convs, strict=True):
            seen = conv(_with_neighbours(norm(hidden) * there)).relu()
            hidden = hidden + self.dropout(seen) * there
        pooled = [
            hidden.sum(1) / TYPICAL_LENGTH,
            (hidden + EMPTY * (1 - there)).amax(1),
            hidden[:, -1],
            whole,
        ]
        scores: Tensor = self.head(torch.cat(pooled, 1))
        return scores.squeeze(1)  # B


def _with_neighbours(hidden: Tensor) -> Tensor:
    """Each layer's numbers between those of the layer before and after it, `B L 3W`."""
    padded = pad(hidden, (0, 0, 1, 1))
    return torch.cat([padded[:, :-2], hidden, padded[:, 2:]], dim=2)


def _trained(layers: Tensor, whole: Tensor, scores: Tensor, seed: int) -> _Network:
    with seeded(seed):
        network = _Network(whole.shape[1])
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY, fused=True
        )
        schedule = OneCycleLR(optimizer, PEAK_RATE, total_steps=STEPS)
        done = 0
        while done < STEPS:
            for batch in torch.split(torch.randperm(len(scores)), BATCH)[: STEPS - done]:
                loss = smooth_l1_loss(network(layers[batch], whole[batch]), scores[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                done += 1
    return network.eval()


def _sequences(nets: Sequence[Architecture]) -> Tensor:
    """`B x L x F`, the last layers of all nets beside each other, empty slots before the first."""
    rows = [[_numbers(place, at) for at, place in enumerate(places_of(net))] for net in nets]
    length = max(map(len, rows))
    padded = np.zeros((len(rows), length, len(TOLD_KINDS) + NUMBERS + 1), dtype=np.float32)
    for slots, row in zip(padded, rows, strict=True):
        slots[length - len(row) :] = row
    return torch.from_numpy(padded)


def _numbers(place: LayerPlace, index: int) -> list[float]:
    """Kind and kernel as categories, sizes of order 1; the last tells that a layer is there."""
    return [
        *(float(place.kind == kind) for kind in TOLD_KINDS),
        *(float(place.kernel == kernel) for kernel in KERNELS),
        float(place.kernel > KERNELS[-1]),
        (place.channels - 7.5) / 1.5,
        (place.side_in - 3) / 2,
        (place.side_out - 3) / 2,
        index / TYPICAL_LENGTH,
        1.0,
    ]
