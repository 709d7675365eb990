"""Functions that forward writes out, as `x * relu6(x + 3) / 6`, told by what they compute.

A function of one tensor that is an activation, or a layer norm, is that layer. All others stay what
they are until something else reads them: then each operation becomes a layer of its own.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from archpress.architecture.kinds import ACTIVATIONS, KINDS
from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError
from archpress.reading.traced_values import Pointwise, Step, Value, options

_TOLERANCE = 1e-5  # relative; constants such as the root of 2 are often written in float32
_DIGITS = 9  # of a factor that is worked out of others; float32 has 7
_MOST_FACTORS = 4  # of a power that is written as products


def is_of_one(*arguments: object) -> bool:
    """Whether these are numbers and one tensor, or functions of one, as `x` and `relu6(x + 3)`."""
    tensors = [one for one in arguments if isinstance(one, Value | Pointwise)]
    numbers = all(isinstance(one, Value | Pointwise | int | float) for one in arguments)
    return bool(tensors) and numbers and all(_base(one) == _base(tensors[0]) for one in tensors)


def pointwise(name: str, function: Callable[..., Tensor], *arguments: Any) -> object:  # noqa: ANN401
    """A function of numbers and of one tensor: a layer if it is known, else a function.

    Args:
        name: of the operation, for error messages and for `as_step`.
        function: called with tensors in place of values.
        arguments: such that `is_of_one`.
    """
    tensors = [one for one in arguments if isinstance(one, Value | Pointwise)]
    base = _base(tensors[0])
    functions = [one for one in tensors if isinstance(one, Pointwise)]
    one_channel = len(functions) == len(tensors) and all(one.one_channel for one in functions)

    def composed(x: Tensor) -> Tensor:
        return function(*(_at(one, x) for one in arguments))

    result = Pointwise(base, composed, name, arguments, one_channel=one_channel)
    if any(one.over_channels for one in functions):
        return _over_channels(result)
    bends = tuple(sorted({number for number in _numbers(result) if 100 < abs(number) < math.inf}))
    grid = _grid(bends)
    values = composed(grid)
    if _is_close(values, grid):
        return base
    for layer, expected in _activations(bends):
        if _is_close(values, expected):
            return Step(layer, (base,))
    return result


def is_zero(x: Pointwise) -> bool:
    """Whether a function is 0 wherever it is looked at."""
    return not x.over_channels and not bool(x.function(_grid()).any())


def over_channels(kind: str, x: Value | Pointwise) -> Pointwise:
    """The mean or the largest of a pixel's channels."""
    function = torch.mean if kind == "channel_mean" else torch.amax
    return of_channels(kind, x, lambda values: function(values, 1, keepdim=True))


def of_channels(name: str, x: Value | Pointwise, function: Callable[[Tensor], Tensor]) -> Pointwise:
    """One value a pixel, of all its channels.

    Args:
        name: of the operation.
        x: what it is of.
        function: of `N x C`, `N x 1`.
    """

    def composed(values: Tensor) -> Tensor:
        return function(x.function(values) if isinstance(x, Pointwise) else values)

    return Pointwise(_base(x), composed, name, (x,), over_channels=True, one_channel=True)


def _over_channels(found: Pointwise) -> object:
    """A layer norm that is written out; else a function of all channels."""
    result = Pointwise(
        found.x,
        found.function,
        found.name,
        found.arguments,
        over_channels=True,
        one_channel=found.one_channel,
    )
    channels = found.x.shape[0]
    if found.one_channel or channels < 2:
        return result
    rng = torch.Generator().manual_seed(0)
    grid = torch.randn((16, channels), generator=rng, dtype=torch.float64)
    grid = grid * torch.logspace(-4, 2, 16, dtype=torch.float64)[:, None]  # where an eps shows
    values = found.function(grid)
    for eps in sorted({number for number in _numbers(found) if 0 < number < 1}):
        if _is_close(values, nn.functional.layer_norm(grid, (channels,), eps=eps)):
            return Step(Layer("layer_norm", options=options(eps=eps, affine=False)), (found.x,))
    return result


def as_step(function: Pointwise) -> Value | Step:
    """A function as layers, one an operation.

    Raises:
        RuleError: an operation has no layer; says what stands in forward.
    """
    if function.value is not None:
        return function.value
    affine = _affine(function)
    if affine is not None:
        factor, shift, inner = affine
        found = options(factor=_rounded(factor), shift=_rounded(shift))
        return Step(Layer("scale", options=found), (inner,)) if found else _bare(inner)
    tensors = [one for one in function.arguments if isinstance(one, Value | Pointwise)]
    numbers = [one for one in function.arguments if isinstance(one, int | float)]
    match function.name:
        case "channel_mean" | "channel_max":
            return Step(Layer(function.name), (tensors[0],))
        case "add" | "multiply" if len(tensors) == 2:
            if tensors[0].shape[0] < tensors[1].shape[0]:  # a gate stands last
                tensors.reverse()
            return Step(Layer(function.name), tuple(tensors))
        case "sub" if len(tensors) == 2:
            return added_to(tensors[0], times(tensors[1], -1.0))
        case "pow" if tensors[0] is function.arguments[0] and numbers[0] in range(
            2, _MOST_FACTORS + 1
        ):
            return Step(Layer("multiply"), (tensors[0],) * int(numbers[0]))
        case "abs":
            negative = Step(Layer("relu"), (times(tensors[0], -1.0),))
            return added_to(Step(Layer("relu"), (tensors[0],)), negative)
        case "clamp":
            return _clamped(tensors[0], *function.arguments[1:])
    if function.name in ACTIVATIONS:
        return Step(_layer_of(function), (tensors[0],))
    raise RuleError(
        f"reads {function.text}, which no layer computes: use sums, products and the activations "
        "of torch.nn"
    )


