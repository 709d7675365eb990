"""Activations that forward writes out, as `x * relu6(x + 3) / 6`, told by what they compute."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from archpress.architecture.kinds import ACTIVATIONS, KINDS
from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import Pointwise, Step, Value

_TOLERANCE = 1e-5  # relative; constants such as the root of 2 are often written in float32


def is_of_one(*arguments: object) -> bool:
    """Whether these are numbers and one tensor, or functions of one, as `x` and `relu6(x + 3)`."""
    tensors = [one for one in arguments if isinstance(one, Value | Pointwise)]
    numbers = all(isinstance(one, Value | Pointwise | int | float) for one in arguments)
    return bool(tensors) and numbers and all(_base(one) == _base(tensors[0]) for one in tensors)


def pointwise(name: str, function: Callable[..., Tensor], *arguments: Any) -> object:  # noqa: ANN401
    """A function of numbers and of one tensor: a layer if it is an activation, else a part of one.

    Args:
        name: for error messages.
        function: called with tensors in place of values.
        arguments: such that `is_of_one`.
    """
    tensors = [one for one in arguments if isinstance(one, Value | Pointwise)]
    base = _base(tensors[0])

    def composed(x: Tensor) -> Tensor:
        return function(*(_at(one, x) for one in arguments))

    values = composed(_grid())
    if _is_close(values, _grid()):
        return base
    for layer, expected in _activations():
        if _is_close(values, expected):
            return Step(layer, (base,))
    return Pointwise(base, composed, f"{name}({', '.join(map(_text, arguments))})")


def activation_function(kind: str, options: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    """The module of an activation with its option."""
    call = KINDS[kind].module(Layer(kind), (1,))
    assert call is not None
    function: Callable[[Tensor], Tensor] = getattr(nn, call.name)(**options)
    return function


def written_out(value: object) -> object:
    """An activation's output as a function of what the activation reads; all else as it is."""
    made = value.made if isinstance(value, Value) else None
    if made is None or made.layer.kind not in ACTIVATIONS:
        return value
    options = {name: made.layer.option(name) for name in KINDS[made.layer.kind].options}
    function = activation_function(made.layer.kind, options)
    return Pointwise(made.reads[0], function, f"{made.layer.kind}(x)")


def refuse_parts(value: object, verb: str = "reads") -> None:
    """Refuse what is a part of an activation only, anywhere in these arguments."""
    match value:
        case Pointwise():
            known = ", ".join(ACTIVATIONS)
            raise RuleError(f"{verb} {value.text}, which is no activation of a layer: use {known}")
        case dict():
            refuse_parts(list(value.values()))
        case list() | tuple():
            for one in value:
                refuse_parts(one)


def _base(value: Value | Pointwise) -> Value:
    return value.x if isinstance(value, Pointwise) else value


def _at(argument: object, x: Tensor) -> object:
    match argument:
        case Pointwise():
            return argument.function(x)
        case Value():
            return x
    return argument


def _text(argument: object) -> str:
    match argument:
        case Pointwise():
            return argument.text
        case Value():
            return "x"
    return f"{argument:g}" if isinstance(argument, float) else str(argument)


@cache
def _grid() -> Tensor:
    """Near 0, where activations bend, and far away, where they are straight."""
    near = torch.linspace(-9, 9, 73, dtype=torch.float64)
    return torch.cat([near, torch.tensor([-1000.0, -30.0, 30.0, 1000.0], dtype=torch.float64)])


@cache
def _activations() -> tuple[tuple[Layer, Tensor], ...]:
    usual = [Layer(kind) for kind in ACTIVATIONS]
    layers = [*usual, Layer("gelu", options=(("approximate", "tanh"),))]
    return tuple(
        (layer, activation_function(layer.kind, dict(layer.options))(_grid())) for layer in layers
    )


def _is_close(values: Tensor, expected: Tensor) -> bool:
    return torch.allclose(values, expected, rtol=_TOLERANCE, atol=_TOLERANCE)
