"""The paper's own embedding: a residual 1-D CNN over 5-vectors, for chains of any length.

What works less well than it could is kept on purpose; docs/choices.md has every guess. The search
of `compress` uses `Embedding` instead.

Source:
    Sections 4.1 to 4.3, 5.2.2 and 8 of the paper.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archpress.architecture import Architecture
from archpress.architecture.kinds import PAPER_KINDS
from archpress.architecture.vector import from_vectors, to_vectors
from archpress.embedding.fitting import OnStep
from archpress.embedding.paper_coding import TYPES, Types, coding_of
from archpress.randomness import seeded
from archpress.space import SearchSpace

Norm = Literal["batch", "group"]
STEP = 4  # layers that one column of an embedding stands for
SHORTEST = 2 * STEP  # batch norm needs two columns where a batch is one sequence
GROUPS = 8  # of group norm
TOLD_EVERY = 100  # iterations; some tenths of a second


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """How the paper's embedding is made; "guess" where the paper does not say.

    Attributes:
        width: channels of the convolutions; guess.
        head_width: of the fully connected layers; guess.
        iterations: of SGD; the paper: 80,000, and 100,000 for CIFAR.
        learning_rate, momentum: Nesterov's, section 5.2.2.
        decay: multiplier of the rate, section 5.2.2.
        period: share of the iterations after which it is multiplied; "period 30" read as 30 passes
            over 1,500 architectures, one an iteration: 45,000 of 80,000.
        huber: where Huber's loss turns linear; guess, as in Fast R-CNN.
        tune_iterations, tune_rate: of the fine-tuning on decoded nets (section 5.3); guess.
        types: how the type of a layer is written; the paper: "ordinal".
        size_head: the paper's ReLU over the centred count, or "linear" over its centred logarithm.
        norm: of the convolutions; the paper: "batch".
    """

    width: int = 64
    head_width: int = 64
    iterations: int = 80_000
    learning_rate: float = 0.003
    momentum: float = 0.5
    decay: float = 0.2
    period: float = 45_000 / 80_000
    huber: float = 1.0
    tune_iterations: int = 200
    tune_rate: float = 3e-4
    types: Types = "ordinal"
    size_head: Literal["relu", "linear"] = "relu"
    norm: Norm = "batch"


class _Block(nn.Module):
    """ReLU of batch norm of a convolution, plus the input, or plus a convolution of it (section 8).

    The shortcut has a convolution where length or channels change.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        norm: Norm,
        way: Literal["same", "shorter", "longer"] = "same",
    ) -> None:
        super().__init__()

        def conv() -> nn.Module:
            match way:
                case "same":
                    return nn.Conv1d(inputs, outputs, 3, padding=1)
                case "shorter":
                    return nn.Conv1d(inputs, outputs, 4, stride=2, padding=1)
            return nn.ConvTranspose1d(inputs, outputs, 4, stride=2, padding=1)

        self.conv = conv()
        self.norm = nn.BatchNorm1d(outputs) if norm == "batch" else nn.GroupNorm(GROUPS, outputs)
        unchanged = way == "same" and inputs == outputs
        self.shortcut = nn.Identity() if unchanged else conv()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = F.relu(self.norm(self.conv(x))) + self.shortcut(x)
        return result


