"""Factors and summands that forward multiplies by and adds by itself. See `operations`."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError, format_shape
from archpress.reading.operations_weights import holder, weighted
from archpress.reading.pointwise import pointwise
from archpress.reading.traced_values import Pointwise, Step, Value, Weight, options

_NORMS = ("group_norm", "layer_norm")
_EPS = 1e-5  # of a batch norm
_FIXED = Layer("batch_norm", options=(("affine", False),))


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
    if not is_whole or aligned != wanted:
        raise RuleError(
            f"joins a tensor with weights of {format_shape(shape)}: one a channel of a map"
        )
    return replace(weight, value=weight.value.reshape(channels))


def _parameter(kind: str, x: Any, weight: Weight, *, per_channel: bool) -> Step:  # noqa: ANN401
    """A tensor by which values are multiplied, or which is added to them."""
    name = "weight" if kind == "gain" else "bias"
    layer = Layer(kind, options=options(per_channel=per_channel))
    return Step(layer, (x,), path=weight.path, weights=((name, weight),))


def scaled(x: Value | Pointwise, weight: Weight) -> object:
    """One factor for all, a number or learned; or one a channel, a norm's or a layer's."""
    base = x.x if isinstance(x, Pointwise) else x
    if weight.value.numel() == 1 and not weight.learned:
        return pointwise("multiply", torch.mul, x, weight.value.item())
    if weight.value.numel() == 1 and base.shape[0] > 1:
        return _parameter("gain", x, weight, per_channel=False)
    factors = channel_weights(base, weight)
    fixed = _fixed(x, factors.value, torch.zeros(())) if not weight.learned else None
    if fixed is not None:
        return replace(fixed, path=weight.path)
    made = x.made if isinstance(x, Value) else None
    if made is not None and made.layer.kind in _NORMS and not made.layer.option("affine"):
        zeros = Weight("", torch.zeros_like(factors.value))
        found = tuple(pair for pair in made.layer.options if pair[0] != "affine")
        layer, given = replace(made.layer, options=found), (("weight", factors), ("bias", zeros))
        return replace(made, layer=layer, weights=given, path=holder(factors))
    if len(base.shape) != 3 or base.flat:
        return _parameter("gain", x, factors, per_channel=True)
    return weighted(Layer("depthwise", 1, 0, 1, 0, bias_free=True), x, weight=factors)


def _fixed(x: Value | Pointwise, factor: Tensor, summand: Tensor) -> Step | None:
    """Factors and summands that are not learned: statistics of a batch norm without weights.

    Two of these in a row, as `(x - mean) / std`, are one.
    """
    made = x.made if isinstance(x, Value) else None
    channels = x.shape[0]
    if made is not None and made.layer == _FIXED and not dict(made.weights)["running_mean"].path:
        before = dict(made.weights)
        inner: tuple[Any, ...] = made.reads
        old = (before["running_var"].value + _EPS).rsqrt()
        factor, summand = old * factor, summand - before["running_mean"].value * old * factor
    else:
        inner = (x,)
    variance = factor.expand(channels).double() ** -2 - _EPS
    if bool((factor <= 0).any()) or bool((variance < 0).any()):
        return None
    mean = -summand.expand(channels) / factor
    weights = (("running_mean", Weight("", mean)), ("running_var", Weight("", variance.float())))
    return Step(_FIXED, inner, weights=weights)


def _has_no_summands(made: Step) -> bool:
    """Whether a norm's are zeros that were made up for it."""
    bias = dict(made.weights).get("bias")
    return bias is not None and not bias.path and not bool(bias.value.any())


def shifted(x: Value | Pointwise | Step, weight: Weight, like: object = None) -> object:
    """One summand for all; one a channel: a bias of the layer before, or a layer's.

    Args:
        x: what it is added to.
        weight: summands.
        like: a tensor that lies as `x` does, where that is a step.
    """
    like = x if like is None else like
    base = like.x if isinstance(like, Pointwise) else like
    assert isinstance(base, Value)
    if weight.value.numel() == 1 and not weight.learned and not isinstance(x, Step):
        return pointwise("add", torch.add, x, weight.value.item())
    if weight.value.numel() == 1 and base.shape[0] > 1:
        return _parameter("offset", x, weight, per_channel=False)
    bias = channel_weights(base, weight)
    made = x.made if isinstance(x, Value) else None
    takes_it = made is not None and made.layer.bias_free and dict(made.weights).keys() == {"weight"}
    if not weight.learned and not takes_it and not isinstance(x, Step):
        fixed = _fixed(x, torch.ones(()), bias.value)
        if fixed is not None:
            return replace(fixed, path=weight.path)
    if made is not None and made.layer.kind in _NORMS and _has_no_summands(made):
        return replace(made, weights=(*made.weights[:-1], ("bias", bias)))
    if made is None or not takes_it:
        return _parameter("offset", x, bias, per_channel=True)
    return replace(
        made, layer=replace(made.layer, bias_free=False), weights=(*made.weights, ("bias", bias))
    )
