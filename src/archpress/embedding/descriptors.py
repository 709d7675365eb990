"""A few exact numbers of an architecture that small nets' accuracy is known to hang on."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import ACTIVATIONS, KINDS, Architecture

WEIGHTED = ("conv", "depthwise", "linear")


def describe(architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    """Descriptors of each architecture, `B x F`, in natural units or logs of them."""
    return np.array([_describe(net) for net in architectures])


def _describe(net: Architecture) -> list[float]:
    kinds = [layer.kind for layer in net.layers]
    convs = [i for i, kind in enumerate(kinds) if kind in ("conv", "depthwise")]
    widths = [math.log(net.shapes[i][0]) for i in convs] or [0.0]
    head = len(net.layers) - 1
    head_shape = net.input_shapes(head)[0]
    sides = [shape[1] if len(shape) == 3 else 1 for shape in net.shapes]
    normed, active = _followed_by(net, ("batch_norm",)), _followed_by(net, ACTIVATIONS)
    return [
        math.log1p(net.parameters),
        math.log1p(net.macs),
        math.log1p(net.activations),
        math.log1p(net.peak_memory),
        *(float(kinds.count(kind)) for kind in _COUNTED),
        float(sum(kind in ACTIVATIONS for kind in kinds)),
        float(sum(KINDS[kind].joining.value != "none" for kind in kinds)),
        float(sum(layer.stride > 1 for layer in net.layers)),
        widths[0],
        widths[-1],
        min(widths),
        max(widths),
        sum(widths) / len(widths),
        math.log(math.prod(head_shape)),
        math.log1p(net.layer_parameters[head]),
        float(head_shape[1] if len(head_shape) == 3 else 1),
        normed,
        active,
        math.log(_narrowest(net)),
        math.log(_reach(net)),
        *(_stage_depth(convs, sides, net.input_shape[1], stage) for stage in range(3)),
        float(sum(net.layers[i].bias_free for i in convs)),
        float(_saturating(kinds)),
    ]


_COUNTED = (
    "conv",
    "depthwise",
    "linear",
    "batch_norm",
    "max_pool",
    "average_pool",
    "global_average_pool",
    "dropout",
)


def _followed_by(net: Architecture, kinds: Sequence[str]) -> float:
    """Share of weighted layers but the head with one of these kinds before the next weighted."""
    followed = total = 0
    waiting = False
    for layer in net.layers[:-1]:
        if layer.kind in WEIGHTED:
            total += 1
            waiting = True
        elif waiting and layer.kind in kinds:
            followed += 1
            waiting = False
    return followed / max(total, 1)


def _narrowest(net: Architecture) -> int:
    """Fewest values that any layer passes on: what comes after cannot know more."""
    return min(math.prod(shape) for shape in net.shapes)


def _reach(net: Architecture) -> float:
    """Side of the square of pixels that one value of the last map sees, up to two images."""
    reach, step = 1, 1
    for layer in net.layers:
        if layer.kernel:
            reach += (layer.kernel - 1) * step
            step *= layer.stride
    return float(min(reach, 2 * max(net.input_shape[1:])))


def _stage_depth(convs: list[int], sides: list[int], side: int, stage: int) -> float:
    """Convolutions whose output has between 1/2^stage and 1/2^(stage+1) of the image's side."""
    high, low = side / 2**stage, side / 2 ** (stage + 1)
    return float(sum(low < sides[i] <= high for i in convs))


def _saturating(kinds: list[str]) -> int:
    return sum(kind in ("sigmoid", "tanh") for kind in kinds)
