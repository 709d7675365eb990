"""The operations of ONNX that are layers; the table of `onnx_reading`.

`ONNX` has an operation's name -> how to take it, called with its attributes and inputs. Tensors
arrive as `Value`s, and all that does not depend on the images as `Weight`s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from archpress.architecture.layers import Layer
from archpress.architecture.operations import (
    adaptive_pool,
    average_pool,
    max_pool,
    mean,
)
from archpress.architecture.operations_elementwise import (
    activation,
    add,
    between,
    concatenate,
    divide,
    function_of_one,
    multiply,
    power,
    subtract,
)
from archpress.architecture.operations_shapes import (
    flatten,
    permute,
    split,
    squeeze,
    take,
    unsqueeze,
    view,
)
from archpress.architecture.operations_weights import (
    batch_norm,
    conv,
    group_norm,
    layer_norm,
    linear,
    matrix_product,
    turned,
)
from archpress.architecture.pointwise import pointwise
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import (
    BATCH,
    Pointwise,
    Step,
    Value,
    Weight,
    need,
    options,
    plain,
)

Attributes = dict[str, Any]
Handler = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A map in a shape that only few operations read.

    Attributes:
        x: the map.
        sizes: `B x groups x all else`, of which a group norm is the instance norm; or all values
            in one line, from which they are gathered again.
    """

    x: Value
    sizes: tuple[Any, ...]


def integers(value: object) -> list[int]:
    """What a node reads as a shape, as axes or as sizes."""
    match value:
        case Weight():
            return [int(one) for one in value.value.flatten().tolist()]
        case int():
            return [value]
        case list() | tuple():
            return [int(one) for one in value]
    raise RuleError("has sizes that depend on the images: export it with fixed sizes")


def _given(attributes: Attributes, name: str, inputs: Sequence[object]) -> list[int] | None:
    """An option that newer versions of ONNX have as an input, older ones as an attribute."""
    if inputs and inputs[0] is not None:
        return integers(inputs[0])
    return integers(attributes[name]) if name in attributes else None


def _number(value: object, beside: object) -> object:
    """A number where weights are one, except for a tensor of one channel."""
    if not isinstance(value, Weight) or value.value.numel() != 1:
        return value
    is_bias = isinstance(beside, Value) and beside.shape[0] == 1 and value.value.dim() > 0
    return value if is_bias else value.value.item()


def _elementwise(function: Handler, attributes: Attributes, *inputs: object) -> object:
    if len(inputs) == 2:
        inputs = (_number(inputs[0], inputs[1]), _number(inputs[1], inputs[0]))
    return function(*inputs)


# --- windows -------------------------------------------------------------------------------------


