"""The operations of PyTorch that are layers: what `tracing` understands, as two open tables.

`MODULES` has a module's class -> how to take it, called with the module and its inputs.
`FUNCTIONS` has a function, or the name of a tensor's method -> how to take it, called as the
operation itself is. Tensors arrive as `Value`s. The result is a `Step` (a layer), or one of the
values (an operation that no layer could see, as a flatten), or whatever else forward computes with
(a size). What no layer can stand for raises `RuleError`, which says the way round.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from archpress.architecture.layers import ACTIVATIONS, KINDS, Layer, RuleError, Shape

BATCH = "B"  # the size of the batch, where forward asks for it


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor in forward: the layer that gives it (-1: the image), and whether it is flattened.

    Flattening is no layer, so a flat value keeps the shape of the map that it was.
    """

    index: int
    shape: Shape
    flat: bool = False

    @property
    def sizes(self) -> tuple[Any, ...]:
        """What `x.size()` is: the batch first."""
        return (BATCH, math.prod(self.shape)) if self.flat else (BATCH, *self.shape)

    @property
    def is_map(self) -> bool:
        """Whether it has `B x C x H x W`."""
        return len(self.sizes) == 4


@dataclass(frozen=True, slots=True)
class Step:
    """A layer to add (its `inputs` are set by the reader), what it reads, and how its output is.

    Attributes:
        flat: whether the output is flattened; None where it is as the first input is.
    """

    layer: Layer
    reads: tuple[Value, ...]
    flat: bool | None = None


Handler = Callable[..., object]


def _plain(option: str, value: object, taken: object, instead: str) -> None:
    """Refuse an option that a layer cannot hold."""
    if value != taken:
        raise RuleError(f"has {option}={value!r}, layers have {option}={taken!r}: {instead}")


def _need(fits: bool, wanted: str, value: Value) -> None:
    if not fits:
        found = " x ".join(map(str, value.sizes))
        raise RuleError(f"needs {wanted} but reads {found}: check input_shape and what is before")


def _side(option: str, value: object) -> int:
    """One integer from an integer or a square pair."""
    extents = list(value) if isinstance(value, tuple | list) else [value]
    if not extents or type(extents[0]) is not int or any(e != extents[0] for e in extents):
        raise RuleError(f"has {option}={value!r}: windows must be square, so give one integer")
    return extents[0]


# --- layers with weights: modules alone ----------------------------------------------------------


def _conv(module: nn.Conv2d, x: Value) -> Step:
    _need(x.is_map and x.shape[0] == module.in_channels, f"{module.in_channels} channels", x)
    _plain("dilation", _side("dilation", module.dilation), 1, "use a larger kernel or two layers")
    _plain("padding_mode", module.padding_mode, "zeros", "pad with zeros")
    kernel, stride = _side("kernel_size", module.kernel_size), _side("stride", module.stride)
    padding: object = module.padding
    if padding == "valid" or (padding == "same" and kernel % 2):
        padding = 0 if padding == "valid" else kernel // 2
    depthwise = module.groups == module.in_channels == module.out_channels != 1
    if module.groups != 1 and not depthwise:
        raise RuleError(
            f"has groups={module.groups}: use 1, or as many as channels in and out (depthwise)"
        )
    kind, channels = ("depthwise", 0) if depthwise else ("conv", module.out_channels)
    bias_free = module.bias is None
    layer = Layer(kind, kernel, channels, stride, _side("padding", padding), bias_free=bias_free)
    return Step(layer, (x,))


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, x: Value) -> Step:
    fits = x.is_map is isinstance(module, nn.BatchNorm2d)
    fits = fits and x.sizes[1] == x.shape[0] == module.num_features
    _need(fits, f"{module.num_features} channels", x)
    _plain("eps", module.eps, 1e-5, "train it with PyTorch's default")
    _plain("affine", module.affine, True, "keep its weight and bias")
    _plain("track_running_stats", module.track_running_stats, True, "keep its statistics")
    return Step(Layer("batch_norm"), (x,))


def _linear(module: nn.Linear, x: Value) -> Step:
    features = module.in_features
    _need(x.sizes == (BATCH, features), f"{BATCH} x {features} (flattened)", x)
    layer = Layer("linear", channels=module.out_features, bias_free=module.bias is None)
    return Step(layer, (x,))


# --- pools ---------------------------------------------------------------------------------------


def _pool(kind: str, x: Value, kernel_size: object, stride: object, padding: object) -> Step:
    _need(x.is_map, "a map of B x C x H x W", x)
    kernel = _side("kernel_size", kernel_size)
    step = _side("stride", stride) if stride else kernel
    return Step(Layer(kind, kernel, 0, step, _side("padding", padding)), (x,))


def _max_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Step:
    _plain("dilation", _side("dilation", dilation), 1, "use a larger kernel")
    _plain("ceil_mode", ceil_mode, False, "use padding instead")
    _plain("return_indices", return_indices, False, "return the values alone")
    return _pool("max_pool", x, kernel_size, stride, padding)


def _average_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Step:
    _plain("ceil_mode", ceil_mode, False, "use padding instead")
    _plain("divisor_override", divisor_override, None, "divide by the window")
    if padding not in (0, (0, 0)):
        _plain("count_include_pad", count_include_pad, True, "use padding 0, or count it")
    return _pool("average_pool", x, kernel_size, stride, padding)


