"""Where along a net its layers lie: numbers for regressions over nets of different make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import ACTIVATIONS, Architecture

Array = NDArray[np.float64]
STAGES = 4  # halvings of the image's side that are told apart
POOLS = 3  # pools whose place is told
WAVES = 64  # random features of each kind of layer
SEED = 0  # of the random features: the same for all, so that sums can be compared
# The kinds that are told apart; others are alike, so that a new kind changes no prediction.
TOLD_KINDS = (
    *("conv", "depthwise", "max_pool", "batch_norm", "relu", "sigmoid", "dropout", "average_pool"),
    *("linear", "global_average_pool", "add", "multiply", "concat", "relu6", "leaky_relu", "elu"),
    *("gelu", "silu", "hardswish", "tanh", "hardsigmoid", "layer_norm", "group_norm", "slice"),
    "channel_shuffle",
)


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """A layer with what surrounds it; sides and channels as log2.

    Attributes:
        kind, kernel, stride: of the layer.
        channels, side_in, side_out: of its input and output maps.
        depth: share of the net that lies before it.
    """

    kind: str
    kernel: int
    stride: int
    channels: float
    side_in: float
    side_out: float
    depth: float


def places_of(net: Architecture) -> list[LayerPlace]:
    """All layers but activations, in order."""
    indices = [i for i, layer in enumerate(net.layers) if layer.kind not in ACTIVATIONS]
    found = []
    for position, index in enumerate(indices):
        layer, out = net.layers[index], net.shapes[index]
        found.append(
            LayerPlace(
                layer.kind,
                layer.kernel,
                layer.stride,
                math.log2(out[0]),
                math.log2(_side(net.input_shapes(index)[0])),
                math.log2(_side(out)),
                position / len(indices),
            )
        )
    return found


def _side(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) == 3 else 1


def describe_positions(nets: Sequence[Architecture]) -> Array:
    """Numbers that say which layers lie where, `B x F`."""
    return np.array([_describe(net) for net in nets], dtype=np.float64)


def _describe(net: Architecture) -> list[float]:
    places = places_of(net)
    convs = [i for i, place in enumerate(places) if place.kind in ("conv", "depthwise")]
    pools = [i for i, place in enumerate(places) if place.kind in ("max_pool", "average_pool")]
    return [
        *_of_stages([places[i] for i in convs], math.log2(net.input_shape[1])),
        *_of_convolutions([places[i] for i in convs]),
        *_of_pools(places, convs, pools),
        *_of_reach(places),
        *_of_weights(net),
        *_of_end(net, places, convs, pools),
    ]


def _of_stages(convs: Sequence[LayerPlace], side: float) -> list[float]:
    """Number, width and kernels of the convolutions at each resolution."""
    values = []
    for stage in range(STAGES):
        here = [c for c in convs if math.floor(side - c.side_in + 1e-9) == stage]
        values += [
            len(here),
            sum(c.channels for c in here),
            max((c.channels for c in here), default=0.0),
            sum(c.kernel > 1 for c in here),
            sum(c.kernel - 1 for c in here),
        ]
    return values


def _of_convolutions(convs: Sequence[LayerPlace]) -> list[float]:
    kernels, widths = [c.kernel for c in convs] or [0], [c.channels for c in convs] or [0.0]
    count = max(len(convs), 1)
    return [
        kernels.count(1),
        kernels.count(3),
        sum(kernel >= 5 for kernel in kernels),
        kernels[0],
        kernels[-1],
        sum(after < before for before, after in pairwise(widths)),
        min(widths[1:] or widths),
        sum(c.side_in for c in convs) / count,
        sum(c.side_out for c in convs if c.kernel > 1),
    ]


def _of_pools(places: Sequence[LayerPlace], convs: list[int], pools: list[int]) -> list[float]:
    before = [sum(c < p for c in convs) for p in [*pools, *[len(places)] * POOLS][:POOLS]]
    return [
        len(pools),
        *before,
        *(number / max(len(convs), 1) for number in before),
        max((places[p].kernel for p in pools), default=0),
        sum(places[p].kernel for p in pools),
        sum(math.log2(max(places[p].stride, 1)) for p in pools),
    ]


def _of_reach(places: Sequence[LayerPlace]) -> list[float]:
    """Pixels that one value sees, at the first pool and at the end, and the step between values."""
    reach, step, at_pool = 1, 1, 0.0
    for place in places:
        if place.kernel:
            reach += (place.kernel - 1) * step
            step *= max(place.stride, 1)
        if "pool" in place.kind and not at_pool:
            at_pool = math.log2(reach)
    return [math.log2(reach), reach, at_pool or math.log2(reach), step]


def _of_weights(net: Architecture) -> list[float]:
    """Logs of parameters and multiply-adds of the convolutions."""
    convs = [i for i, layer in enumerate(net.layers) if layer.kind in ("conv", "depthwise")]
    wide = [i for i in convs if net.layers[i].kernel > 1]
    weights = [net.layer_parameters[i] for i in convs] or [1]
    return [
        math.log1p(sum(net.layer_macs[i] for i in wide)),
        math.log1p(sum(net.layer_parameters[i] for i in wide)),
        math.log(min(weights)),
        math.log(max(weights)),
        math.log(sum(weights)),
        sum(map(math.log, weights)) / len(weights),
    ]


def _of_end(
    net: Architecture, places: Sequence[LayerPlace], convs: list[int], pools: list[int]
) -> list[float]:
    """The linear layers, the dropout, and the convolutions behind the last pool."""
    linear = [i for i, place in enumerate(places) if place.kind == "linear"]
    last_layer = len(net.layers) - 1  # for nets that end in a mean over maps
    first = next((i for i, layer in enumerate(net.layers) if layer.kind == "linear"), last_layer)
    dropouts = [i for i, place in enumerate(places) if place.kind == "dropout"]
    last = convs[-1] if convs else 0
    return [
        len(linear),
        places[linear[0]].channels if len(linear) > 1 else 0.0,
        places[linear[0]].side_in if linear else 1.0,
        math.log2(math.prod(net.input_shapes(first)[0])),
        len(dropouts),
        sum(i > last for i in dropouts),
        places[last].channels,
        places[last].side_in,
        sum(c > pools[-1] for c in convs) if pools else len(convs),
    ]


def layer_sums(nets: Sequence[Architecture]) -> Array:
    """Sums over the layers of random Fourier features of each, `B x (kinds * WAVES)`.

    Nets with alike layers in alike places get alike sums, whatever their lengths: the scalar
    product is a kernel that compares every layer of one net with every layer of the other.

    Source:
        Rahimi and Recht 2007, for the features; the sum as in kernels over sets.
    """
    rng = np.random.default_rng(SEED)
    kinds = TOLD_KINDS
    frequencies = rng.normal(scale=0.5, size=(len(kinds), 4, WAVES))
    phases = rng.uniform(0, 2 * np.pi, size=(len(kinds), WAVES))
    sums = np.zeros((len(nets), len(kinds), WAVES))
    for row, net in zip(sums, nets, strict=True):
        for place in places_of(net):
            if place.kind not in kinds:
                continue
            kind = kinds.index(place.kind)
            numbers = np.array([place.kernel / 2, place.channels, place.side_in, 3 * place.depth])
            row[kind] += np.cos(numbers @ frequencies[kind] + phases[kind])
    return sums.reshape(len(nets), -1)
