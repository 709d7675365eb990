"""Operations element by element, and joins. See `operations`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import OPTIONS, Layer
from archpress.architecture.operations_weights import scaled, shifted
from archpress.architecture.pointwise import (
    activation_function,
    is_of_one,
    pointwise,
    refuse_parts,
    written_out,
)
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import Pointwise, Step, Value, Weight, options, plain


def activation(kind: str, x: Value | Pointwise, *given: Any, **named: Any) -> object:  # noqa: ANN401
    """With its option, where it has one."""
    found: dict[str, Any] = {}
    for name in KINDS[kind].options:  # one at most
        value = given[0] if given else named.get(name, OPTIONS[name])
        found[name] = type(OPTIONS[name])(value)
    if isinstance(x, Pointwise):
        return pointwise(kind, activation_function(kind, found), x)
    return Step(Layer(kind, options=options(**found)), (x,))


def activation_module(kind: str, module: nn.Module, x: Value) -> object:
    """With the module's option."""
    return activation(kind, x, **{name: getattr(module, name) for name in KINDS[kind].options})


def between(
    x: Value | Pointwise,
    min: float | None = None,
    max: float | None = None,
    *,
    inplace: bool = False,
) -> object:
    """Cut off below and above."""
    return pointwise("clamp", torch.clamp, x, min, max)


def hardtanh(
    x: Value | Pointwise, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> object:
    """Likewise."""
    return between(x, min_val, max_val)


def subtract(x: object, other: object, *, alpha: object = 1) -> object:
    """Of weights from an output, or in an activation that is written out."""
    plain("alpha", alpha, 1, "subtract without a factor")
    if isinstance(x, Value) and isinstance(other, Weight):
        return shifted(x, Weight(other.path, -other.value))
    if is_of_one(x, other):
        return pointwise("sub", torch.sub, x, other)
    raise RuleError("subtracts a tensor, which no layer does: multiply it by -1 inside a layer")


def divide(x: object, other: object) -> object:
    """By weights, or in an activation that is written out."""
    if isinstance(x, Value) and isinstance(other, Weight):
        return scaled(x, Weight(other.path, 1 / other.value))
    if is_of_one(x, other):
        return pointwise("div", torch.div, x, other)
    raise RuleError("divides by a tensor, which no layer does: divide by weights, one a channel")


def power(x: Value | Pointwise, exponent: float) -> object:
    """In an activation that is written out."""
    return pointwise("pow", torch.pow, x, exponent)


def function_of_one(function: Callable[[Tensor], Tensor], x: Value | Pointwise) -> object:
    """In an activation that is written out."""
    return pointwise(getattr(function, "__name__", "function"), function, x)


def dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Step:
    """Also where forward says that it does not train."""
    return Step(Layer("dropout", rate=p), (x,))


def _joined(kind: str, values: Sequence[object]) -> Step:
    refuse_parts(values)
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
    """Two outputs, an output and one weight a channel, or in an activation that is written out."""
    plain("alpha", alpha, 1, "add without a factor")
    for value, summand in ((x, other), (other, x)):
        if isinstance(value, Value) and isinstance(summand, Weight):
            return shifted(value, summand)
    return _of_one_or_joined("add", torch.add, x, other)


def multiply(x: object, other: object) -> object:
    """Two outputs, an output and one weight a channel, or in an activation that is written out."""
    for value, factor in ((x, other), (other, x)):
        if isinstance(value, Value) and isinstance(factor, Weight):
            return scaled(value, factor)
    if isinstance(x, Value) and isinstance(other, Value) and _is_gate(x) and not _is_gate(other):
        x, other = other, x
    return _of_one_or_joined("multiply", torch.mul, x, other)


def _of_one_or_joined(
    kind: str, function: Callable[..., Tensor], x: object, other: object
) -> object:
    """A sigmoid's output and its input are both functions of one tensor, and a SiLU together."""
    for one, two in ((x, other), (written_out(x), other), (x, written_out(other))):
        if is_of_one(one, two):
            result = pointwise(kind, function, one, two)
            if not (
                isinstance(result, Pointwise) and isinstance(x, Value) and isinstance(other, Value)
            ):
                return result
    return _joined(kind, (x, other))


def _is_gate(value: Value) -> bool:
    return value.pixel or (len(value.shape) == 3 and value.shape[1:] == (1, 1))


def concatenate(tensors: Sequence[Value], dim: int = 0, axis: int | None = None) -> object:
    """Along the channels."""
    step = _joined("concat", tensors)
    dim = dim if axis is None else axis
    if dim % len(tensors[0].sizes) != 1 or tensors[0].channels_last:
        raise RuleError(f"is along dim={dim}: concatenate along channels, dim 1")
    return step if len(tensors) > 1 else tensors[0]


# What reads parts of an activation that is written out; nothing else does.
ELEMENTWISE: frozenset[Callable[..., object]] = frozenset(
    {
        activation,
        activation_module,
        add,
        between,
        divide,
        function_of_one,
        hardtanh,
        multiply,
        power,
        subtract,
    }
)
