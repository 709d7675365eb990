"""`Embedding`: a map between a search space and vectors, with predictions; saved to a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from archpress.architecture import Architecture
from archpress.embedding.latency_head import LatencyHead
from archpress.embedding.model import LEARNED_COSTS, EmbeddingModel, ModelSize
from archpress.embedding.tokens import Alphabet, Tokens
from archpress.errors import EmbeddingError
from archpress.randomness import seeded
from archpress.space import Repaired, SearchSpace, repair

BATCH = 512  # architectures encoded or decoded at once
FORMAT, FORMAT_VERSION = "archpress-embedding", 2


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation that targets were standardised with."""

    mean: Tensor
    std: Tensor

    def standardise(self, values: Tensor) -> Tensor:
        """Natural units -> mean 0, variance 1 over what the scale was taken from."""
        return (values - self.mean) / self.std

    def restore(self, values: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        return values * self.std + self.mean

    @classmethod
    def of(cls, values: Tensor) -> "Scale":
        """The scale of the rows of some values."""
        return cls(values.mean(0), values.std(0, unbiased=False).clamp(min=1e-3))


def _unit(*shape: int) -> Scale:
    return Scale(torch.zeros(shape), torch.ones(shape))


@dataclass(frozen=True, slots=True)
class EmbeddingFile:
    """What lies in a file of `Embedding.save`."""

    alphabet: Alphabet
    size: ModelSize
    tensors: dict[str, Tensor]


def read_file(path: Path | str) -> EmbeddingFile:
    """What `Embedding.save` wrote, of whatever search space.

    Raises:
        EmbeddingError: no such file, no embedding, or another version.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            head = json.loads((file.metadata() or {}).get("archpress", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise EmbeddingError(f"cannot read embedding {path}: {error}") from None
    if head.get("format") != FORMAT or head.get("version") != FORMAT_VERSION:
        raise EmbeddingError(f"{path} is no embedding that this version of archpress reads")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in head["alphabet"].items()
    }
    return EmbeddingFile(Alphabet(**values), ModelSize(**head["size"]), tensors)


@dataclass(eq=False)
class Embedding:
    """Encoder, decoder and heads for one search space.

    Attributes:
        space: decoded architectures lie in it.
        size: widths of the model.
        model: the modules; `fitting` trains them.
        cost_scale: of log costs, one entry for each of `LEARNED_COSTS`.
        accuracy_scale: of logits of accuracy.
        latency: head for the latency, where that is limited; not in the file.
    """

    space: SearchSpace
    size: ModelSize = field(default_factory=ModelSize)
    seed: int = 0
    alphabet: Alphabet = field(init=False)
    model: EmbeddingModel = field(init=False)
    cost_scale: Scale = field(init=False)
    accuracy_scale: Scale = field(init=False)
    latency: LatencyHead | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Set up the model with fresh weights drawn from the seed."""
        self.alphabet = Alphabet.of(self.space)
        with seeded(self.seed):
            self.model = EmbeddingModel(self.alphabet.sizes, self.alphabet.slots, self.size).eval()
        self.cost_scale, self.accuracy_scale = _unit(len(LEARNED_COSTS)), _unit()

    # --- between architectures and vectors ---

    def encode(self, architectures: Sequence[Architecture]) -> Tensor:
        """Embeddings of architectures.

        Returns:
            `B x D`, float32, each row of mean 0 and variance 1.

        Raises:
            EmbeddingError: an architecture has values that the search space lacks.
        """
        tokens = self.alphabet.encode(architectures)
        with torch.no_grad():
            parts = [
                self.model.encoder(tokens.rows(rows))
                for rows in torch.split(torch.arange(len(tokens)), BATCH)
            ]
        return torch.cat(parts) if parts else torch.zeros(0, self.size.dimensions)

    def decode(self, embeddings: Tensor) -> list[Repaired]:
        """The most likely architecture of each embedding, repaired into the space.

        Args:
            embeddings: `B x D`, float32, any scale; rows are independent.

        Returns:
            B architectures with their repairs, in the order of the rows.

        Raises:
            EmbeddingError: an entry is NaN or infinite, or D is another; the message has its row.

        Source:
            Section 4.1 of the paper; categorical heads are ours, see docs/choices.md.
        """
        restored = self.raw_tokens(embeddings)
        rows = self.alphabet.decode(restored.categories, restored.numbers[..., 0])
        return [repair(row, self.space) for row in rows]

    def raw_tokens(self, embeddings: Tensor) -> Tokens:
        """The decoder's most likely tokens before any repair; of the numbers only channels."""
        self._check(embeddings)
        with torch.no_grad():
            parts = [self.model.decoder(part) for part in torch.split(embeddings, BATCH)]
        categories = [
            torch.stack([logits.argmax(-1) for logits in part.categories], dim=-1) for part in parts
        ]
        channels = [part.channels for part in parts]
        return Tokens(torch.cat(categories), torch.cat(channels)[..., None])

    def _check(self, embeddings: Tensor) -> None:
        if embeddings.dim() != 2 or embeddings.shape[1] != self.size.dimensions:
            raise EmbeddingError(
                f"embeddings must be B x {self.size.dimensions}, not {tuple(embeddings.shape)}"
            )
        bad = (~embeddings.isfinite()).any(1).nonzero().flatten()
        if len(bad):
            raise EmbeddingError(f"row {int(bad[0])} of the embeddings is not finite")

    # --- predictions ---

    def predict_costs(self, embeddings: Tensor) -> Tensor:
        """Natural logarithms of 1 + the costs in `LEARNED_COSTS`, `B x 3`; differentiable."""
        return self.cost_scale.restore(self.model.costs(embeddings))

    def predict_accuracy_logits(self, embeddings: Tensor) -> Tensor:
        """Logit of the accuracy from each head, `heads x B`; differentiable."""
        return self.accuracy_scale.restore(self.model.predict_accuracy(embeddings))

    def tokens(self, architectures: Sequence[Architecture]) -> Tokens:
        """The model's input."""
        return self.alphabet.encode(architectures)

    # --- files ---

    def save(self, path: Path | str) -> None:
        """Write weights and scales as safetensors; the space is not in the file.

        Raises:
            EmbeddingError: the file cannot be written.
        """
        tensors = {name: value.contiguous() for name, value in self.model.state_dict().items()}
        for name, scale in (("costs", self.cost_scale), ("accuracy", self.accuracy_scale)):
            tensors[f"scale.{name}.mean"], tensors[f"scale.{name}.std"] = scale.mean, scale.std
        head = {"format": FORMAT, "version": FORMAT_VERSION, "size": asdict(self.size)}
        alphabet = {**head, "alphabet": asdict(self.alphabet)}
        try:
            save_file(tensors, str(path), metadata={"archpress": json.dumps(alphabet)})
        except SafetensorError as error:
            raise EmbeddingError(f"cannot write embedding {path}: {error}") from None

    @classmethod
    def load(cls, path: Path | str, space: SearchSpace) -> "Embedding":
        """Read what `save` wrote, for the same search space.

        Raises:
            EmbeddingError: no such file, no embedding, another version, or another alphabet.
        """
        file = read_file(path)
        embedding, tensors = cls(space, file.size), dict(file.tensors)
        if embedding.alphabet != file.alphabet:
            raise EmbeddingError(f"{path} was fitted for another search space")
        embedding.cost_scale = Scale(
            tensors.pop("scale.costs.mean"), tensors.pop("scale.costs.std")
        )
        embedding.accuracy_scale = Scale(
            tensors.pop("scale.accuracy.mean"), tensors.pop("scale.accuracy.std")
        )
        embedding.model.load_state_dict(tensors)
        return embedding
