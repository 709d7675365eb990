"""Operations element by element, and joins. See `operations`."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import OPTIONS, Layer
from archpress.architecture.shape_rules import RuleError, format_shape
from archpress.reading.operations_scales import scaled, shifted
from archpress.reading.pointwise import (
    added_to,
    is_of_one,
    is_zero,
    of_activation,
    pointwise,
    times,
    written_out,
)
from archpress.reading.traced_values import Pointwise, Step, Value, Weight, options, plain

Read = Value | Pointwise


def activation(kind: str, x: Read, *given: Any, **named: Any) -> object:  # noqa: ANN401
    """With its options, where it has any: by place, in PyTorch's order, or by name."""
    found: dict[str, Any] = {}
    for place, name in enumerate(_in_order(kind)):
        value = given[place] if place < len(given) else named.get(name, OPTIONS[name])
        found[name] = type(OPTIONS[name])(value)
    if isinstance(x, Pointwise):
        return of_activation(kind, found, x)
    return Step(Layer(kind, options=options(**found)), (x,))


def _in_order(kind: str) -> list[str]:
    """Options as PyTorch's functions take them: by name, but the least before the most."""
    return sorted(KINDS[kind].options, key=lambda name: (name == "max_val", name))


def activation_module(kind: str, module: nn.Module, x: Value) -> object:
    """With the module's options."""
    return activation(kind, x, **{name: getattr(module, name) for name in KINDS[kind].options})


def between(x: Read, min: float | None = None, max: float | None = None) -> object:
    """Cut off below and above."""
    return pointwise("clamp", torch.clamp, x, min, max)


