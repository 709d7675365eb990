"""The operations of PyTorch that are layers: what `tracing` understands, as two open tables.

`MODULES` has a module's class -> how to take it, called with the module and its inputs.
`FUNCTIONS` has a function, or the name of a tensor's method -> how to take it, called as the
operation itself is. Tensors arrive as `Value`s. The result is a `Step` (a layer), or one of the
values (an operation that no layer could see, as a flatten), or whatever else forward computes with
(a size). What no layer can stand for raises `RuleError`, which says the way round.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import isclose
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from archpress.architecture.kinds import ACTIVATIONS, KINDS
from archpress.architecture.layers import OPTIONS, Layer
from archpress.architecture.operations_shapes import (
    attribute,
    chunk,
    flatten,
    item,
    permute,
    same,
    size,
    split,
    transpose,
    unsqueeze,
    view,
    whole_again,
)
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import (
    BATCH,
    Pending,
    Step,
    Value,
    Weight,
    need,
    options,
    plain,
    side,
    windowed,
)

Handler = Callable[..., object]


# --- layers with weights: modules alone ----------------------------------------------------------


def _conv(module: nn.Conv2d, x: Value) -> Step:
    need(x.is_map and x.shape[0] == module.in_channels, f"{module.in_channels} channels", x)
    plain("padding_mode", module.padding_mode, "zeros", "pad with zeros")
    dilation = side("dilation", module.dilation)
    padding: object = module.padding
    if padding == "valid":
        padding = 0
    elif padding == "same":
        reach = [dilation * (kernel - 1) for kernel in module.kernel_size]
        if any(extent % 2 for extent in reach):
            raise RuleError("has padding='same' for an even kernel: pad by numbers")
        padding = tuple(extent // 2 for extent in reach)
    depthwise = module.groups == module.in_channels == module.out_channels != 1
    layer = windowed(
        "depthwise" if depthwise else "conv",
        module.kernel_size,
        module.stride,
        padding,
        channels=0 if depthwise else module.out_channels,
        bias_free=module.bias is None,
        dilation=dilation,
        groups=1 if depthwise else module.groups,
    )
    return Step(layer, (x,))


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, x: Value) -> Step:
    fits = x.is_map is isinstance(module, nn.BatchNorm2d)
    fits = fits and x.sizes[1] == x.shape[0] == module.num_features
    need(fits, f"{module.num_features} channels", x)
    plain("track_running_stats", module.track_running_stats, True, "keep its statistics")
    found = options(eps=float(module.eps), affine=bool(module.affine))
    return Step(Layer("batch_norm", options=found), (x,))


def _group_norm(module: nn.GroupNorm, x: Value) -> Step:
    fits = not x.channels_last and x.sizes[1] == x.shape[0] == module.num_channels
    need(fits, f"{module.num_channels} channels", x)
    found = options(eps=float(module.eps), affine=bool(module.affine), groups=module.num_groups)
    return Step(Layer("group_norm", options=found), (x,))


def _layer_norm(module: nn.LayerNorm, x: Value) -> Step:
    if module.elementwise_affine and module.bias is None:
        raise RuleError("has no bias: keep it")
    return _normed(x, module.normalized_shape, module.eps, affine=module.elementwise_affine)


def _normed(x: Value, shape: Sequence[int], eps: float, *, affine: bool, path: str = "") -> Step:
    channels = tuple(shape)
    is_over_channels = x.sizes[-1:] == channels and x.shape[0] == channels[0]
    if not is_over_channels or (x.is_map and len(x.shape) == 3):
        raise RuleError(
            f"is over {'x'.join(map(str, channels))} values: norm the channels of each pixel, "
            "turned to B x H x W x C, or of a vector"
        )
    found = options(eps=float(eps), affine=affine)
    return Step(Layer("layer_norm", options=found), (x,), path=path)


def _layer_norm_function(
    x: Value,
    normalized_shape: Sequence[int],
    weight: Weight | None = None,
    bias: Weight | None = None,
    eps: float = 1e-5,
) -> Step:
    if (weight is None) is not (bias is None):
        raise RuleError("has a weight or a bias alone: keep both")
    owners = {one.path.rpartition(".")[0] for one in (weight, bias) if one is not None}
    names = [one.path.rpartition(".")[2] for one in (weight, bias) if one is not None]
    if len(owners) > 1 or names not in ([], ["weight", "bias"]):
        raise RuleError("has weights that are not called weight and bias: hold it in LayerNorm")
    owner = next(iter(owners), "")
    return _normed(x, normalized_shape, eps, affine=weight is not None, path=owner)


def _linear(module: nn.Linear, x: Value) -> Step:
    features, bias_free = module.in_features, module.bias is None
    if x.channels_last and x.sizes[-1] == features:  # at each pixel: a convolution of 1x1
        layer = Layer("conv", 1, module.out_features, 1, 0, bias_free=bias_free)
        return Step(layer, (x,))
    need(x.sizes == (BATCH, features), f"{BATCH} x {features} (flattened)", x)
    layer = Layer("linear", channels=module.out_features, bias_free=bias_free)
    return Step(layer, (x,))


# --- pools ---------------------------------------------------------------------------------------


def _pool(
    kind: str,
    x: Value,
    kernel_size: object,
    stride: object,
    padding: object,
    **more: Any,  # noqa: ANN401 options of the layer
) -> Step:
    need(x.is_map, "a map of B x C x H x W", x)
    return Step(windowed(kind, kernel_size, stride or kernel_size, padding, **more), (x,))


def _max_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Step:
    plain("return_indices", return_indices, False, "return the values alone")
    step = side("dilation", dilation)
    return _pool(
        "max_pool", x, kernel_size, stride, padding, dilation=step, ceil_mode=bool(ceil_mode)
    )


def _average_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Step:
    plain("divisor_override", divisor_override, None, "divide by the window")
    counted = bool(count_include_pad) or (padding in (0, (0, 0)) and not ceil_mode)
    return _pool(
        "average_pool",
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode=bool(ceil_mode),
        count_include_pad=counted,
    )


def _adaptive_pool(kind: str, x: Value, output_size: Any) -> Step | Value:  # noqa: ANN401
    """A pool whose windows are all alike, which they are where the sides divide."""
    need(x.is_map, "a map of B x C x H x W", x)
    given = list(output_size) if isinstance(output_size, tuple | list) else [output_size] * 2
    sides = x.shape[1:]
    wanted = [side if size is None else size for side, size in zip(sides, given, strict=True)]
    if wanted == list(sides) and wanted != [1, 1]:
        return x  # each window is one pixel
    if wanted == [1, 1] and kind == "average_pool":
        return Step(Layer("global_average_pool"), (x,))
    if any(side % size for side, size in zip(sides, wanted, strict=True)):
        raise RuleError(
            f"has output_size={output_size!r} for a map of {sides[0]}x{sides[1]}, whose sides it "
            "does not divide: use another, or a pool with a kernel"
        )
    kernel = tuple(side // size for side, size in zip(sides, wanted, strict=True))
    return _pool(kind, x, kernel, kernel, 0)


def _adaptive_max_pool(x: Value, output_size: object, return_indices: bool = False) -> Step | Value:
    plain("return_indices", return_indices, False, "return the values alone")
    return _adaptive_pool("max_pool", x, output_size)


def _mean(x: Value, dim: object = None, keepdim: bool = False) -> object:
    """Over height and width, at once or one after the other."""
    axes = dim if isinstance(dim, Sequence) else [dim]
    spatial = {1, 2} if x.channels_last else {2, 3}
    is_map = x.is_map or x.channels_last
    if not is_map or {axis % 4 if type(axis) is int else axis for axis in axes} != spatial:
        raise RuleError(f"is over dim={dim!r}: take it over height and width, (2, 3), at once")
    return Step(Layer("global_average_pool"), (x,), flat=not keepdim)


# --- element by element, and joins ---------------------------------------------------------------


def _activation(kind: str, x: Value | Pending, *given: Any, **named: Any) -> object:  # noqa: ANN401
    if isinstance(x, Pending):
        return _clipped(x, is_relu6=kind == "relu6")
    found: dict[str, object] = {}
    for name in KINDS[kind].options:  # one at most
        value = given[0] if given else named.get(name, OPTIONS[name])
        found[name] = type(OPTIONS[name])(value)
    return Step(Layer(kind, options=options(**found)), (x,))


def _activation_module(kind: str, module: nn.Module, x: Value) -> object:
    return _activation(kind, x, **{name: getattr(module, name) for name in KINDS[kind].options})


def _between(
    x: Value | Pending, min: float = -1.0, max: float = 1.0, *, inplace: bool = False
) -> object:
    """Cut off below and above."""
    if (min, max) != (0, 6):
        raise RuleError(f"is between {min} and {max}: use ReLU6, or Tanh")
    return _activation("relu6", x)


# `relu6(x + 3) / 6` is a hard sigmoid, `x * relu6(x + 3) / 6` a hard swish; they are often written
# so, and no layer could stand for the single steps.


def _clipped(pending: Pending, *, is_relu6: bool) -> Pending:
    if pending.state != "plus 3" or not is_relu6:
        raise RuleError(f"reads a tensor {pending.state}, of which no layer knows: use Hardsigmoid")
    return Pending(pending.x, "clipped")


def _divide(x: object, other: object) -> Step:
    if not isinstance(x, Pending) or x.state == "plus 3" or other != 6:
        raise RuleError(f"divides by {other!r}: only as in relu6(x + 3) / 6")
    kind = "hardsigmoid" if x.state == "clipped" else "hardswish"
    return Step(Layer(kind), (x.x,))


def _dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Step:
    return Step(Layer("dropout", rate=p), (x,))


def _joined(kind: str, values: Sequence[object]) -> Step:
    reads = tuple(value for value in values if isinstance(value, Value))
    if len(reads) < len(values):
        raise RuleError("joins a tensor with what is no layer's output: use layers alone")
    forms = {(value.flat, value.channels_last) for value in reads if not value.pixel}
    pixels = {value.pixel for value in reads}
    alike = len(forms) <= 1 and (len(pixels) == 1 or kind == "multiply")
    if not alike or any(value.groups for value in reads):
        raise RuleError("joins a map and a flattened or turned tensor: flatten both or none")
    return Step(Layer(kind), reads)


def _add(x: object, other: object, *, alpha: object = 1) -> object:
    plain("alpha", alpha, 1, "add without a factor")
    for one, two in ((x, other), (other, x)):
        if isinstance(one, Value) and isinstance(two, int | float):
            if two == 0:  # `sum` begins with it
                return one
            if two == 3:
                return Pending(one, "plus 3")
    return _joined("add", (x, other))


def _multiply(x: object, other: object) -> object:
    """Two outputs, or an output and one weight a channel, which is a 1x1 depthwise convolution."""
    for value, factor in ((x, other), (other, x)):
        if isinstance(value, Value) and isinstance(factor, Weight):
            return _scaled(value, factor)
        if isinstance(factor, Pending) and factor.state == "clipped" and value == factor.x:
            return Pending(factor.x, "times x")
        if isinstance(value, Pending) and isinstance(factor, float) and isclose(factor, 1 / 6):
            return _divide(value, 6)
    if isinstance(x, Value) and isinstance(other, Value) and _is_gate(x) and not _is_gate(other):
        x, other = other, x
    return _joined("multiply", (x, other))


def _is_gate(value: Value) -> bool:
    return value.pixel or (len(value.shape) == 3 and value.shape[1:] == (1, 1))


def _scaled(x: Value, weight: Weight) -> Step:
    channels = x.shape[0]
    shapes = [(channels,)] if x.channels_last else [(channels, 1, 1), (1, channels, 1, 1)]
    if len(x.shape) != 3 or x.flat or weight.shape not in shapes:
        raise RuleError(
            f"multiplies by weights of {'x'.join(map(str, weight.shape))}: one a channel of a map"
        )
    return Step(Layer("depthwise", 1, 0, 1, 0, bias_free=True), (x,), path=weight.path)


def _concatenate(tensors: Sequence[Value], dim: int = 0, axis: int | None = None) -> object:
    step = _joined("concat", tensors)
    dim = dim if axis is None else axis
    if dim % len(tensors[0].sizes) != 1 or tensors[0].channels_last:
        raise RuleError(f"is along dim={dim}: concatenate along channels, dim 1")
    return step if len(tensors) > 1 else tensors[0]


# --- the tables ----------------------------------------------------------------------------------

MODULES: dict[type[nn.Module], Handler] = {
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Linear: _linear,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.ChannelShuffle: lambda m, x: whole_again(replace(x, groups=m.groups, shuffled=True)),
    nn.MaxPool2d: lambda m, x: _max_pool(
        x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    ),
    nn.AvgPool2d: lambda m, x: _average_pool(
        x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    ),
    nn.AdaptiveAvgPool2d: lambda m, x: _adaptive_pool("average_pool", x, m.output_size),
    nn.AdaptiveMaxPool2d: lambda m, x: _adaptive_pool("max_pool", x, m.output_size),
    nn.Hardtanh: lambda m, x: _between(x, m.min_val, m.max_val),
    nn.Dropout: lambda m, x: _dropout(x, m.p),
    nn.Dropout2d: lambda m, x: _dropout(x, m.p),
    nn.Flatten: lambda m, x: flatten(x, m.start_dim, m.end_dim),
    nn.Identity: lambda m, x: x,
}
FUNCTIONS: dict[object, Handler] = {
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.adaptive_avg_pool2d: partial(_adaptive_pool, "average_pool"),
    F.adaptive_max_pool2d: _adaptive_max_pool,
    F.layer_norm: _layer_norm_function,
    F.hardtanh: lambda x, min_val=-1.0, max_val=1.0, inplace=False: _between(x, min_val, max_val),
    torch.clamp: _between,
    torch.div: _divide,
    operator.truediv: _divide,
    F.dropout: _dropout,
    F.dropout2d: _dropout,
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    operator.mul: _multiply,
    operator.imul: _multiply,
    torch.mul: _multiply,
    torch.chunk: chunk,
    torch.split: split,
    torch.permute: permute,
    torch.transpose: transpose,
    torch.cat: _concatenate,
    torch.concat: _concatenate,
    torch.flatten: flatten,
    torch.mean: _mean,
    getattr: attribute,
    operator.getitem: item,
    "add": _add,
    "add_": _add,
    "mul": _multiply,
    "mul_": _multiply,
    "clamp": _between,
    "div": _divide,
    "chunk": chunk,
    "split": split,
    "permute": permute,
    "transpose": transpose,
    "flatten": flatten,
    "mean": _mean,
    "view": view,
    "reshape": view,
    "size": size,
    "unsqueeze": unsqueeze,
    torch.unsqueeze: unsqueeze,
    "expand_as": same,
    "contiguous": same,
    "stochastic_depth": same,  # of torchvision, which fx does not look into; nothing in evaluation
}


def _enter_activation(kind: str) -> None:
    """By its module in the table of kinds, and under the same name in torch and as a method."""
    call = KINDS[kind].module(Layer(kind), (1, 1, 1))
    if call is not None:
        MODULES[getattr(nn, call.name)] = partial(_activation_module, kind)
    for name in (kind, f"{kind}_"):
        FUNCTIONS[name] = partial(_activation, kind)
        for home in (torch, F):
            if hasattr(home, name):
                FUNCTIONS[getattr(home, name)] = partial(_activation, kind)


for _kind in ACTIVATIONS:
    _enter_activation(_kind)