def _adaptive_average_pool(x: Value, output_size: object) -> Step | Value:
    _need(x.is_map, "a map of B x C x H x W", x)
    if output_size in (x.shape[1], x.shape[1:]) and x.shape[1] == x.shape[2] != 1:
        return x  # each window is one pixel
    if output_size not in (1, (1, 1), [1, 1]):
        raise RuleError(f"has output_size={output_size!r}: use 1, or AvgPool2d with a kernel")
    return Step(Layer("global_average_pool"), (x,))


def _mean(x: Value, dim: object = None, keepdim: bool = False) -> Step:
    _need(x.is_map, "a map of B x C x H x W", x)
    if not isinstance(dim, Sequence) or {axis % 4 for axis in dim} != {2, 3}:
        raise RuleError(f"is over dim={dim!r}: take it over height and width, (2, 3), at once")
    return Step(Layer("global_average_pool"), (x,), flat=not keepdim)


# --- element by element, and joins ---------------------------------------------------------------

_OPTIONS = {  # activation -> its option, and the one value that a layer stands for
    "leaky_relu": ("negative_slope", 0.01),
    "elu": ("alpha", 1.0),
    "gelu": ("approximate", "none"),
}


def _activation(kind: str, x: Value, *options: object, **named: object) -> Step:
    if kind in _OPTIONS:
        name, taken = _OPTIONS[kind]
        value = options[0] if options else named.get(name, taken)
        _plain(name, value, taken, "train it with PyTorch's default")
    return Step(Layer(kind), (x,))


def _activation_module(kind: str, module: nn.Module, x: Value) -> Step:
    names = [_OPTIONS[kind][0]] if kind in _OPTIONS else []
    return _activation(kind, x, **{name: getattr(module, name) for name in names})


def _dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Step:
    return Step(Layer("dropout", rate=p), (x,))


def _joined(kind: str, values: Sequence[object]) -> Step:
    reads = tuple(value for value in values if isinstance(value, Value))
    if len(reads) < len(values):
        raise RuleError("joins a tensor with what is no layer's output: use layers alone")
    if len({value.is_map for value in reads}) > 1:
        raise RuleError("joins a map and a flattened tensor: flatten both or none")
    return Step(Layer(kind), reads)


def _add(x: object, other: object, *, alpha: object = 1) -> Step:
    _plain("alpha", alpha, 1, "add without a factor")
    return _joined("add", (x, other))


def _concatenate(tensors: Sequence[Value], dim: int = 0) -> object:
    step = _joined("concat", tensors)
    if dim % len(tensors[0].sizes) != 1:
        raise RuleError(f"is along dim={dim}: concatenate along channels, dim 1")
    return step if len(tensors) > 1 else tensors[0]


# --- shapes: what no layer sees ------------------------------------------------------------------


def _same(x: object, *options: object, **named: object) -> object:
    return x


def _flatten(x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    if start_dim != 1 or end_dim % len(x.sizes) != len(x.sizes) - 1:
        raise RuleError(f"has start_dim={start_dim}, end_dim={end_dim}: flatten from 1 to the end")
    return Value(x.index, x.shape, flat=True)


def _view(x: Value, *sizes: Any) -> Value:  # noqa: ANN401 an integer or BATCH each, or one tuple
    wanted = list(sizes[0]) if isinstance(sizes[0], tuple | list) else list(sizes)
    if wanted == list(x.sizes):
        return x
    features = math.prod(x.shape)
    if wanted in ([BATCH, -1], [BATCH, features], [-1, features]):
        return Value(x.index, x.shape, flat=True)
    raise RuleError(f"gives the shape {wanted}: only flattening to (x.size(0), -1) has a meaning")


def _size(x: Value, dim: int | None = None) -> object:
    return x.sizes if dim is None else x.sizes[dim]


def _attribute(x: Value, name: str) -> object:
    if name != "shape":
        raise RuleError(f"reads the attribute {name!r} of a tensor: only its shape may be read")
    return x.sizes


def _item(sizes: object, index: Any) -> object:  # noqa: ANN401 an integer or a slice
    if not isinstance(sizes, tuple):
        raise RuleError("takes a part of a tensor: use a layer that gives that part")
    return sizes[index]


# --- the tables ----------------------------------------------------------------------------------

MODULES: dict[type[nn.Module], Handler] = {
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Linear: _linear,
    nn.MaxPool2d: lambda m, x: _max_pool(
        x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    ),
    nn.AvgPool2d: lambda m, x: _average_pool(
        x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    ),
    nn.AdaptiveAvgPool2d: lambda m, x: _adaptive_average_pool(x, m.output_size),
    nn.Dropout: lambda m, x: _dropout(x, m.p),
    nn.Dropout2d: lambda m, x: _dropout(x, m.p),
    nn.Flatten: lambda m, x: _flatten(x, m.start_dim, m.end_dim),
    nn.Identity: lambda m, x: x,
}
FUNCTIONS: dict[object, Handler] = {
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.adaptive_avg_pool2d: _adaptive_average_pool,
    F.dropout: _dropout,
    F.dropout2d: _dropout,
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    torch.cat: _concatenate,
    torch.concat: _concatenate,
    torch.flatten: _flatten,
    torch.mean: _mean,
    getattr: _attribute,
    operator.getitem: _item,
    "add": _add,
    "add_": _add,
    "flatten": _flatten,
    "mean": _mean,
    "view": _view,
    "reshape": _view,
    "size": _size,
    "contiguous": _same,
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