def hardtanh(x: Read, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> object:
    """Likewise."""
    return between(x, min_val, max_val)


def prelu(x: Read, weight: Weight) -> Step:
    """`F.prelu`: a leaky ReLU whose slope is learned, for all channels or for each."""
    slopes = weight.value.numel()
    base = x.x if isinstance(x, Pointwise) else x
    if slopes not in (1, base.shape[0]) or base.channels_last:
        raise RuleError(f"has {slopes} slopes for {base.shape[0]} channels: one, or one a channel")
    found = options(per_channel=slopes > 1)
    return Step(
        Layer("prelu", options=found),
        (x,),
        path=weight.path.removesuffix(".weight"),
        weights=(("weight", weight),),
    )


def subtract(x: object, other: object, *, alpha: object = 1) -> object:
    """Numbers, weights or another output; weights or a number less an output, too."""
    plain("alpha", alpha, 1, "subtract without a factor")
    if isinstance(x, Read) and isinstance(other, Weight):
        return shifted(x, Weight(other.path, -other.value, other.learned))
    if is_of_one(x, other):
        return pointwise("sub", torch.sub, x, other)
    if isinstance(x, Weight) and isinstance(other, Read):
        return shifted(times(other, -1.0), x, other)
    if isinstance(x, Read) and isinstance(other, Read):
        _check_forms("add", (x, other))
        return added_to(x, times(other, -1.0))
    raise RuleError("subtracts what is no layer's output: use outputs of layers, or numbers")


def negative(x: Read) -> object:
    """`-x`."""
    return pointwise("neg", torch.neg, x)


def divide(x: object, other: object, *, rounding_mode: object = None) -> object:
    """By weights, or in a function that is written out."""
    plain("rounding_mode", rounding_mode, None, "divide without rounding")
    if isinstance(x, Read) and isinstance(other, Weight):
        return scaled(x, Weight(other.path, 1 / other.value, other.learned))
    if is_of_one(x, other):
        return pointwise("div", torch.div, x, other)
    raise RuleError("divides by a tensor, which no layer does: divide by weights, one a channel")


def power(x: Read, exponent: float) -> object:
    """In a function that is written out, or as a product."""
    if isinstance(exponent, Weight):
        raise RuleError("has an exponent that is learned, which no layer has: use a pool")
    return pointwise("pow", torch.pow, x, exponent)


def function_of_one(function: Callable[[Tensor], Tensor], x: Read) -> object:
    """In a function that is written out."""
    return pointwise(getattr(function, "__name__", "function"), function, x)


def dropout(x: Value, p: float = 0.5, training: bool = False, inplace: bool = False) -> Step:
    """Of a module, and where a function says that it does not train."""
    return Step(Layer("dropout", rate=p), (x,))


def dropout_called(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Step:
    """`F.dropout`, which drops in evaluation, too, where forward does not say otherwise."""
    if training is True:
        raise RuleError("drops values in evaluation, too: give it training=self.training")
    return dropout(x, p)


def _check_forms(kind: str, values: Sequence[object]) -> None:
    bases = [value.x if isinstance(value, Pointwise) else value for value in values]
    reads = [value for value in bases if isinstance(value, Value)]
    if len(reads) < len(values):
        raise RuleError("joins a tensor with what is no layer's output: use layers alone")
    forms = {(value.flat, value.channels_last, value.row) for value in reads if not value.pixel}
    pixels = {value.pixel for value in reads}
    alike = len(forms) <= 1 and (len(pixels) == 1 or kind == "multiply")
    if len(forms) <= 1 and not alike:
        raise RuleError(f"joins a map and one value a channel by {kind}: layers only multiply them")
    if not alike or any(value.groups for value in reads):
        raise RuleError("joins a map and a flattened or turned tensor: flatten both or none")


def _joined(kind: str, values: Sequence[Any]) -> Step:
    vectors = _as_vectors(values)
    if vectors is not None:
        return Step(Layer(kind), vectors, flat=False)
    _check_forms(kind, values)
    if kind != "concat":
        return Step(Layer(kind), tuple(values))
    # Two maps of unlike sides, both flattened, are so one after the other.
    bases = [value.x if isinstance(value, Pointwise) else value for value in values]
    apart = bases[0].flat and len({value.shape[1:] for value in bases}) > 1
    reads = tuple(Step(Layer("flatten"), (value,)) if apart else value for value in values)
    return Step(Layer(kind), reads, flat=False if apart else None)


def _as_vectors(values: Sequence[Any]) -> tuple[Any, ...] | None:
    """Vectors, of which some are maps that were flattened, all as vectors; None: they need not."""
    bases = [value.x if isinstance(value, Pointwise) else value for value in values]
    for one in bases:
        if not isinstance(one, Value) or len(one.sizes) != 2 or one.channels_last:
            return None
    if len({len(one.shape) for one in bases}) == 1:
        return None
    return tuple(
        Step(Layer("flatten"), (value,), flat=False) if base.flat else value
        for value, base in zip(values, bases, strict=True)
    )


def add(x: object, other: object, *, alpha: object = 1) -> object:
    """Two outputs, an output and weights, or in a function that is written out."""
    if alpha != 1 and isinstance(alpha, int | float):
        other = multiply(other, alpha)
        if isinstance(other, Step):
            raise RuleError(f"has alpha={alpha!r}: multiply before adding")
    for value, summand in ((x, other), (other, x)):
        if isinstance(value, Read) and isinstance(summand, Weight):
            return shifted(value, summand)
    return _of_one_or_joined("add", torch.add, x, other)


def multiply(x: object, other: object) -> object:
    """Two outputs, an output and weights, or in a function that is written out."""
    for value, factor in ((x, other), (other, x)):
        if isinstance(value, Read) and isinstance(factor, Weight):
            return scaled(value, factor)
    if isinstance(x, Read) and isinstance(other, Read) and _is_gate(x) and not _is_gate(other):
        x, other = other, x
    return _of_one_or_joined("multiply", torch.mul, x, other)


def _of_one_or_joined(
    kind: str, function: Callable[..., Tensor], x: object, other: object
) -> object:
    """A sigmoid's output and its input are both functions of one tensor, and a SiLU together."""
    for one, two in product(written_out(x), written_out(other)):
        if is_of_one(one, two):
            result = pointwise(kind, function, one, two)
            both = isinstance(x, Value) and isinstance(other, Value)
            if not (both and isinstance(result, Pointwise)):
                return result
    return _joined(kind, (x, other))


def _is_gate(value: Read) -> bool:
    """Whether it has one value a channel, or one a pixel."""
    if isinstance(value, Value) and value.pixel:
        return True
    shape = value.shape
    return len(shape) == 3 and (shape[1:] == (1, 1) or shape[0] == 1)


def largest(x: Read, other: Read) -> Step:
    """The larger of two, `b + relu(a - b)`."""
    _check_forms("add", (x, other))
    return added_to(other, Step(Layer("relu"), (added_to(x, times(other, -1.0)),)))


def smallest(x: Read, other: Read) -> Step:
    """The smaller of two, `b - relu(b - a)`."""
    _check_forms("add", (x, other))
    more = Step(Layer("relu"), (added_to(other, times(x, -1.0)),))
    return added_to(other, times(more, -1.0))


def softmax(kind: str, x: Value, dim: int | None = None, *_: object, **__: object) -> Step:
    """Over the channels."""
    dim = 1 if dim is None else dim
    if x.channels_last or x.groups or dim % len(x.sizes) != 1 or (x.flat and x.shape[1:] > (1, 1)):
        raise RuleError(f"is over dim={dim}: take it over the channels, dim 1")
    return Step(Layer(kind), (x,))


def gated_half(x: Value, dim: int = -1) -> Step:
    """`F.glu`: half of the channels, times the sigmoid of the others."""
    if x.channels_last or dim % len(x.sizes) != 1 or x.shape[0] % 2:
        raise RuleError(f"is over dim={dim}: halve the channels, dim 1")
    half = x.shape[0] // 2
    first = Step(Layer("slice", options=options(begin=0, end=half)), (x,))
    second = Step(Layer("slice", options=options(begin=half, end=2 * half)), (x,))
    return Step(Layer("multiply"), (first, Step(Layer("sigmoid"), (second,))))


def concatenate(tensors: Sequence[Any], dim: int = 0, axis: int | None = None) -> object:
    """Along the channels; zeros among them are channels that are padded."""
    dim = dim if axis is None else axis
    values = [one for one in tensors if not _is_zero(one)]
    if not values or not isinstance(values[0], Read):
        raise RuleError("joins what is no layer's output: use layers alone")
    base = values[0].x if isinstance(values[0], Pointwise) else values[0]
    if dim % len(base.sizes) != 1 or base.channels_last:
        raise RuleError(f"is along dim={dim}: concatenate along channels, dim 1")
    if len(values) == len(tensors):
        return _joined("concat", tensors) if len(tensors) > 1 else tensors[0]
    return _with_zeros(tensors, base)


def _is_zero(value: object) -> bool:
    match value:
        case Weight():
            return not value.learned and value.value.dim() > 1 and not bool(value.value.any())
        case Pointwise():
            return is_zero(value)
    return False


def _with_zeros(tensors: Sequence[Any], base: Value) -> Step:
    """Channels of zeros go with the output before them, or after them where they are first."""
    parts: list[tuple[Any, int, int]] = []  # a value, channels of zeros before and after it
    before = 0
    for one in tensors:
        if not _is_zero(one):
            parts.append((one, before, 0))
            before = 0
            continue
        channels = one.shape[0] if isinstance(one, Pointwise) else one.shape[1]
        sides = one.shape[2:] if isinstance(one, Weight) else one.shape[1:]
        fits = base.is_vector if base.flat else tuple(sides) == base.shape[1:]
        if not fits:
            raise RuleError(f"joins zeros of {format_shape(sides)}: height and width differ")
        if parts:
            value, first, after = parts[-1]
            parts[-1] = (value, first, after + channels)
        else:
            before += channels
    reads = tuple(
        Step(
            Layer(
                "pad_channels",
                channels=first + value.shape[0] + after,
                options=options(begin=first),
            ),
            (value,),
        )
        if first or after
        else value
        for value, first, after in parts
    )
    only = reads[0]
    return only if len(reads) == 1 and isinstance(only, Step) else Step(Layer("concat"), reads)


# What reads functions as they are; for all else they become layers.
ELEMENTWISE: frozenset[Callable[..., object]] = frozenset(
    {
        *(activation, activation_module, add, between, concatenate, divide, function_of_one),
        *(hardtanh, largest, multiply, negative, power, prelu, smallest, subtract),
    }
)
