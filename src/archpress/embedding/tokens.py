"""Architectures as padded arrays of tokens, and back.

One slot a layer, slots after the last layer hold the kind "none". Categories (kind, kernel, stride,
padding, bias, two input offsets) and the logarithm of the channels are what the decoder gives back;
the other numbers only help the encoder.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from archpress.architecture import KINDS, Architecture, Layer
from archpress.errors import EmbeddingError
from archpress.space import SearchSpace

NONE = "none"
CATEGORIES = ("kind", "kernel", "stride", "padding", "bias_free", "first_offset", "second_offset")
NUMBERS = ("channels", "side", "parameters", "macs")  # all as log2(1 + value); channels decodes
MOST_INPUTS = 2  # of a join; a token has two offsets


@dataclass(frozen=True, slots=True)
class Tokens:
    """A batch of architectures.

    Attributes:
        categories: `B x L x 7`, int64, one index a field of `CATEGORIES`.
        numbers: `B x L x 4`, float32, the fields of `NUMBERS`.
    """

    categories: Tensor
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.categories)

    def rows(self, index: Tensor) -> "Tokens":
        """The architectures at these positions."""
        return Tokens(self.categories[index], self.numbers[index])


@dataclass(frozen=True)
class Alphabet:
    """The values that each category can have; index 0 is that the layer has no such field.

    Of the kind it is an empty slot, of `bias_free` it is False, of the second input's offset that
    there is none.

    Attributes:
        kinds, kernels, strides, paddings: what nets of the search space have.
        slots: layers of the longest architecture, a multiple of 4 (the encoder halves it twice).
    """

    kinds: tuple[str, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    paddings: tuple[int, ...]
    slots: int

    @classmethod
    def of(cls, space: SearchSpace) -> "Alphabet":
        """The alphabet of a search space."""
        slots = 4 * math.ceil(space.most_layers / 4)
        return cls(space.all_kinds, space.kernels, space.strides, space.paddings, slots)

    @cached_property
    def values(self) -> tuple[tuple[object, ...], ...]:
        """For each category, the value that each index means."""
        offsets = tuple(range(1, self.slots + 1))
        return (
            (NONE, *self.kinds),
            (0, *self.kernels),
            (0, *self.strides),
            (None, *self.paddings),
            (False, True),
            (0, *offsets),
            (0, *offsets),
        )

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of indices of each category."""
        return tuple(len(values) for values in self.values)

    @cached_property
    def _index(self) -> tuple[dict[object, int], ...]:
        return tuple({value: i for i, value in enumerate(values)} for values in self.values)

    def encode(self, architectures: Sequence[Architecture]) -> Tokens:
        """Tokens of architectures.

        Raises:
            EmbeddingError: an architecture has more layers, inputs or other values than the
                alphabet; the message names the layer and the value.
        """
        categories = torch.zeros(len(architectures), self.slots, len(CATEGORIES), dtype=torch.int64)
        numbers = torch.zeros(len(architectures), self.slots, len(NUMBERS))
        for row, architecture in enumerate(architectures):
            count = len(architecture.layers)
            if count > self.slots:
                raise EmbeddingError(f"{count} layers do not fit into {self.slots} slots")
            indices = [self._layer(layer, at) for at, layer in enumerate(architecture.layers)]
            categories[row, :count] = torch.tensor(indices)
            numbers[row, :count] = torch.tensor(_numbers(architecture))
        return Tokens(categories, torch.log2(1 + numbers))

    def holds(self, architecture: Architecture) -> bool:
        """Whether `encode` takes an architecture."""
        try:
            self.encode([architecture])
        except EmbeddingError:
            return False
        return True

    def _layer(self, layer: Layer, at: int) -> list[int]:
        if len(layer.inputs) > MOST_INPUTS:
            raise EmbeddingError(
                f"layer {at} ({layer.kind}) reads {len(layer.inputs)} layers; "
                f"a token holds {MOST_INPUTS}"
            )
        padding = layer.padding if "padding" in KINDS[layer.kind].fields else None
        second = layer.inputs[1] if len(layer.inputs) > 1 else 0
        values = (
            layer.kind,
            layer.kernel,
            layer.stride,
            padding,
            layer.bias_free,
            layer.inputs[0],
            second,
        )
        try:
            return [index[value] for index, value in zip(self._index, values, strict=True)]
        except KeyError as error:
            raise EmbeddingError(
                f"layer {at} ({layer.kind}): {error.args[0]!r} is not in the search space"
            ) from None

    def decode(self, categories: Tensor, channels: Tensor) -> list[list[Layer]]:
        """Layers of each row, to be repaired: no check is made that they are a net.

        Args:
            categories: `B x L x 7`, indices.
            channels: `B x L`, log2(1 + channels).
        """
        counts = (torch.exp2(channels.clamp(0, 20)) - 1).round().long().tolist()
        return [
            self._layers(row, row_counts)
            for row, row_counts in zip(categories.tolist(), counts, strict=True)
        ]

    def _layers(self, row: list[list[int]], counts: list[int]) -> list[Layer]:
        used = [slot for slot, indices in enumerate(row) if indices[0]]
        return [
            self._to_layer(row[slot], counts[slot]) for slot in range(used[-1] + 1 if used else 0)
        ]

    def _to_layer(self, indices: list[int], channels: int) -> Layer:
        """One layer; fields its kind does not have are dropped, missing ones become 0."""
        kind, kernel, stride, padding, bias_free, first, second = (
            values[index] for values, index in zip(self.values, indices, strict=True)
        )
        fields = KINDS[str(kind)].fields if kind in KINDS else frozenset[str]()
        offsets = (first or 1, second) if second else (first or 1,)
        return Layer(
            str(kind),
            _whole(kernel) if "kernel" in fields else 0,
            channels if "channels" in fields else 0,
            _whole(stride) if "stride" in fields else 0,
            _whole(padding) if "padding" in fields else 0,
            tuple(_whole(offset) for offset in offsets),
            bool(bias_free) and "bias_free" in fields,
        )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _numbers(architecture: Architecture) -> list[tuple[float, ...]]:
    return [
        (shape[0], shape[1] if len(shape) == 3 else 0, parameters, macs)
        for shape, parameters, macs in zip(
            architecture.shapes,
            architecture.layer_parameters,
            architecture.layer_macs,
            strict=True,
        )
    ]
