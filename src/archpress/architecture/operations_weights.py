"""Layers whose weights forward uses by themselves, as `F.conv2d(x, weight)`. See `operations`."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import (
    BATCH,
    Step,
    Value,
    Weight,
    need,
    options,
    plain,
    side,
    windowed,
)

_NORMS = ("group_norm", "layer_norm")


def weighted(layer: Layer, x: Value, flat: bool | None = None, **weights: Weight | None) -> Step:
    """A layer with these weights, named by the module that holds the first of them."""
    given = tuple((name, weight) for name, weight in weights.items() if weight is not None)
    for name, weight in given:
        if not isinstance(weight, Weight):
            raise RuleError(f"has a {name} that is worked out of the image: use one of its own")
    return Step(layer, (x,), flat, path=_holder(given[0][1]) if given else "", weights=given)


def _holder(weight: Weight) -> str:
    """The path of the module that has it as its weight, else its own."""
    owner, _, name = weight.path.rpartition(".")
    return owner if owner and name == "weight" else weight.path


def channel_weights(x: Value, weight: Weight) -> Weight:
    """One weight a channel, as `B x C x H x W`, `B x H x W x C` or `B x F` are multiplied by.

    Raises:
        RuleError: they are shaped otherwise.
    """
    channels, shape = x.shape[0], weight.shape
    place = len(x.sizes) - 1 if x.channels_last else 1
    aligned = (1,) * (len(x.sizes) - len(shape)) + shape
    wanted = tuple(channels if axis == place else 1 for axis in range(len(x.sizes)))
    is_whole = not x.groups and not (x.flat and len(x.shape) == 3 and x.shape[1:] != (1, 1))
    if is_whole and weight.value.numel() == 1:
        return Weight(weight.path, weight.value.reshape(1).expand(channels))
    if not is_whole or aligned != wanted:
        raise RuleError(
            f"joins a tensor with weights of {'x'.join(map(str, shape))}: one a channel of a map"
        )
    return replace(weight, value=weight.value.reshape(channels))


def scaled(x: Value, weight: Weight) -> Step:
    """One factor a channel: a norm's that has none, or a 1x1 depthwise convolution."""
    made = x.made
    if made is not None and made.layer.kind in _NORMS and not made.layer.option("affine"):
        factors = channel_weights(x, weight)
        zeros = Weight("", torch.zeros_like(factors.value))
        found = tuple(pair for pair in made.layer.options if pair[0] != "affine")
        layer, given = replace(made.layer, options=found), (("weight", factors), ("bias", zeros))
        return replace(made, layer=layer, weights=given, path=_holder(factors))
    need(len(x.shape) == 3, "a map", x)
    factors = channel_weights(x, weight)
    return weighted(Layer("depthwise", 1, 0, 1, 0, bias_free=True), x, weight=factors)


def _has_no_summands(made: Step) -> bool:
    """Whether a norm's are zeros that were made up for it."""
    bias = dict(made.weights).get("bias")
    return bias is not None and not bias.path and not bool(bias.value.any())


def shifted(x: Value, weight: Weight) -> Step:
    """One summand a channel: a bias of the layer before, or a convolution of ones that has it."""
    bias = channel_weights(x, weight)
    made = x.made
    if made is not None and made.layer.kind in _NORMS and _has_no_summands(made):
        return replace(made, weights=(*made.weights[:-1], ("bias", bias)))
    if made is None or not made.layer.bias_free or dict(made.weights).keys() != {"weight"}:
        need(len(x.shape) == 3, "a map", x)
        ones = Weight("", torch.ones(x.shape[0]))
        layer = Layer("depthwise", 1, 0, 1, 0)
        return replace(weighted(layer, x, weight=ones, bias=bias), path=weight.path)
    return replace(
        made, layer=replace(made.layer, bias_free=False), weights=(*made.weights, ("bias", bias))
    )


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
    layer = convolved(x, weight.shape, stride, padding, dilation, groups, bias_free=bias is None)
    return weighted(layer, x, weight=weight, bias=bias)


def linear(x: Value, weight: Weight, bias: Weight | None = None) -> Step:
    """`F.linear`; at each pixel it is a convolution of 1x1."""
    _own(weight)
    return weighted(
        linear_layer(x, weight.shape, bias_free=bias is None), x, weight=weight, bias=bias
    )


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
    return Weight(weight.path, weight.value.t())


def linear_layer(x: Value, shape: Sequence[int], *, bias_free: bool) -> Layer:
    """The layer of a linear map whose weights have this shape, `out x in`."""
    if x.channels_last and x.sizes[-1] == shape[1]:
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
            f"is over {'x'.join(map(str, channels))} values: norm the channels of each pixel, "
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
