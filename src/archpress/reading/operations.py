"""The operations of PyTorch that are layers: what `tracing` understands, as two open tables.

`MODULES` has a module's class -> how to take it, called with the module and its inputs.
`FUNCTIONS` has a function, or the name of a tensor's method -> how to take it, called as the
operation itself is. Tensors arrive as `Value`s. The result is a `Step` (a layer), or one of the
values (an operation that no layer could see, as a flatten), or whatever else forward computes with
(a size). What no layer can stand for raises `RuleError`, which says the way round.
"""

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from archpress.architecture.frozen import Frozen, program_of
from archpress.architecture.kinds import ACTIVATIONS, KINDS
from archpress.architecture.layers import Layer
from archpress.reading.operations_elementwise import (
    activation,
    activation_module,
    add,
    between,
    concatenate,
    divide,
    dropout,
    dropout_called,
    function_of_one,
    gated_half,
    hardtanh,
    largest,
    multiply,
    negative,
    power,
    prelu,
    smallest,
    softmax,
    subtract,
)
from archpress.reading.operations_parts import (
    chunk,
    flip,
    item,
    pad,
    picked,
    select,
    split,
    stack,
    zeros,
    zeros_like,
)
from archpress.reading.operations_pools import (
    adaptive_max_pool,
    adaptive_pool,
    add_up,
    average_pool,
    local_norm,
    max_pool,
    maximum,
    mean,
    minimum,
    most,
    spread,
    upsample,
)
from archpress.reading.operations_shapes import (
    attribute,
    expand,
    flatten,
    permute,
    rank,
    repeat,
    same,
    size,
    squeeze,
    transpose,
    unsqueeze,
    view,
    whole_again,
)
from archpress.reading.operations_weights import (
    addmm,
    batch_norm,
    conv,
    conv_over_channels,
    convolved,
    group_norm,
    instance_norm,
    layer_norm,
    layer_norm_layer,
    linear,
    linear_layer,
    matrix_product,
    without_padding,
)
from archpress.reading.traced_values import (
    Step,
    Value,
    Weight,
    need,
    options,
    plain,
)

Handler = Callable[..., object]


# --- layers with weights: modules alone ----------------------------------------------------------


def _conv(module: nn.Conv2d, x: Value) -> Step:
    need(x.is_map and x.shape[0] == module.in_channels, f"{module.in_channels} channels", x)
    has_zeros = module.padding_mode == "zeros"
    inner, padding = without_padding(x, module.padding) if has_zeros else (x, module.padding)
    layer = convolved(
        inner,
        (module.out_channels, module.in_channels // module.groups, *module.kernel_size),
        module.stride,
        padding,
        module.dilation,
        module.groups,
        bias_free=module.bias is None,
    )
    if has_zeros:
        return Step(layer, (inner,))
    found = dict(layer.options)
    height = layer.padding
    width = int(found.pop("padding_width", height))
    around = pad(x, (width, width, height, height), module.padding_mode)
    bare = replace(layer, padding=0, options=tuple(found.items()))
    return Step(bare, (around,))


def _conv_over_channels(module: nn.Conv1d, x: Value) -> Step:
    plain("padding_mode", module.padding_mode, "zeros", "pad with zeros")
    bias = None if module.bias is None else Weight("", module.bias)
    step = conv_over_channels(
        x,
        Weight("", module.weight),
        bias,
        module.stride,
        module.padding,
        module.dilation,
        module.groups,
    )
    return replace(step, weights=())


def _instance_norm(module: nn.InstanceNorm2d, x: Value) -> Step:
    need(x.is_map and x.shape[0] > 1, "a map of several channels", x)
    if module.track_running_stats:
        return _batch_norm(module, x)
    found = options(eps=float(module.eps), affine=bool(module.affine), groups=x.shape[0])
    return Step(Layer("group_norm", options=found), (x,))


def _prelu(module: nn.PReLU, x: Value) -> Step:
    return replace(prelu(x, Weight("", module.weight)), weights=())


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d, x: Value) -> Step:
    fits = x.is_map is not isinstance(module, nn.BatchNorm1d)
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


