"""What tracing reads forward as: values, weights and steps; and what their options mean."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from archpress.architecture.layers import OPTIONS, Layer
from archpress.architecture.shape_rules import RuleError, Shape

BATCH = "B"  # the size of the batch, where forward asks for it


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor in forward: the layer that gives it (-1: the image), and how it lies in memory.

    Flattening and turning are no layers, so the value keeps the shape of the map that it was.

    Attributes:
        index: of the layer.
        shape: of its output.
        flat: whether it is flattened.
        channels_last: whether it is turned, to `B x H x W x C`.
        groups: of its channels, where they stand apart: `B x groups x C / groups x H x W`.
        shuffled: whether groups and channels of a group have changed places.
        pixel: whether it is a vector that stands as one pixel, `B x C x 1 x 1`.
        made: the step whose output it is, where it lies as that step gave it.
    """

    index: int
    shape: Shape
    flat: bool = False
    channels_last: bool = False
    groups: int = 0
    shuffled: bool = False
    pixel: bool = False
    made: "Step | None" = field(default=None, compare=False, repr=False)

    @property
    def sizes(self) -> tuple[Any, ...]:
        """What `x.size()` is: the batch first."""
        if self.flat:
            return (BATCH, math.prod(self.shape))
        if self.pixel:
            return (BATCH, *self.shape, 1, 1)
        channels, *rest = self.shape
        if self.channels_last:
            return (BATCH, *rest, channels)
        if self.groups:
            apart = (self.groups, channels // self.groups)
            return (BATCH, *(reversed(apart) if self.shuffled else apart), *rest)
        return (BATCH, *self.shape)

    @property
    def is_map(self) -> bool:
        """Whether it has `B x C x H x W`."""
        return len(self.sizes) == 4 and not self.channels_last and not self.pixel

    def given(self, index: int, shape: Shape) -> "Value":
        """What a layer gives that leaves the form as it is."""
        is_map = len(shape) == 3
        flat, last = self.flat and is_map, self.channels_last and is_map
        return Value(index, shape, flat, channels_last=last, pixel=self.pixel and not is_map)


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that is no image: weights that forward uses by itself, or worked out of them.

    Attributes:
        path: of it in the module, or of what it was worked out of; may be empty.
        value: of it.
    """

    path: str
    value: Tensor = field(compare=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return tuple(self.value.shape)


@dataclass(frozen=True, slots=True)
class Pointwise:
    """The same function of every value of a tensor, part of an activation that is written out.

    Attributes:
        x: what it is a function of.
        function: of a tensor of any shape.
        text: how an error message names it, as `add(x, 3)`.
    """

    x: Value
    function: Callable[[Tensor], Tensor] = field(compare=False, repr=False)
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """A layer to add (its `inputs` are set by the reader), what it reads, and how its output is.

    Attributes:
        flat: whether the output is flattened; None where it is as the first input is.
        path: of the module with the weights, or of the weights, where that is not the one called.
        weights: by their names in the layer, where forward uses them by themselves.
    """

    layer: Layer
    reads: tuple[Value, ...]
    flat: bool | None = None
    path: str = ""
    weights: tuple[tuple[str, Weight], ...] = ()


def plain(option: str, value: object, taken: object, instead: str) -> None:
    """Refuse an option that a layer cannot hold."""
    if value != taken:
        raise RuleError(f"has {option}={value!r}, layers have {option}={taken!r}: {instead}")


def need(fits: bool, wanted: str, value: Value) -> None:
    """Refuse a value that an operation cannot read."""
    if not fits:
        found = " x ".join(map(str, value.sizes))
        raise RuleError(f"needs {wanted} but reads {found}: check input_shape and what is before")


def side(option: str, value: object) -> int:
    """One integer from an integer or a square pair."""
    extents = list(value) if isinstance(value, tuple | list) else [value]
    if not extents or type(extents[0]) is not int or any(e != extents[0] for e in extents):
        raise RuleError(f"has {option}={value!r}: windows must be square, so give one integer")
    return extents[0]


def pair(option: str, value: object) -> tuple[int, int]:
    """Height and width from one integer or two."""
    match value:
        case int() | [int()] | (int(),):
            extent = value if isinstance(value, int) else value[0]
            return extent, extent
        case [int(), int()] | (int(), int()):
            return value[0], value[1]
    raise RuleError(f"has {option}={value!r}: give one integer or two")


def options(**named: object) -> tuple[tuple[str, Any], ...]:
    """As a layer has them: by name, without the usual ones."""
    return tuple((name, named[name]) for name in sorted(named) if named[name] != OPTIONS[name])


def windowed(
    kind: str,
    kernel_size: object,
    stride: object,
    padding: object,
    *,
    channels: int = 0,
    bias_free: bool = False,
    **more: Any,  # noqa: ANN401 options of the layer
) -> Layer:
    """A layer with a window, which may be wider than high."""
    (kernel, kernel_width), (step, step_width), (pad, pad_width) = (
        pair("kernel_size", kernel_size),
        pair("stride", stride),
        pair("padding", padding),
    )
    widths = options(
        kernel_width=kernel_width if kernel_width != kernel else 0,
        stride_width=step_width if step_width != step else 0,
        padding_width=pad_width if pad_width != pad else -1,
        **more,
    )
    return Layer(kind, kernel, channels, step, pad, bias_free=bias_free, options=widths)