class PaperModel(nn.Module):
    """Encoder, decoder and the two regressors, for one sequence or several of one length.

    Args:
        settings: widths, and what differs from the paper.
        channels: of a column that is encoded.
    """

    def __init__(self, settings: PaperSettings, channels: int) -> None:
        super().__init__()
        width, wide, norm = settings.width, 2 * settings.width, settings.norm
        self.encoder = nn.Sequential(
            _Block(channels, width, norm),
            _Block(width, width, norm),
            _Block(width, wide, norm, "shorter"),
            _Block(wide, wide, norm),
            _Block(wide, wide, norm, "shorter"),
        )
        self.decoder = nn.Sequential(
            _Block(wide, wide, norm, "longer"),
            _Block(wide, wide, norm),
            _Block(wide, width, norm, "longer"),
            _Block(width, width, norm),
            nn.Conv1d(width, channels, 3, padding=1),
        )
        self._rectified = settings.size_head == "relu"
        self.accuracy = _three_blocks(wide, settings.head_width)
        self.parameters_head = _three_blocks(wide, settings.head_width)

    @property
    def first_filters(self) -> Tensor:
        """Weights of the first convolution, `W x C x 3`: one filter reads C fields of 3 layers."""
        weights: Tensor = self.encoder[0].conv.weight  # type: ignore[union-attr,assignment]
        return weights.detach().clone()

    def regress(self, embedding: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Accuracy in [0, 1], and standardised parameters: `B` each. A ReLU has none below 0.

        Args:
            embedding: `B x 2W x L/4`.
            length: layers of the net; columns beyond are left out of the mean that the heads see.
        """
        seen = embedding[..., : -(-length // STEP)].mean(-1)
        accuracy = torch.sigmoid(self.accuracy(seen)).squeeze(-1)
        size = self.parameters_head(seen).squeeze(-1)
        return accuracy, F.relu(size) if self._rectified else size


def _three_blocks(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 1),
    )


class PaperEmbedding:
    """Fitted on measured nets; encodes and decodes chains.

    Args:
        space: its ranges scale the fields of a 5-vector to about 1 (guess), and its dropout rate is
            what decoded dropout layers get.
        settings: of model and fit.
        seed: of the weights and the order of the nets.
    """

    def __init__(self, space: SearchSpace, settings: PaperSettings, seed: int = 0) -> None:
        self.space, self.settings = space, settings
        self._rng = np.random.default_rng([seed, 7])
        with seeded(seed):
            largest = (TYPES, max(space.kernels), space.most_channels, max(space.strides))
            self._largest = torch.tensor([*largest, max(1, *space.paddings)], dtype=torch.float32)
            self._coding = coding_of(settings.types, self._largest)
            self.model = PaperModel(settings, self._coding.channels).eval()
        self._mean, self._std = 0.0, 1.0

    def standardised(self, parameters: float) -> float:
        """Parameters less the mean of the nets of the fit, over their standard deviation.

        Of the logarithms, where the head is linear.
        """
        return (self._size(parameters) - self._mean) / self._std

    def parameters(self, standardised: float) -> float:
        """The inverse of `standardised`."""
        size = standardised * self._std + self._mean
        return math.exp(size) if self.settings.size_head == "linear" else size

    def _size(self, parameters: float) -> float:
        return math.log(parameters) if self.settings.size_head == "linear" else parameters

    def fit(
        self,
        nets: Sequence[Architecture],
        accuracies: Sequence[float],
        *,
        progress: OnStep | None = None,
    ) -> list[float]:
        """Train encoder, decoder and regressors together; the loss of each iteration.

        Args:
            nets: chains with 5-vectors, two at least.
            accuracies: of their brief trainings, in [0, 1].
            progress: called now and then.

        Raises:
            ArchitectureError: a net has no 5-vectors.
        """
        sizes = np.array([self._size(net.parameters) for net in nets], dtype=np.float64)
        self._mean, self._std = float(sizes.mean()), float(sizes.std()) or 1.0
        settings = self.settings
        rate = settings.learning_rate
        return self._train(nets, accuracies, settings.iterations, rate, progress)

    def tune(self, nets: Sequence[Architecture], accuracies: Sequence[float]) -> None:
        """A few iterations more at a small rate, as for decoded nets in section 5.3."""
        self._train(nets, accuracies, self.settings.tune_iterations, self.settings.tune_rate)

    def _train(
        self,
        nets: Sequence[Architecture],
        accuracies: Sequence[float],
        iterations: int,
        rate: float,
        progress: OnStep | None = None,
    ) -> list[float]:
        settings, model = self.settings, self.model.train()
        written = [_vectors(net) for net in nets]
        optimizer = torch.optim.SGD(
            model.parameters(), lr=rate, momentum=settings.momentum, nesterov=True
        )
        period = max(1, round(settings.period * iterations))
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, period, settings.decay)
        history = []
        for done in range(1, iterations + 1):
            i = int(self._rng.integers(len(nets)))
            loss = self._loss(written[i], accuracies[i], nets[i].parameters)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            history.append(loss.item())
            if progress is not None and done % TOLD_EVERY == 0:
                progress(done, iterations)
        model.eval()
        return history

    def _loss(self, vectors: Tensor, accuracy: float, parameters: int) -> Tensor:
        """Section 4.3: vectors by squared error, accuracy by L1, parameters by Huber's loss."""
        length = len(vectors)
        embedding = self.model.encoder(self._sequence(vectors))
        decoded = self.model.decoder(embedding)[0, :, :length]
        guessed, size = self.model.regress(embedding, length)
        wanted = torch.full_like(size, self.standardised(parameters))
        return (
            self._coding.loss(decoded, vectors)
            + F.l1_loss(guessed, torch.full_like(guessed, accuracy))
            + F.huber_loss(size, wanted, delta=self.settings.huber)
        )

    def encode(self, net: Architecture) -> Tensor:
        """`1 x 2W x L/4`, of a net with L layers, L filled up to a multiple of four.

        Raises:
            ArchitectureError: the net has no 5-vectors.
        """
        with torch.inference_mode():
            embedding: Tensor = self.model.encoder(self._sequence(_vectors(net)))
        return embedding.clone()

    def decode(self, embedding: Tensor, length: int) -> Architecture:
        """The net of a number of layers; fields are rounded and cut to their ranges.

        The last layer is the linear one over the classes, as section 9 enforces.

        Raises:
            ArchitectureError: what was decoded is no valid net.
        """
        with torch.inference_mode():
            values = self._coding.read(self.model.decoder(embedding)[0, :, :length])
        least = [1, 1, 1, 1, 0]
        vectors = np.clip(np.rint(values.numpy()), least, self._largest.numpy()).astype(np.int64)
        vectors[-1] = (PAPER_KINDS.index("linear") + 1, 0, self.space.classes, 0, 0)
        return from_vectors(vectors, self.space.input_shape, dropout_rate=self.space.dropout_rate)

    def _sequence(self, vectors: Tensor) -> Tensor:
        """`L x 5` -> `1 x C x L`, filled up with zeros."""
        written = self._coding.write(vectors)
        length = max(SHORTEST, -(-len(vectors) // STEP) * STEP)
        return F.pad(written, (0, length - len(vectors))).unsqueeze(0)


def _vectors(net: Architecture) -> Tensor:
    return torch.tensor(to_vectors(net), dtype=torch.float32)