def _softmax(module: nn.Softmax | nn.LogSoftmax, x: Value) -> Step:
    kind = "softmax" if isinstance(module, nn.Softmax) else "log_softmax"
    return softmax(kind, x, module.dim)


def _linear(module: nn.Linear, x: Value) -> Step:
    if x.flat and x.channels_last:  # its weights change places
        bias = None if module.bias is None else Weight("", module.bias)
        return linear(x, Weight("", module.weight), bias)
    shape = (module.out_features, module.in_features)
    return Step(linear_layer(x, shape, bias_free=module.bias is None), (x,))


def _frozen(module: Frozen, x: Value) -> Step:
    """A part that was read before."""
    need(x.is_plain, "a map or a vector", x)
    weights = ((name, Weight("", value)) for name, value in module.state_dict().items())
    layer = Layer("frozen", options=(("program", program_of(module)),))
    return Step(layer, (x,), flat=False, weights=tuple(weights))


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
    nn.Conv1d: _conv_over_channels,
    nn.InstanceNorm2d: _instance_norm,
    nn.LocalResponseNorm: lambda m, x: local_norm(x, m.size, m.alpha, m.beta, m.k),
    nn.PReLU: _prelu,
    nn.RReLU: lambda m, x: activation("leaky_relu", x, (m.lower + m.upper) / 2),
    nn.Softmax: _softmax,
    nn.LogSoftmax: _softmax,
    nn.Softmax2d: lambda m, x: softmax("softmax", x, 1),
    nn.GLU: lambda m, x: gated_half(x, m.dim),
    nn.Upsample: lambda m, x: upsample(x, m.size, m.scale_factor, m.mode, m.align_corners),
    nn.UpsamplingNearest2d: lambda m, x: upsample(x, m.size, m.scale_factor),
    nn.UpsamplingBilinear2d: lambda m, x: upsample(x, m.size, m.scale_factor, "bilinear", True),
    nn.Flatten: lambda m, x: flatten(x, m.start_dim, m.end_dim),
    nn.Identity: lambda m, x: x,
    Frozen: _frozen,
}
for _pads, _mode in (
    (nn.ZeroPad2d, "constant"),
    (nn.ReflectionPad2d, "reflect"),
    (nn.ReplicationPad2d, "replicate"),
    (nn.CircularPad2d, "circular"),
):
    MODULES[_pads] = lambda m, x, mode=_mode: pad(x, m.padding, mode)
MODULES[nn.ConstantPad2d] = lambda m, x: pad(x, m.padding, value=m.value)
for _dropout in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout):
    MODULES[_dropout] = lambda m, x: dropout(x, m.p)