def _pads(attributes: Attributes, x: Value, kernel: Sequence[int]) -> tuple[int, int]:
    """Above and left, which must be as below and right."""
    how = attributes.get("auto_pad", "NOTSET")
    if how == "VALID":
        return 0, 0
    before, after = [0, 0], [0, 0]
    if how == "NOTSET":
        given = integers(attributes.get("pads", [0, 0, 0, 0]))
        before, after = given[:2], given[2:]
    else:
        for axis in range(2):
            step = attributes.get("strides", [1, 1])[axis]
            reach = (kernel[axis] - 1) * attributes.get("dilations", [1, 1])[axis] + 1
            outputs = -(-x.shape[1 + axis] // step)
            total = max((outputs - 1) * step + reach - x.shape[1 + axis], 0)
            before[axis], after[axis] = total // 2, total - total // 2
    if before != after:
        raise RuleError(
            f"pads {before[0]} above, {before[1]} left, {after[0]} below and {after[1]} right: pad "
            "both sides alike"
        )
    return before[0], before[1]


def _conv(attributes: Attributes, x: Value, weight: Weight, bias: Weight | None = None) -> Step:
    if not isinstance(weight, Weight):
        raise RuleError("has weights that are worked out of the image: use weights of its own")
    need(x.is_map and len(weight.shape) == 4, "a map and a window of two sides", x)
    return conv(
        x,
        weight,
        bias,
        attributes.get("strides", [1, 1]),
        _pads(attributes, x, weight.shape[2:]),
        attributes.get("dilations", [1, 1]),
        attributes.get("group", 1),
    )


def _pool(handler: Handler, attributes: Attributes, x: Value, **more: object) -> object:
    need(x.is_map, "a map", x)
    kernel = attributes["kernel_shape"]
    return handler(
        x,
        kernel,
        attributes.get("strides", [1, 1]),
        _pads(attributes, x, kernel),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
        **more,
    )


def _max_pool(attributes: Attributes, x: Value) -> object:
    return _pool(max_pool, attributes, x, dilation=attributes.get("dilations", [1, 1]))


def _average_pool(attributes: Attributes, x: Value) -> object:
    plain("dilations", attributes.get("dilations", [1, 1]), [1, 1], "pool without dilation")
    counted = bool(attributes.get("count_include_pad", 0))
    return _pool(average_pool, attributes, x, count_include_pad=counted)


def _reduce_mean(attributes: Attributes, x: Value, *axes: object) -> object:
    return mean(x, _given(attributes, "axes", axes), bool(attributes.get("keepdims", 1)))


# --- weights -------------------------------------------------------------------------------------


def _batch_norm(
    attributes: Attributes, x: Value, scale: Weight, bias: Weight, mean: Weight, var: Weight
) -> Step:
    training = bool(attributes.get("training_mode", 0))
    return batch_norm(x, mean, var, scale, bias, training, eps=attributes.get("epsilon", 1e-5))


def _gemm(attributes: Attributes, x: Value, weight: Weight, bias: Weight | None = None) -> Step:
    plain("alpha", attributes.get("alpha", 1.0), 1.0, "leave it out")
    plain("transA", attributes.get("transA", 0), 0, "leave it out")
    if bias is not None:
        plain("beta", attributes.get("beta", 1.0), 1.0, "leave it out")
    rows = weight if attributes.get("transB", 0) else turned(weight)
    if bias is not None:
        bias = Weight(bias.path, bias.value.flatten().expand(rows.shape[0]))
    return linear(x, rows, bias)


def _layer_norm(
    attributes: Attributes, x: Value, scale: Weight, bias: Weight | None = None
) -> Step:
    plain("axis", attributes.get("axis", -1) % len(x.sizes), len(x.sizes) - 1, "norm the last axis")
    return layer_norm(x, scale.shape, scale, bias, attributes.get("epsilon", 1e-5))


def _group_norm(attributes: Attributes, x: Value, scale: Weight, bias: Weight) -> Step:
    """Older versions have a scale a group, newer ones one a channel."""
    channels = x.shape[0]
    scale, bias = (_repeated(one, channels // one.value.numel()) for one in (scale, bias))
    return group_norm(x, attributes["num_groups"], scale, bias, attributes.get("epsilon", 1e-5))


def _repeated(weight: Weight, times: int) -> Weight:
    return Weight(weight.path, weight.value.flatten().repeat_interleave(times))


def _instance_norm(
    attributes: Attributes, x: Value | Reshaped, scale: Weight, bias: Weight
) -> Step:
    eps = attributes.get("epsilon", 1e-5)
    if isinstance(x, Value):
        return group_norm(x, x.shape[0], scale, bias, eps)
    plain_scale = bool((scale.value == 1).all()) and not bool(bias.value.any())
    if plain_scale:
        found = options(eps=float(eps), affine=False, groups=x.sizes[1])
        return Step(Layer("group_norm", options=found), (x.x,))
    size = x.x.shape[0] // x.sizes[1]
    return group_norm(x.x, x.sizes[1], _repeated(scale, size), _repeated(bias, size), eps)


# --- activations ---------------------------------------------------------------------------------


def _hard_sigmoid(attributes: Attributes, x: Value | Pointwise) -> object:
    slope, middle = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return pointwise("hardsigmoid", lambda t: (slope * t + middle).clamp(0, 1), x)


def _clip(attributes: Attributes, x: object, low: object = None, high: object = None) -> object:
    bounds = [
        one.value.item() if isinstance(one, Weight) else attributes.get(name)
        for name, one in (("min", low), ("max", high))
    ]
    return between(x, *bounds)  # type: ignore[arg-type]


def _leaky(attributes: Attributes, x: Value, slope: Weight) -> object:
    """A parametrised ReLU of one slope."""
    slopes = set(slope.value.flatten().tolist())
    plain("slopes", len(slopes), 1, "use one slope for all channels")
    return activation("leaky_relu", x, slopes.pop())


def _swish(attributes: Attributes, x: Value) -> object:
    plain("alpha", attributes.get("alpha", 1.0), 1.0, "use SiLU")
    return activation("silu", x)


# --- shapes --------------------------------------------------------------------------------------


def _reshape(attributes: Attributes, x: Value, shape: object, *, batch: int) -> object:
    wanted: list[Any] = integers(shape)
    if not attributes.get("allowzero", 0):
        sizes = (*x.sizes, *wanted)
        wanted = [sizes[place] if size == 0 else size for place, size in enumerate(wanted)]
    if wanted[0] == batch:
        wanted[0] = BATCH
    is_in_groups = len(wanted) == 3 and x.is_map and wanted[0] in (BATCH, -1)
    if is_in_groups and wanted[1] > 0 and x.shape[0] % wanted[1] == 0:
        return Reshaped(x, tuple(wanted))
    return Reshaped(x, (-1,)) if wanted == [-1] else view(x, wanted)


def _gather(attributes: Attributes, x: object, places: Weight, *, batch: int) -> object:
    """All values in their order, as exporters write a tensor whose strides are changed."""
    in_order = isinstance(places, Weight) and places.value.numel() == places.value.max() + 1
    in_order = in_order and bool((places.value.flatten().diff() == 1).all())
    if not isinstance(x, Reshaped) or len(x.sizes) != 1 or not in_order:
        raise RuleError("takes some values of a tensor: only some of the channels, by Slice")
    return view(x.x, [BATCH if places.shape[0] == batch else 0, *places.shape[1:]])


def _squeeze(attributes: Attributes, x: Value, *axes: object) -> Value:
    return squeeze(x, *(_given(attributes, "axes", axes) or ()))


def _unsqueeze(attributes: Attributes, x: Value, *axes: object) -> Value:
    for axis in sorted(_given(attributes, "axes", axes) or ()):
        x = unsqueeze(x, axis)
    return x


def _split(attributes: Attributes, x: Value, *sizes: object, outputs: int) -> list[object]:
    given = _given(attributes, "split", sizes)
    return split(x, given or -(-x.shape[0] // outputs), attributes.get("axis", 0))


def _slice(attributes: Attributes, x: Value, *inputs: object) -> object:
    names = ("starts", "ends", "axes", "steps")
    starts, ends, axes, steps = (
        _given(attributes, name, inputs[place : place + 1]) for place, name in enumerate(names)
    )
    assert starts is not None
    assert ends is not None
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    result: object = x
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not isinstance(result, Value):
            raise RuleError("takes a part along two axes: only some of the channels")
        result = take(result, axis, start, end, step)
    return result


def _sum(attributes: Attributes, x: object, *others: object) -> object:
    if len(others) == 1:
        return _elementwise(add, attributes, x, others[0])
    return Step(Layer("add"), (x, *others)) if others else x  # type: ignore[arg-type]


def _same(attributes: Attributes, x: object, *_: object) -> object:
    return x


ONNX: dict[str, Handler] = {
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Gemm": _gemm,
    "MatMul": lambda attributes, x, weight: matrix_product(x, weight),
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda attributes, x: adaptive_pool("average_pool", x, 1),
    "GlobalMaxPool": lambda attributes, x: adaptive_pool("max_pool", x, 1),
    "ReduceMean": _reduce_mean,
    "Relu": lambda attributes, x: activation("relu", x),
    "LeakyRelu": lambda attributes, x: activation("leaky_relu", x, attributes.get("alpha", 0.01)),
    "PRelu": _leaky,
    "Elu": lambda attributes, x: activation("elu", x, attributes.get("alpha", 1.0)),
    "Sigmoid": lambda attributes, x: activation("sigmoid", x),
    "Tanh": lambda attributes, x: activation("tanh", x),
    "Gelu": lambda attributes, x: activation("gelu", x, attributes.get("approximate", "none")),
    "Swish": _swish,
    "HardSwish": lambda attributes, x: activation("hardswish", x),
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clip,
    "Add": partial(_elementwise, add),
    "Sub": partial(_elementwise, subtract),
    "Mul": partial(_elementwise, multiply),
    "Div": partial(_elementwise, divide),
    "Pow": partial(_elementwise, power),
    "Sum": _sum,
    "Concat": lambda attributes, *inputs: concatenate(inputs, attributes["axis"]),
    "Split": _split,
    "Slice": _slice,
    "Reshape": _reshape,
    "Gather": _gather,
    "Flatten": lambda attributes, x: flatten(x, attributes.get("axis", 1)),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": lambda attributes, x: permute(
        x, attributes.get("perm", list(range(len(x.sizes)))[::-1])
    ),
    "Dropout": lambda attributes, x, *_: [x],
    "Identity": _same,
    "Cast": _same,
    "Expand": _same,
}
_FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Neg": torch.neg,
    "Sqrt": torch.sqrt,
    "Abs": torch.abs,
    "Softplus": F.softplus,
}
for _name, _function in _FUNCTIONS.items():
    ONNX[_name] = partial(_elementwise, partial(function_of_one, _function))
# What reads parts of an activation that is written out.
ELEMENTWISE_ONNX = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Clip", "Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh"),
    *("Gelu", "HardSwish", "HardSigmoid", "Identity", *_FUNCTIONS),
}
NEEDS_BATCH = {"Reshape", "Gather"}
READS_RESHAPED = {"InstanceNormalization", "Gather"}
