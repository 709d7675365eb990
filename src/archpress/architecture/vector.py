"""The paper's 5-vectors: (type, kernel, channels, stride, padding), one row a layer, and back."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import KINDS, PAPER_KINDS
from archpress.architecture.layers import Layer
from archpress.errors import ArchitectureError

PAPER_FIELDS = ("kind", "kernel", "channels", "stride", "padding")


def without_global_pools(architecture: Architecture) -> Architecture:
    """The same net, with global average pools of square maps as pools with a kernel of their size.

    The paper's vector has no type for a global pool.
    """
    layers = list(architecture.layers)
    for index, layer in enumerate(layers):
        shape = architecture.input_shapes(index)[0]
        if layer.kind == "global_average_pool" and len(shape) == 3 and shape[1] == shape[2]:
            layers[index] = replace(layer, kind="average_pool", kernel=shape[1], stride=shape[1])
    return replace(architecture, layers=tuple(layers))


def has_vectors(architecture: Architecture) -> bool:
    """Whether the paper's vectors can hold the net: a chain of its kinds, with biases."""
    return all(_has_vector(layer) for layer in architecture.layers)


def _has_vector(layer: Layer) -> bool:
    is_plain = not layer.bias_free and not layer.options and layer.inputs == (1,)
    return is_plain and bool(KINDS[layer.kind].paper_code)


def to_vectors(architecture: Architecture) -> NDArray[np.int64]:
    """The architecture as the paper writes it.

    Returns:
        `L x 5`; types are numbered 1 to 8 as in section 9, fields a layer does not have are 0, and
        layers that keep the number of channels carry their input's. Dropout has no rate there, so
        one other than the fixed one is lost.

    Raises:
        ArchitectureError: a layer that the paper's vector cannot hold (a join, a newer kind, no
            bias).
    """
    rows = []
    for index, layer in enumerate(architecture.layers):
        code = KINDS[layer.kind].paper_code
        if not _has_vector(layer):
            raise ArchitectureError(
                f"layer {index} ({layer.kind}) has no 5-vector: the paper's vector holds chains of "
                f"{', '.join(PAPER_KINDS)}, with biases and no other options"
            )
        channels = architecture.shapes[index][0]
        rows.append((code, layer.kernel, channels, layer.stride, layer.padding))
    return np.array(rows, dtype=np.int64)


def from_vectors(
    vectors: NDArray[np.int64], input_shape: tuple[int, int, int], *, dropout_rate: float = 0.5
) -> Architecture:
    """The inverse of `to_vectors`: strict, so what is no valid net is refused.

    Args:
        vectors: `L x 5`, integers.
        input_shape: `(C, H, W)`; the paper's vector does not hold it.
        dropout_rate: of every dropout layer; the paper's vector does not hold it.

    Raises:
        ArchitectureError: not `L x 5`, an unknown type, or layers that are no valid net.
    """
    if vectors.ndim != 2 or vectors.shape[1] != len(PAPER_FIELDS):
        raise ArchitectureError(f"vectors must be L x {len(PAPER_FIELDS)}, not {vectors.shape}")
    layers = []
    for index, row in enumerate(vectors.tolist()):
        code, kernel, channels, stride, padding = row
        if not 1 <= code <= len(PAPER_KINDS):
            raise ArchitectureError(f"layer {index}: type {code} is not 1 to {len(PAPER_KINDS)}")
        kind = PAPER_KINDS[code - 1]
        fields = KINDS[kind].fields
        layers.append(
            Layer(
                kind,
                kernel if "kernel" in fields else 0,
                channels if "channels" in fields else 0,
                stride if "stride" in fields else 0,
                padding if "padding" in fields else 0,
                rate=dropout_rate if kind == "dropout" else 0.0,
            )
        )
    return Architecture(input_shape, tuple(layers))
