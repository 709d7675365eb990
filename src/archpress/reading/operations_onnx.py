"""The operations of ONNX that are layers; the table of `onnx_files`.

`ONNX` has an operation's name -> how to take it, called with its attributes and inputs. Tensors
arrive as `Value`s, and all that does not depend on the images as `Weight`s.
"""

import math
from dataclasses import replace
from functools import partial

import torch

from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError
from archpress.reading.onnx_shapes import (
    Attributes,
    Handler,
    gathered,
    integers,
    padded,
    parted,
    reduced,
    reshaped,
    resized,
    sliced,
    squeezed,
    unsqueezed,
    windowed_average,
    windowed_conv,
    windowed_max,
)
from archpress.reading.operations_elementwise import (
    activation,
    add,
    between,
    concatenate,
    divide,
    function_of_one,
    largest,
    multiply,
    negative,
    power,
    prelu,
    smallest,
    softmax,
    subtract,
)
from archpress.reading.operations_pools import (
    adaptive_pool,
    add_up,
    local_norm,
    mean,
    most,
)
from archpress.reading.operations_shapes import expand, flatten, permute, repeat
from archpress.reading.operations_weights import (
    batch_norm,
    group_norm,
    layer_norm,
    linear,
    matrix_product,
    turned,
)
from archpress.reading.pointwise import pointwise
from archpress.reading.traced_values import (
    Pointwise,
    Reshaped,
    Step,
    Value,
    Weight,
    options,
    plain,
)


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
    assert isinstance(x.x, Value)
    size = x.x.shape[0] // x.sizes[1]
    return group_norm(x.x, x.sizes[1], _repeated(scale, size), _repeated(bias, size), eps)


# --- activations ---------------------------------------------------------------------------------


def _hard_sigmoid(attributes: Attributes, x: Value | Pointwise) -> object:
    slope, middle = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    if abs(slope - 1 / 6) > 1e-4 or middle != 0.5:  # torch's own
        return between(add(multiply(x, slope), middle), 0.0, 1.0)  # type: ignore[arg-type]
    return pointwise("hardsigmoid", lambda t: (slope * t + middle).clamp(0, 1), x)


def _clip(attributes: Attributes, x: object, low: object = None, high: object = None) -> object:
    if isinstance(low, Value | Pointwise) or isinstance(high, Value | Pointwise):
        raise RuleError("is cut off at a tensor: use numbers, or Max and Min")
    bounds = [
        one.value.item() if isinstance(one, Weight) else attributes.get(name)
        for name, one in (("min", low), ("max", high))
    ]
    return between(x, *bounds)  # type: ignore[arg-type]


def _leaky(attributes: Attributes, x: Value | Pointwise, slope: Weight) -> object:
    """A parametrised ReLU; of one slope it is a leaky one."""
    slopes = set(slope.value.flatten().tolist())
    if len(slopes) > 1:
        return prelu(x, Weight(slope.path, slope.value.flatten()))
    return activation("leaky_relu", x, slopes.pop())


def _shrunk(attributes: Attributes, x: Value | Pointwise) -> object:
    lambd, bias = attributes.get("lambd", 0.5), attributes.get("bias", 0.0)
    if bias:
        plain("bias", bias, lambd, "use a soft or a hard shrink")
    return activation("softshrink" if bias else "hardshrink", x, lambd)


def _local_norm(attributes: Attributes, x: Value) -> Step:
    alpha, beta = attributes.get("alpha", 1e-4), attributes.get("beta", 0.75)
    return local_norm(x, attributes["size"], alpha, beta, attributes.get("bias", 1.0))


def _softmax(kind: str, attributes: Attributes, x: Value, *, opset: int) -> Step:
    axis = attributes.get("axis", -1 if opset >= 13 else 1)
    if opset < 13 and axis % len(x.sizes) == 1 and math.prod(x.sizes[2:]) != 1:
        raise RuleError("is over all values of a map: take it over the channels")
    return softmax(kind, x, axis)


def _extreme(low: bool, attributes: Attributes, x: object, *others: object) -> object:
    """Of two, or a tensor cut off at a number."""
    (other,) = others
    for one, number in ((x, _number(other, x)), (other, _number(x, other))):
        if isinstance(number, int | float) and isinstance(one, Value | Pointwise):
            return between(one, max=number) if low else between(one, min=number)
    return (smallest if low else largest)(x, other)  # type: ignore[arg-type]


def _swish(attributes: Attributes, x: Value) -> object:
    plain("alpha", attributes.get("alpha", 1.0), 1.0, "use SiLU")
    return activation("silu", x)


