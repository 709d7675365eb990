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
    function_of_one,
    hardtanh,
    multiply,
    power,
    subtract,
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
    squeeze,
    transpose,
    unsqueeze,
    view,
    whole_again,
)
from archpress.architecture.operations_weights import (
    addmm,
    batch_norm,
    conv,
    convolved,
    group_norm,
    layer_norm,
    layer_norm_layer,
    linear,
    linear_layer,
    matrix_product,
)
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import (
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
    layer = convolved(
        x,
        (module.out_channels, module.in_channels // module.groups, *module.kernel_size),
        module.stride,
        module.padding,
        module.dilation,
        module.groups,
        bias_free=module.bias is None,
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
        return layer_norm(x, module.normalized_shape, Weight("", module.weight), eps=module.eps)
    affine = module.elementwise_affine
    return Step(layer_norm_layer(x, module.normalized_shape, module.eps, affine=affine), (x,))


def _linear(module: nn.Linear, x: Value) -> Step:
    shape = (module.out_features, module.in_features)
    return Step(linear_layer(x, shape, bias_free=module.bias is None), (x,))


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


def max_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Step:
    """`F.max_pool2d`."""
    plain("return_indices", return_indices, False, "return the values alone")
    step = side("dilation", dilation)
    return _pool(
        "max_pool", x, kernel_size, stride, padding, dilation=step, ceil_mode=bool(ceil_mode)
    )


def average_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Step:
    """`F.avg_pool2d`; where there is no padding, it is counted."""
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


def adaptive_pool(kind: str, x: Value, output_size: Any) -> Step | Value:  # noqa: ANN401
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


def adaptive_max_pool(x: Value, output_size: object, return_indices: bool = False) -> Step | Value:
    """`F.adaptive_max_pool2d`."""
    plain("return_indices", return_indices, False, "return the values alone")
    return adaptive_pool("max_pool", x, output_size)


def mean(x: Value, dim: object = None, keepdim: bool = False) -> object:
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
    nn.MaxPool2d: lambda m, x: max_pool(
        x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    ),
    nn.AvgPool2d: lambda m, x: average_pool(
        x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    ),
    nn.AdaptiveAvgPool2d: lambda m, x: adaptive_pool("average_pool", x, m.output_size),
    nn.AdaptiveMaxPool2d: lambda m, x: adaptive_pool("max_pool", x, m.output_size),
    nn.Hardtanh: lambda m, x: between(x, m.min_val, m.max_val),
    nn.Dropout: lambda m, x: dropout(x, m.p),
    nn.Dropout2d: lambda m, x: dropout(x, m.p),
    nn.Flatten: lambda m, x: flatten(x, m.start_dim, m.end_dim),
    nn.Identity: lambda m, x: x,
}
FUNCTIONS: dict[object, Handler] = {
    F.max_pool2d: max_pool,
    F.avg_pool2d: average_pool,
    F.adaptive_avg_pool2d: partial(adaptive_pool, "average_pool"),
    F.adaptive_max_pool2d: adaptive_max_pool,
    F.conv2d: conv,
    torch.conv2d: conv,
    F.linear: linear,
    torch.addmm: addmm,
    torch.matmul: matrix_product,
    torch.mm: matrix_product,
    operator.matmul: matrix_product,
    "matmul": matrix_product,
    F.batch_norm: batch_norm,
    torch.batch_norm: lambda x, w, b, mean, var, *more: batch_norm(x, mean, var, w, b, *more[:3]),
    F.group_norm: group_norm,
    torch.group_norm: group_norm,
    F.layer_norm: layer_norm,
    torch.layer_norm: layer_norm,
    F.hardtanh: hardtanh,
    torch.clamp: between,
    torch.div: divide,
    operator.truediv: divide,
    operator.itruediv: divide,
    F.dropout: dropout,
    F.dropout2d: dropout,
    operator.add: add,
    operator.iadd: add,
    torch.add: add,
    operator.sub: subtract,
    operator.isub: subtract,
    torch.sub: subtract,
    operator.pow: power,
    torch.pow: power,
    torch.erf: partial(function_of_one, torch.erf),
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
    torch.mean: mean,
    getattr: attribute,
    operator.getitem: item,
    "add": add,
    "add_": add,
    "sub": subtract,
    "sub_": subtract,
    "pow": power,
    "erf": partial(function_of_one, torch.erf),
    "mul": multiply,
    "mul_": multiply,
    "clamp": between,
    "clamp_": between,
    "div": divide,
    "div_": divide,
    "chunk": chunk,
    "split": split,
    "permute": permute,
    "transpose": transpose,
    "flatten": flatten,
    "mean": mean,
    "view": view,
    "reshape": view,
    "size": size,
    "unsqueeze": unsqueeze,
    torch.unsqueeze: unsqueeze,
    "squeeze": squeeze,
    torch.squeeze: squeeze,
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
