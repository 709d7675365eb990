"""The embedding model: encoder, decoder and heads, as plain `nn.Module`s on token batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archpress.embedding.tokens import NUMBERS, Tokens

LEARNED_COSTS = (
    "parameters",
    "macs",
    "peak_memory",
)  # what the cost head predicts, as standardised logs


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Widths of the embedding model.

    Attributes:
        dimensions: D, of one embedding.
        width: channels of the 1-D convolutions.
        accuracy_heads: members of the ensemble that predicts accuracy.
    """

    dimensions: int = 128
    width: int = 40
    accuracy_heads: int = 5


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder says of each slot.

    Attributes:
        categories: one `B x L x size` of logits a category.
        channels: `B x L`, log2(1 + channels).
    """

    categories: tuple[Tensor, ...]
    channels: Tensor


def _conv(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution over the slots of `B x W x 1 x L`: 2-D, as these run faster channels last."""
    return nn.Conv2d(channels, out, (1, kernel), (1, stride), padding=(0, 1))


def _transposed(channels: int, out: int) -> nn.ConvTranspose2d:
    """Twice as many slots."""
    return nn.ConvTranspose2d(channels, out, (1, 4), (1, 2), padding=(0, 1))


class _Residual(nn.Module):
    """x + norm-activation-conv twice, over slots; group norm, since lengths and batches vary."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(1, width),
            nn.GELU(),
            _conv(width, width, 3),
            nn.GroupNorm(1, width),
            nn.GELU(),
            _conv(width, width, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.body(x)
        return result


class Encoder(nn.Module):
    """Tokens -> embedding: residual 1-D convolutions, two strided steps, a linear map to D."""

    def __init__(self, category_sizes: Sequence[int], slots: int, size: ModelSize) -> None:
        super().__init__()
        width = size.width
        self.categories = nn.ModuleList(nn.Embedding(n, width) for n in category_sizes)
        self.numbers = nn.Linear(len(NUMBERS), width)
        self.position = nn.Parameter(0.1 * torch.randn(slots, width))
        self.body = nn.Sequential(
            _conv(width, width, 4, 2),
            _Residual(width),
            _conv(width, 2 * width, 4, 2),
            _Residual(2 * width),
        )
        self.out = nn.Linear(2 * width * (slots // 4), size.dimensions)

    def forward(self, tokens: Tokens) -> Tensor:
        """`B x D`, each row of mean 0 and variance 1."""
        x = self.numbers(tokens.numbers / 8.0) + self.position  # B L W; 8: log2 counts reach 20
        x = x + self._of_categories(tokens.categories)
        features = self.body(x.transpose(1, 2).unsqueeze(2))  # B W 1 L -> B 2W 1 L/4
        return F.layer_norm(self.out(features.flatten(1)), (self.out.out_features,))

    def _of_categories(self, categories: Tensor) -> Tensor:
        """Sum over the fields of what each value means, in one look-up: `B x L x W`."""
        tables: list[Tensor] = [embedding.weight for embedding in self.categories]  # type: ignore[misc]
        starts = [0, *accumulate(len(table) for table in tables[:-1])]
        rows = (categories + categories.new_tensor(starts)).flatten(0, 1)
        found = F.embedding_bag(rows, torch.cat(tables), mode="sum")
        return found.view(*categories.shape[:2], -1)


class Decoder(nn.Module):
    """Embedding -> logits of each slot's categories and its channels."""

    def __init__(self, category_sizes: Sequence[int], slots: int, size: ModelSize) -> None:
        super().__init__()
        width = size.width
        self.start = nn.Linear(size.dimensions, 2 * width * (slots // 4))
        self.body = nn.Sequential(
            _Residual(2 * width),
            _transposed(2 * width, width),
            _Residual(width),
            _transposed(width, width),
            nn.GroupNorm(1, width),
            nn.GELU(),
        )
        self.sizes = tuple(category_sizes)
        self.out = nn.Linear(width, sum(category_sizes) + 1)
        self.width = width

    def forward(self, embeddings: Tensor) -> Decoded:
        """Of `B x D` embeddings."""
        x = self.start(embeddings).unflatten(1, (2 * self.width, 1, -1))  # B D -> B 2W 1 L/4
        x = self.body(x.contiguous(memory_format=torch.channels_last))
        x = self.out(x.squeeze(2).transpose(1, 2))  # B L (all logits and the channels)
        *categories, channels = x.split([*self.sizes, 1], dim=-1)
        return Decoded(tuple(categories), 4.0 + 4.0 * channels.squeeze(-1))  # 0 means 15 channels


class EmbeddingModel(nn.Module):
    """Encoder, decoder, a head for exact costs and an ensemble of heads for accuracy."""

    def __init__(self, category_sizes: Sequence[int], slots: int, size: ModelSize) -> None:
        super().__init__()
        self.encoder = Encoder(category_sizes, slots, size)
        self.decoder = Decoder(category_sizes, slots, size)
        self.costs = _head(size.dimensions, len(LEARNED_COSTS), 128)
        self.accuracy = nn.ModuleList(
            _head(size.dimensions, 1, 64) for _ in range(size.accuracy_heads)
        )

    def predict_accuracy(self, embeddings: Tensor) -> Tensor:
        """`heads x B`: each head's standardised logit of the accuracy."""
        return torch.stack([head(embeddings).squeeze(-1) for head in self.accuracy])


def _head(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.GELU(),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, outputs),
    )