def _selu(attributes: Attributes, x: Value) -> object:
    for name, usual in (("alpha", 1.6732632), ("gamma", 1.050701)):
        if not math.isclose(attributes.get(name, usual), usual, rel_tol=1e-6):
            plain(name, attributes[name], usual, "use SELU")
    return activation("selu", x)


def _sum(attributes: Attributes, x: object, *others: object) -> object:
    if len(others) == 1:
        return _elementwise(add, attributes, x, others[0])
    return Step(Layer("add"), (x, *others)) if others else x  # type: ignore[arg-type]


def _concatenated(attributes: Attributes, *inputs: object) -> object:
    """A file does not say what was learned: tensors of zeros in it are channels of zeros."""
    parts = [replace(one, learned=False) if isinstance(one, Weight) else one for one in inputs]
    return concatenate(parts, attributes["axis"])


def _same(attributes: Attributes, x: object, *_: object) -> object:
    return x


def _cast(attributes: Attributes, x: object) -> object:
    if isinstance(x, Value | Pointwise) and attributes["to"] not in _FLOATS:
        raise RuleError("rounds a layer's output to whole numbers: leave it out")
    return x


def _expanded(attributes: Attributes, x: object, shape: object) -> object:
    return expand(x, integers(shape)) if isinstance(shape, Weight) else x


_FLOATS = {1, 10, 11, 16}  # types of ONNX: float32, float16, float64, bfloat16
ONNX: dict[str, Handler] = {
    "Conv": windowed_conv,
    "BatchNormalization": _batch_norm,
    "Gemm": _gemm,
    "MatMul": lambda attributes, x, weight: matrix_product(x, weight),
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "MaxPool": windowed_max,
    "AveragePool": windowed_average,
    "GlobalAveragePool": lambda attributes, x: adaptive_pool("average_pool", x, 1),
    "GlobalMaxPool": lambda attributes, x: adaptive_pool("max_pool", x, 1),
    "ReduceMean": partial(reduced, mean),
    "ReduceSum": partial(reduced, add_up),
    "ReduceMax": partial(reduced, most),
    "Max": partial(_extreme, False),
    "Min": partial(_extreme, True),
    "Pad": padded,
    "Resize": resized,
    "Upsample": resized,
    "LRN": _local_norm,
    "Softmax": partial(_softmax, "softmax"),
    "LogSoftmax": partial(_softmax, "log_softmax"),
    "Shrink": _shrunk,
    "Neg": lambda attributes, x: negative(x),
    "Mish": lambda attributes, x: activation("mish", x),
    "Softplus": lambda attributes, x: activation("softplus", x),
    "Softsign": lambda attributes, x: activation("softsign", x),
    "Selu": _selu,
    "Celu": lambda attributes, x: activation("celu", x, attributes.get("alpha", 1.0)),
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
    "Concat": _concatenated,
    "Split": parted,
    "Slice": sliced,
    "Reshape": reshaped,
    "Gather": gathered,
    "Flatten": lambda attributes, x: flatten(x, attributes.get("axis", 1)),
    "Squeeze": squeezed,
    "Unsqueeze": unsqueezed,
    "Transpose": lambda attributes, x: permute(
        x, attributes.get("perm", list(range(len(x.sizes)))[::-1])
    ),
    "Dropout": lambda attributes, x, *_: [x],
    "Identity": _same,
    "Cast": _cast,
    "Expand": _expanded,
    "Tile": lambda attributes, x, times: repeat(x, *integers(times)),
}
_FUNCTIONS = {"Erf": torch.erf, "Exp": torch.exp, "Sqrt": torch.sqrt, "Abs": torch.abs}
for _name, _function in _FUNCTIONS.items():
    ONNX[_name] = partial(_elementwise, partial(function_of_one, _function))
ONNX["Reciprocal"] = partial(_elementwise, partial(function_of_one, torch.reciprocal))
# What reads functions as they are; for all else they become layers.
ELEMENTWISE_ONNX = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Clip", "Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh"),
    *("Gelu", "HardSwish", "HardSigmoid", "Identity", *_FUNCTIONS, "Reciprocal", "Neg", "Concat"),
    *("Mish", "Softplus", "Softsign", "Selu", "Celu", "Shrink", "PRelu", "Max", "Min"),
    *("ReduceMean", "ReduceSum", "ReduceMax"),
}
# What norms each value of a flattened map by itself.
OF_VECTORS_ONNX = {"BatchNormalization", "LayerNormalization", "PRelu", "Softmax", "LogSoftmax"}
NEEDS_BATCH = {"Reshape", "Gather"}
NEEDS_OPSET = {"Resize", "Upsample", "Softmax", "LogSoftmax"}
READS_RESHAPED = {"InstanceNormalization", "Gather", "Unsqueeze", "ReduceMean", "ReduceMax"}
