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
        channels_last: whether it is turned, to `B x H x W x C`, or was when it was flattened.
        groups: of its channels, where they stand apart: `B x groups x C / groups x H x W`.
        shuffled: whether groups and channels of a group have changed places.
        pixel: whether it is a vector that stands as one pixel, `B x C x 1 x 1`.
        row: whether it is a vector that stands as one row, `B x 1 x C`.
        made: the step whose output it is, where it lies as that step gave it.
    """

    index: int
    shape: Shape
    flat: bool = False
    channels_last: bool = False
    groups: int = 0
    shuffled: bool = False
    pixel: bool = False
    row: bool = False
    made: "Step | None" = field(default=None, compare=False, repr=False)

    @property
    def sizes(self) -> tuple[Any, ...]:
        """What `x.size()` is: the batch first."""
        if self.row:
            return (BATCH, 1, math.prod(self.shape))
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

    @property
    def is_vector(self) -> bool:
        """Whether it has `B x C`, one value a channel."""
        return len(self.sizes) == 2 and self.sizes[1] == self.shape[0]

    @property
    def is_plain(self) -> bool:
        """Whether it is a map or a vector as layers give them, in no other form."""
        return not self.channels_last and self.sizes[1:] == self.shape

    def given(self, index: int, shape: Shape) -> "Value":
        """What a layer gives that leaves the form as it is."""
        is_map = len(shape) == 3
        groups = self.groups if shape == self.shape else 0
        return Value(
            index,
            shape,
            self.flat and is_map,
            channels_last=self.channels_last and is_map,
            groups=groups,
            shuffled=self.shuffled and groups > 0,
            pixel=self.pixel and not is_map,
            row=self.row,
        )


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that is no image: weights that forward uses by itself, or worked out of them.

    Attributes:
        path: of it in the module, or of what it was worked out of; may be empty.
        value: of it.
        learned: whether it, or what it was worked out of, is a parameter.
    """

    path: str
    value: Tensor = field(compare=False, repr=False)
    learned: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return tuple(self.value.shape)


@dataclass(frozen=True, slots=True)
class Pointwise:
    """A function of every value of a tensor, or of all channels of a pixel, by itself no layer yet.

    Attributes:
        x: what it is a function of.
        function: of a tensor `N x C` or of any shape; of `N x C` alone where it is over channels.
        name: of the operation that was last.
        arguments: of that operation.
        over_channels: whether a value depends on the other channels of its pixel.
        one_channel: whether it has one value a pixel.
        value: where a layer gives it already.
    """

    x: Value
    function: Callable[[Tensor], Tensor] = field(compare=False, repr=False)
    name: str
    arguments: tuple[object, ...]
    over_channels: bool = False
    one_channel: bool = False
    value: Value | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """How an error message names it, as `add(x, 3)`."""
        return f"{self.name}({', '.join(map(_text, self.arguments))})"

    @property
    def shape(self) -> Shape:
        """Of the output, one image."""
        return (1, *self.x.shape[1:]) if self.one_channel else self.x.shape


def _text(argument: object) -> str:
    match argument:
        case Pointwise():
            return argument.text
        case Value():
            return "x"
    return f"{argument:g}" if isinstance(argument, float) else str(argument)


@dataclass(frozen=True, slots=True)
class Step:
    """A layer to add (its `inputs` are set by the reader), what it reads, and how its output is.

    Attributes:
        layer: to add.
        reads: what it reads; steps and functions among them are added before it.
        flat: whether the output is flattened; None where it is as the first input is.
        path: of the module with the weights, or of the weights, where that is not the one called.
        weights: by their names in the layer, where forward uses them by themselves.
    """

    layer: Layer
    reads: "tuple[Value | Pointwise | Step, ...]"
    flat: bool | None = None
    path: str = ""
    weights: tuple[tuple[str, Weight], ...] = ()


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A map or a vector in a shape that only few operations read.

    Attributes:
        x: the map.
        sizes: its shape: `B x C x H*W` of a map whose pixels lie in a row; `B x C x H` of which the
            width was averaged; `B x H x W` of a map of one channel; `B x groups x all else`, of
            which a group norm is the instance norm; one row of all values.
    """

    x: Value | Pointwise
    sizes: tuple[Any, ...]


def plain(option: str, value: object, taken: object, instead: str) -> None:
    """Refuse an option that a layer cannot hold."""
    if value != taken:
        raise RuleError(f"has {option}={value!r}, layers have {option}={taken!r}: {instead}")


def need(fits: bool, wanted: str, value: Value) -> None:
    """Refuse a value that an operation cannot read."""
    if not fits:
        found = " x ".join(map(str, value.sizes))
        raise RuleError(
            f"needs {wanted} but reads {found}: check the shape of the images and what is before"
        )


def side(option: str, value: object) -> int:
    """One integer from an integer or a square pair."""
    extents = list(value) if isinstance(value, tuple | list) else [value]
    if not extents or type(extents[0]) is not int or any(e != extents[0] for e in extents):
        raise RuleError(f"has {option}={value!r}: give one integer for both sides")
    return extents[0]


def one_of(value: object) -> object:
    """The only one of a list, or the value."""
    return value[0] if isinstance(value, tuple | list) and len(value) == 1 else value


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
