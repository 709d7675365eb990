"""Layers whose weights forward uses by themselves, as `F.conv2d(x, weight)`. See `operations`."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from archpress.architecture.layers import SIDES, Layer
from archpress.architecture.shape_rules import RuleError, format_shape
from archpress.reading.traced_values import (
    BATCH,
    Pointwise,
    Step,
    Value,
    Weight,
    need,
    one_of,
    options,
    pair,
    plain,
    side,
    windowed,
)


def weighted(
    layer: Layer, x: Value | Pointwise, flat: bool | None = None, **weights: Weight | None
) -> Step:
    """A layer with these weights, named by the module that holds the first of them."""
    given = tuple((name, weight) for name, weight in weights.items() if weight is not None)
    for name, weight in given:
        if not isinstance(weight, Weight):
            raise RuleError(f"has a {name} that is worked out of the image: use one of its own")
    return Step(layer, (x,), flat, path=holder(given[0][1]) if given else "", weights=given)


def holder(weight: Weight) -> str:
    """The path of the module that has it as its weight, else its own."""
    owner, _, name = weight.path.rpartition(".")
    return owner if owner and name == "weight" else weight.path


def without_padding(x: Value, padding: object) -> tuple[Value, object]:
    """What a convolution reads, with the zeros around it as padding of its own."""
    made = x.made
    if made is None or made.layer.kind != "pad" or isinstance(padding, str):
        return x, padding
    left, right, above, below = (int(made.layer.option(side)) for side in SIDES)
    is_even = (left, above) == (right, below) and min(left, above) >= 0
    if not is_even or made.layer.option("mode") != "zeros":
        return x, padding
    height, width = pair("padding", padding)
    (inner,) = made.reads
    assert isinstance(inner, Value)
    return inner, (height + above, width + left)


def convolved(
    x: Value,
    shape: Sequence[int],
    stride: object,
    padding: object,
    dilation: object,
    groups: int,
    *,
    bias_free: bool,
) -> Layer:
    """The layer of a convolution whose weights have this shape, `out x in / groups x H x W`."""
    channels = shape[1] * groups
    need(x.is_map and x.shape[0] == channels, f"{channels} channels", x)
    step = side("dilation", dilation)
    if padding == "valid":
        padding = 0
    elif padding == "same":
        reach = [step * (kernel - 1) for kernel in shape[2:]]
        if any(extent % 2 for extent in reach):
            raise RuleError("has padding='same' for an even kernel: pad by numbers")
        padding = tuple(extent // 2 for extent in reach)
    depthwise = groups == channels == shape[0] != 1
    return windowed(
        "depthwise" if depthwise else "conv",
        tuple(shape[2:]),
        stride,
        padding,
        channels=0 if depthwise else shape[0],
        bias_free=bias_free,
        dilation=step,
        groups=1 if depthwise else groups,
    )


def conv(
    x: Value,
    weight: Weight,
    bias: Weight | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> Step:
    """`F.conv2d`."""
    _own(weight)
    if not weight.learned and bias is None:
        blurred = _blurred(x, weight, stride, padding, dilation, groups)
        if blurred is not None:
            return blurred
    x, padding = without_padding(x, padding)
    layer = convolved(x, weight.shape, stride, padding, dilation, groups, bias_free=bias is None)
    return weighted(layer, x, weight=weight, bias=bias)


def conv_over_channels(
    x: Value,
    weight: Weight,
    bias: Weight | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> Step:
    """`F.conv1d` along the channels of one pixel, which stand in a row."""
    _own(weight)
    (kernel,) = weight.shape[2:]
    around = kernel // 2 if padding == "same" else padding
    given = (weight.shape[:2], kernel % 2, *(one_of(n) for n in (stride, around, dilation)), groups)
    if not x.row or given != ((1, 1), 1, 1, kernel // 2, 1, 1):
        raise RuleError(
            "is along one axis: only along channels in a row, B x 1 x C, with padding to keep them"
        )
    layer = Layer("channel_conv", bias_free=bias is None, options=options(size=kernel))
    return weighted(layer, x, weight=weight, bias=bias)


def _blurred(
    x: Value, weight: Weight, stride: object, padding: object, dilation: object, groups: int
) -> Step | None:
    """A fixed filter of binomial weights, as blur pools have it: means of 2x2 in a row."""
    channels, _, kernel, width = weight.shape
    is_alone = groups == channels == x.shape[0] and kernel == width > 1 and weight.shape[1] == 1
    if not is_alone or pair("dilation", dilation) != (1, 1) or isinstance(padding, str):
        return None
    row = torch.tensor([math.comb(kernel - 1, at) for at in range(kernel)]) / 2.0 ** (kernel - 1)
    if not torch.allclose(weight.value, torch.outer(row, row).expand_as(weight.value)):
        return None
    height, wide = pair("padding", padding)
    result: Value | Step = x
    if height or wide:
        sides = options(above=height, below=height, left=wide, right=wide)
        result = Step(Layer("pad", options=sides), (x,))
    for _ in range(kernel - 2):
        result = Step(windowed("average_pool", 2, 1, 0), (result,))
    return Step(windowed("average_pool", 2, stride, 0), (result,))


def linear(x: Value, weight: Weight, bias: Weight | None = None) -> Step:
    """`F.linear`; at each pixel it is a convolution of 1x1."""
    _own(weight)
    layer = linear_layer(x, weight.shape, bias_free=bias is None)
    if x.flat and x.channels_last:
        weight = replace(weight, value=_channels_first(weight.value, x))
    return weighted(layer, x, weight=weight, bias=bias)


def _channels_first(weight: Tensor, x: Value) -> Tensor:
    """Weights of what reads a map that was flattened when it was turned, for the map as it lies."""
    channels, height, width = x.shape
    return weight.reshape(-1, height, width, channels).permute(0, 3, 1, 2).flatten(1)


def addmm(bias: Weight, x: Value, weight: Weight, *, beta: float = 1, alpha: float = 1) -> Step:
    """`torch.addmm`."""
    plain("beta", beta, 1, "leave it out")
    plain("alpha", alpha, 1, "leave it out")
    return linear(x, turned(weight), bias)


def matrix_product(x: object, weight: object) -> Step:
    """An output times weights, which is a linear layer."""
    if not isinstance(x, Value) or not isinstance(weight, Weight):
        raise RuleError("multiplies two tensors as matrices: no layer does, as attention is none")
    return linear(x, turned(weight))


def turned(weight: object) -> Weight:
    """Weights `in x out` as `out x in`."""
    if not isinstance(weight, Weight) or weight.value.dim() != 2:
        raise RuleError("multiplies by what is no matrix of weights: use a linear layer")
    return replace(weight, value=weight.value.t())


def linear_layer(x: Value, shape: Sequence[int], *, bias_free: bool) -> Layer:
    """The layer of a linear map whose weights have this shape, `out x in`."""
    if x.channels_last and not x.flat and x.sizes[-1] == shape[1]:
        return Layer("conv", 1, shape[0], 1, 0, bias_free=bias_free)
    need(x.sizes == (BATCH, shape[1]), f"{BATCH} x {shape[1]} (flattened)", x)
    return Layer("linear", channels=shape[0], bias_free=bias_free)


def batch_norm(
    x: Value,
    running_mean: Weight | None,
    running_var: Weight | None,
    weight: Weight | None = None,
    bias: Weight | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Step:
    """`F.batch_norm`."""
    plain("training", bool(training), False, "export it, or call it, in evaluation")
    if running_mean is None or running_var is None:
        raise RuleError("has no running statistics: keep them")
    weight, bias = both(weight, bias)
    fits = x.is_map or len(x.sizes) == 2
    fits = fits and x.sizes[1] == x.shape[0] == running_mean.value.numel()
    need(fits, f"{running_mean.value.numel()} channels", x)
    found = options(eps=float(eps), affine=weight is not None)
    return weighted(
        Layer("batch_norm", options=found),
        x,
        weight=weight,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
    )


def instance_norm(
    x: Value,
    running_mean: Weight | None = None,
    running_var: Weight | None = None,
    weight: Weight | None = None,
    bias: Weight | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Step:
    """`F.instance_norm`: a group norm with a group a channel, or with statistics a batch norm."""
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    need(x.is_map, "a map of B x C x H x W", x)
    return group_norm(x, x.shape[0], weight, bias, eps)


def group_norm(
    x: Value,
    num_groups: int,
    weight: Weight | None = None,
    bias: Weight | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Step:
    """`F.group_norm`."""
    need(not x.channels_last and x.sizes[1] == x.shape[0], "channels at axis 1", x)
    weight, bias = both(weight, bias)
    found = options(eps=float(eps), affine=weight is not None, groups=num_groups)
    return weighted(Layer("group_norm", options=found), x, weight=weight, bias=bias)


def layer_norm(
    x: Value,
    normalized_shape: Sequence[int],
    weight: Weight | None = None,
    bias: Weight | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Step:
    """`F.layer_norm`."""
    weight, bias = both(weight, bias)
    layer = layer_norm_layer(x, normalized_shape, eps, affine=weight is not None)
    return weighted(layer, x, weight=weight, bias=bias)


def layer_norm_layer(x: Value, shape: Sequence[int], eps: float, *, affine: bool) -> Layer:
    """Over the channels of each pixel, or of a vector."""
    channels = tuple(shape)
    is_over_channels = x.sizes[-1:] == channels and x.shape[0] == channels[0]
    if not is_over_channels or (x.is_map and len(x.shape) == 3):
        raise RuleError(
            f"is over {format_shape(channels)} values: norm the channels of each pixel, "
            "turned to B x H x W x C, or of a vector"
        )
    return Layer("layer_norm", options=options(eps=float(eps), affine=affine))


def both(weight: Weight | None, bias: Weight | None) -> tuple[Weight | None, Weight | None]:
    """A norm's factors and summands: where one alone is there, the other is ones or zeros."""
    if weight is None and bias is not None:
        weight = Weight("", torch.ones_like(bias.value))
    if bias is None and weight is not None:
        bias = Weight("", torch.zeros_like(weight.value))
    return weight, bias


def _own(weight: object) -> None:
    if not isinstance(weight, Weight):
        raise RuleError("has weights that are worked out of the image: use weights of its own")
