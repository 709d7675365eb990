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
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from archpress.architecture.kinds import ACTIVATIONS, KINDS
from archpress.architecture.layers import Layer
from archpress.architecture.operations_elementwise import (
    activation,
    activation_module,
    add,
    between,
    concatenate,
    divide,
    dropout,
    multiply,
)
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
    nn.Hardtanh: lambda m, x: between(x, m.min_val, m.max_val),
    nn.Dropout: lambda m, x: dropout(x, m.p),
    nn.Dropout2d: lambda m, x: dropout(x, m.p),
    nn.Flatten: lambda m, x: flatten(x, m.start_dim, m.end_dim),
    nn.Identity: lambda m, x: x,
}
FUNCTIONS: dict[object, Handler] = {
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.adaptive_avg_pool2d: partial(_adaptive_pool, "average_pool"),
    F.adaptive_max_pool2d: _adaptive_max_pool,
    F.layer_norm: _layer_norm_function,
    F.hardtanh: lambda x, min_val=-1.0, max_val=1.0, inplace=False: between(x, min_val, max_val),
    torch.clamp: between,
    torch.div: divide,
    operator.truediv: divide,
    F.dropout: dropout,
    F.dropout2d: dropout,
    operator.add: add,
    operator.iadd: add,
    torch.add: add,
    operator.mul: multiply,
    operator.imul: multiply,
    torch.mul: multiply,
    torch.chunk: chunk,
    torch.split: split,
    torch.permute: permute,
    torch.transpose: transpose,
    torch.cat: concatenate,
    torch.concat: concatenate,
    torch.flatten: flatten,
    torch.mean: _mean,
    getattr: attribute,
    operator.getitem: item,
    "add": add,
    "add_": add,
    "mul": multiply,
    "mul_": multiply,
    "clamp": between,
    "div": divide,
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
}
# By name, of libraries that need not be there: what their authors keep fx from looking into.
WRAPPED: dict[str, Handler] = {
    "stochastic_depth": same,  # of torchvision; nothing in evaluation
}


def _enter_activation(kind: str) -> None:
    """By its module in the table of kinds, and under the same name in torch and as a method."""
    call = KINDS[kind].module(Layer(kind), (1, 1, 1))
    if call is not None:
        MODULES[getattr(nn, call.name)] = partial(activation_module, kind)
    for name in (kind, f"{kind}_"):
        FUNCTIONS[name] = partial(activation, kind)
        for home in (torch, F):
            if hasattr(home, name):
                FUNCTIONS[getattr(home, name)] = partial(activation, kind)


for _kind in ACTIVATIONS:
    _enter_activation(_kind)
