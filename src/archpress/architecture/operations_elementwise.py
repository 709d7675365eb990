"""Operations element by element, and joins. See `operations`."""

from collections.abc import Sequence
from math import isclose
from typing import Any

from torch import nn

from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import OPTIONS, Layer
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import Pending, Step, Value, Weight, options, plain


def activation(kind: str, x: Value | Pending, *given: Any, **named: Any) -> object:  # noqa: ANN401
    """With its option, where it has one."""
    if isinstance(x, Pending):
        return _clipped(x, is_relu6=kind == "relu6")
    found: dict[str, object] = {}
    for name in KINDS[kind].options:  # one at most
        value = given[0] if given else named.get(name, OPTIONS[name])
        found[name] = type(OPTIONS[name])(value)
    return Step(Layer(kind, options=options(**found)), (x,))


def activation_module(kind: str, module: nn.Module, x: Value) -> object:
    """With the module's option."""
    return activation(kind, x, **{name: getattr(module, name) for name in KINDS[kind].options})


def between(
    x: Value | Pending, min: float = -1.0, max: float = 1.0, *, inplace: bool = False
) -> object:
    """Cut off below and above."""
    if (min, max) != (0, 6):
        raise RuleError(f"is between {min} and {max}: use ReLU6, or Tanh")
    return activation("relu6", x)


# `relu6(x + 3) / 6` is a hard sigmoid, `x * relu6(x + 3) / 6` a hard swish; they are often written
# so, and no layer could stand for the single steps.


def _clipped(pending: Pending, *, is_relu6: bool) -> Pending:
    if pending.state != "plus 3" or not is_relu6:
        raise RuleError(f"reads a tensor {pending.state}, of which no layer knows: use Hardsigmoid")
    return Pending(pending.x, "clipped")


def divide(x: object, other: object) -> Step:
    """The end of a hard activation that is written out."""
    if not isinstance(x, Pending) or x.state == "plus 3" or other != 6:
        raise RuleError(f"divides by {other!r}: only as in relu6(x + 3) / 6")
    kind = "hardsigmoid" if x.state == "clipped" else "hardswish"
    return Step(Layer(kind), (x.x,))


def dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Step:
    """Also where forward says that it does not train."""
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


def add(x: object, other: object, *, alpha: object = 1) -> object:
    """Two outputs; or the 3 of a hard activation, or the 0 that `sum` begins with."""
    plain("alpha", alpha, 1, "add without a factor")
    for one, two in ((x, other), (other, x)):
        if isinstance(one, Value) and isinstance(two, int | float):
            if two == 0:
                return one
            if two == 3:
                return Pending(one, "plus 3")
    return _joined("add", (x, other))


def multiply(x: object, other: object) -> object:
    """Two outputs, or an output and one weight a channel, which is a 1x1 depthwise convolution."""
    for value, factor in ((x, other), (other, x)):
        if isinstance(value, Value) and isinstance(factor, Weight):
            return _scaled(value, factor)
        if isinstance(factor, Pending) and factor.state == "clipped" and value == factor.x:
            return Pending(factor.x, "times x")
        if isinstance(value, Pending) and isinstance(factor, float) and isclose(factor, 1 / 6):
            return divide(value, 6)
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


def concatenate(tensors: Sequence[Value], dim: int = 0, axis: int | None = None) -> object:
    """Along the channels."""
    step = _joined("concat", tensors)
    dim = dim if axis is None else axis
    if dim % len(tensors[0].sizes) != 1 or tensors[0].channels_last:
        raise RuleError(f"is along dim={dim}: concatenate along channels, dim 1")
    return step if len(tensors) > 1 else tensors[0]