FUNCTIONS: dict[object, Handler] = {
    F.max_pool2d: max_pool,
    F.avg_pool2d: average_pool,
    F.adaptive_avg_pool2d: partial(adaptive_pool, "average_pool"),
    F.adaptive_max_pool2d: adaptive_max_pool,
    F.interpolate: upsample,
    F.upsample: upsample,
    F.local_response_norm: local_norm,
    F.pad: pad,
    F.conv1d: conv_over_channels,
    torch.conv1d: conv_over_channels,
    F.conv2d: conv,
    torch.conv2d: conv,
    F.linear: linear,
    torch.addmm: addmm,
    torch.mm: matrix_product,
    operator.matmul: matrix_product,
    F.batch_norm: batch_norm,
    torch.batch_norm: lambda x, w, b, mean, var, *more: batch_norm(x, mean, var, w, b, *more[:3]),
    F.group_norm: group_norm,
    torch.group_norm: group_norm,
    F.instance_norm: instance_norm,
    F.layer_norm: layer_norm,
    torch.layer_norm: layer_norm,
    F.hardtanh: hardtanh,
    F.prelu: prelu,
    F.rrelu: lambda x, lower=1 / 8, upper=1 / 3, *_, **__: activation(
        "leaky_relu", x, (lower + upper) / 2
    ),
    F.glu: gated_half,
    F.dropout: dropout_called,
    F.dropout2d: dropout_called,
    F.alpha_dropout: dropout,
    operator.add: add,
    operator.iadd: add,
    operator.sub: subtract,
    operator.isub: subtract,
    operator.pow: power,
    operator.neg: negative,
    operator.abs: partial(function_of_one, torch.abs),
    operator.mul: multiply,
    operator.imul: multiply,
    operator.truediv: divide,
    operator.itruediv: divide,
    torch.cat: concatenate,
    torch.concat: concatenate,
    torch.concatenate: concatenate,
    torch.stack: stack,
    torch.zeros: zeros,
    torch.zeros_like: zeros_like,
    torch.maximum: largest,
    torch.minimum: smallest,
    torch.rsub: lambda x, other: subtract(other, x),
    getattr: attribute,
    operator.getitem: item,
    "view": view,
    "reshape": view,
    "view_as": lambda x, other: view(x, *other.sizes),
    "reshape_as": lambda x, other: view(x, *other.sizes),
    "size": size,
    "dim": rank,
    "expand": expand,
    "repeat": repeat,
    "index_select": lambda x, dim, index: picked(x, index, dim),
    "new_zeros": lambda x, *sizes, **_: zeros(*sizes),
    "is_contiguous": lambda x, **_: True,
}
_NAMED: dict[str, Handler] = {  # alike as functions of torch, of tensors, and in place
    "add": add,
    "sub": subtract,
    "subtract": subtract,
    "mul": multiply,
    "multiply": multiply,
    "div": divide,
    "divide": divide,
    "true_divide": divide,
    "pow": power,
    "square": lambda x: power(x, 2),
    "neg": negative,
    "negative": negative,
    "clamp": between,
    "clip": between,
    "matmul": matrix_product,
    "chunk": chunk,
    "split": split,
    "select": select,
    "flip": flip,
    "permute": permute,
    "transpose": transpose,
    "swapaxes": transpose,
    "flatten": flatten,
    "mean": mean,
    "sum": add_up,
    "var": partial(spread, False),
    "std": partial(spread, True),
    "max": maximum,
    "min": minimum,
    "amax": most,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "softmax": partial(softmax, "softmax"),
    "log_softmax": partial(softmax, "log_softmax"),
}
_SAME = (
    *("contiguous", "expand_as", "type_as", "to", "float", "clone", "detach", "cpu"),
    *("requires_grad_", "type"),
)


def _enter(name: str, handler: Handler) -> None:
    for one in (name, f"{name}_"):
        FUNCTIONS[one] = handler
        for home in (torch, F):
            function = getattr(home, one, None)
            if function is not None and function not in FUNCTIONS:
                FUNCTIONS[function] = handler


for _name, _handler in _NAMED.items():
    _enter(_name, _handler)
for _name in _SAME:
    FUNCTIONS[_name] = same
for _name in ("erf", "exp", "sqrt", "rsqrt", "abs", "reciprocal", "log", "log1p"):
    _enter(_name, partial(function_of_one, getattr(torch, _name)))
# What norms each value of a flattened map by itself.
OF_VECTORS: frozenset[Handler] = frozenset(
    {
        *(_batch_norm, _group_norm, _layer_norm, _prelu, _softmax),
        *(batch_norm, group_norm, layer_norm, prelu, softmax),
    }
)
# By name, of libraries that need not be there: what their authors keep fx from looking into.
WRAPPED: dict[str, Handler] = {
    "stochastic_depth": same,  # of torchvision; nothing in evaluation
}


for _kind in ACTIVATIONS:
    _enter(_kind, partial(activation, _kind))
    _call = KINDS[_kind].module(Layer(_kind), (1, 1, 1))
    if _call is not None and getattr(nn, _call.name) not in MODULES:
        MODULES[getattr(nn, _call.name)] = partial(activation_module, _kind)