def added_to(one: Value | Pointwise | Step, other: Value | Pointwise | Step) -> Step:
    """The sum of two."""
    return Step(Layer("add"), (one, other))


def times(x: Value | Pointwise | Step, factor: float, shift: float = 0.0) -> Step:
    """A tensor times a number, and another number added."""
    return Step(Layer("scale", options=options(factor=factor, shift=shift)), (x,))


def _clamped(x: Value | Pointwise, low: Any = None, high: Any = None) -> Value | Step:  # noqa: ANN401
    """Cut off at both sides, or at one."""
    if low is not None and high is not None:
        found = options(min_val=float(low), max_val=float(high))
        return Step(Layer("hardtanh", options=found), (x,))
    if low is not None:
        return times(Step(Layer("relu"), (times(x, 1.0, -float(low)),)), 1.0, float(low))
    if high is not None:
        return times(Step(Layer("relu"), (times(x, -1.0, float(high)),)), -1.0, float(high))
    return _bare(x)


def _bare(x: Value | Pointwise) -> Value | Step:
    return as_step(x) if isinstance(x, Pointwise) else x


def _affine(function: Value | Pointwise) -> tuple[float, float, Value | Pointwise] | None:
    """Factor, shift and what they are of, where the last operations are sums and products."""
    factor, shift, inner = 1.0, 0.0, function
    while isinstance(inner, Pointwise) and inner.value is None:
        tensors = [one for one in inner.arguments if isinstance(one, Value | Pointwise)]
        others = [one for one in inner.arguments if isinstance(one, int | float)]
        if len(tensors) != 1 or inner.name not in ("add", "sub", "multiply", "div", "neg"):
            break
        is_first = tensors[0] is inner.arguments[0]
        if inner.name == "div" and not is_first:
            break
        number = float(others[0]) if others else 1.0
        match inner.name:
            case "multiply":
                factor *= number
            case "div":
                factor /= number
            case "neg":
                factor = -factor
            case "add":
                shift += factor * number
            case "sub":
                shift += -factor * number if is_first else factor * number
                factor = factor if is_first else -factor
        inner = tensors[0]
    return None if inner is function else (factor, shift, inner)


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


def _layer_of(function: Pointwise) -> Layer:
    names = sorted(KINDS[function.name].options)
    given = dict(zip(names, function.arguments[1:], strict=False))
    return Layer(function.name, options=options(**given))


def activation_function(kind: str, options: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    """The module of an activation with its options."""
    call = KINDS[kind].module(Layer(kind), (1,))
    assert call is not None
    function: Callable[[Tensor], Tensor] = getattr(nn, call.name)(**options)
    return function


def of_activation(kind: str, given: dict[str, Any], x: Value | Pointwise) -> object:
    """An activation of a function."""
    function = activation_function(kind, given)
    return pointwise(kind, lambda x, *_: function(x), x, *(given[name] for name in sorted(given)))


def written_out(value: object) -> list[Any]:
    """A value, and it as a function of what the activations read that gave it, nearest first."""
    found: list[Any] = [value]
    inner, functions = value, list[Callable[[Tensor], Tensor]]()
    while isinstance(inner, Value) and inner.made and inner.made.layer.kind in ACTIVATIONS:
        layer, (base,) = inner.made.layer, inner.made.reads
        given = {name: layer.option(name) for name in KINDS[layer.kind].options}
        functions = [activation_function(layer.kind, given), *functions]
        assert isinstance(base, Value)
        assert isinstance(value, Value)
        found.append(Pointwise(base, _chained(functions), layer.kind, (base,), value=value))
        inner = base
    return found


def _chained(functions: list[Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    def chained(x: Tensor) -> Tensor:
        for function in functions:
            x = function(x)
        return x

    return chained


def _base(value: Value | Pointwise) -> Value:
    return value.x if isinstance(value, Pointwise) else value


def _at(argument: object, x: Tensor) -> object:
    match argument:
        case Pointwise():
            return argument.function(x)
        case Value():
            return x
    return argument


def _numbers(function: Pointwise) -> list[float]:
    """All that stand in a function."""
    found = []
    for argument in function.arguments:
        if isinstance(argument, Pointwise):
            found += _numbers(argument)
        elif isinstance(argument, int | float):
            found.append(float(argument))
    return found


@cache
def _grid(bends: tuple[float, ...] = ()) -> Tensor:
    """Near 0, where activations bend, and far away, where they are straight.

    Args:
        bends: where else a function may bend; looked at beyond them too.
    """
    near = torch.linspace(-9, 9, 73, dtype=torch.float64)
    far = [-1000.0, -30.0, 30.0, 1000.0, *(2 * sign * at for at in bends for sign in (-1, 1))]
    return torch.cat([near, torch.tensor(far, dtype=torch.float64)])


@cache
def _activations(bends: tuple[float, ...]) -> tuple[tuple[Layer, Tensor], ...]:
    usual = [Layer(kind) for kind in ACTIVATIONS]
    layers = [*usual, Layer("gelu", options=(("approximate", "tanh"),))]
    grid = _grid(bends)
    return tuple(
        (layer, activation_function(layer.kind, dict(layer.options))(grid)) for layer in layers
    )


def _is_close(values: Tensor, expected: Tensor) -> bool:
    return torch.allclose(values, expected, rtol=_TOLERANCE, atol=_TOLERANCE)
