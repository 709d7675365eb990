"""What each kind of layer does to shapes; the table of kinds is in `kinds`."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archpress.architecture.layers import Layer

Shape = tuple[int, ...]


def format_shape(shape: Iterable[int]) -> str:
    """A shape for people: (3, 32, 32) is ``3x32x32``."""
    return "x".join(map(str, shape))


class RuleError(ValueError):
    """A layer breaks a rule of its kind; the message has the rule and the value."""


def require_map(shape: Shape) -> tuple[int, int, int]:
    """Channels, height and width of a map.

    Raises:
        RuleError: it is a vector.
    """
    if len(shape) != 3:
        raise RuleError(f"needs a map of C x H x W but its input is a vector of {shape[0]} values")
    return shape[0], shape[1], shape[2]


def window(layer: "Layer") -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride and padding, each as (height, width); most windows are square."""
    width, padding = int(layer.option("kernel_width")), int(layer.option("padding_width"))
    return (
        (layer.kernel, width or layer.kernel),
        (layer.stride, int(layer.option("stride_width")) or layer.stride),
        (layer.padding, layer.padding if padding < 0 else padding),
    )


def slide(layer: "Layer", height: int, width: int) -> tuple[int, int]:
    """Height and width after a window was moved over a map.

    Raises:
        RuleError: the window does not fit.
    """
    dilation = int(layer.option("dilation"))
    extents = []
    for extent, kernel, stride, padding in zip((height, width), *window(layer), strict=True):
        reach = (kernel - 1) * dilation + 1
        room = extent + 2 * padding - reach
        if room < 0:
            raise RuleError(
                f"kernel {reach} does not fit a {height}x{width} map with padding {padding}"
            )
        steps = room // stride
        # A last window that begins in the padding does not count.
        if layer.option("ceil_mode") and room % stride and (steps + 1) * stride < extent + padding:
            steps += 1
        extents.append(steps + 1)
    return extents[0], extents[1]


def convolved(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Channels of its own."""
    channels, height, width = require_map(shapes[0])
    groups = int(layer.option("groups"))
    if channels % groups or layer.channels % groups:
        raise RuleError(
            f"{channels} and {layer.channels} channels do not divide by groups={groups}"
        )
    return (layer.channels, *slide(layer, height, width))


def convolved_by_channel(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """The channels stay."""
    channels, height, width = require_map(shapes[0])
    return (channels, *slide(layer, height, width))


def pooled(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """The channels stay, and there is no more padding than torch allows."""
    kernels, _, paddings = window(layer)
    if any(padding > kernel // 2 for kernel, padding in zip(kernels, paddings, strict=True)):
        raise RuleError(
            f"padding {layer.padding} is more than half of the pooling kernel {layer.kernel}"
        )
    return convolved_by_channel(layer, shapes)


def averaged(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """One value a channel."""
    return (require_map(shapes[0])[0], 1, 1)


def flat(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """A vector."""
    return (layer.channels,)


def same(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """As it was."""
    return shapes[0]


def grouped(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """As it was; the channels divide by the groups."""
    groups = int(layer.option("groups"))
    if shapes[0][0] % groups:
        raise RuleError(f"{shapes[0][0]} channels do not divide by groups={groups}")
    return shapes[0]


def normed_in_groups(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """As it was; each group has more than one value."""
    groups = int(layer.option("groups"))
    if math.prod(shapes[0]) <= groups:
        raise RuleError("has one value a group, of which the norm is nothing")
    return grouped(layer, shapes)


def shuffled(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """As it was; a map whose channels divide by the groups."""
    require_map(shapes[0])
    return grouped(layer, shapes)


def sliced(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Some of the channels."""
    begin, end = int(layer.option("begin")), int(layer.option("end"))
    if not 0 <= begin < end <= shapes[0][0]:
        raise RuleError(f"channels {begin} to {end} are not among the {shapes[0][0]} of its input")
    return (end - begin, *shapes[0][1:])


def added(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Equal shapes."""
    if any(shape != shapes[0] for shape in shapes):
        raise RuleError(f"cannot add outputs of shapes {_listed(shapes)}; they must be equal")
    return shapes[0]


def padded(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Pixels come or go at the four sides."""
    channels, height, width = require_map(shapes[0])
    above, below, left, right = (
        int(layer.option(side)) for side in ("above", "below", "left", "right")
    )
    mode = layer.option("mode")
    most = {"zeros": math.inf, "replicate": math.inf, "reflect": -1, "circular": 0}.get(str(mode))
    if most is None:
        raise RuleError(f"mode must be zeros, reflect, replicate or circular, not {mode!r}")
    for extent, added_pixels in ((height, (above, below)), (width, (left, right))):
        if max(added_pixels) > extent + most or (mode != "zeros" and min(added_pixels) < 0):
            raise RuleError(f"pads {added_pixels} of mode {mode} to a side of {extent}")
        if extent + min(*added_pixels, sum(added_pixels)) < 1:
            raise RuleError(f"takes {added_pixels} from a side of {extent}: nothing is left")
    return channels, height + above + below, width + left + right


def channels_added(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Channels of zeros before and after those of the input."""
    channels, begin = shapes[0][0], int(layer.option("begin"))
    if begin + channels > layer.channels:
        raise RuleError(f"{channels} channels from {begin} do not fit into {layer.channels}")
    return (layer.channels, *shapes[0][1:])


def one_channel(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """One value a pixel."""
    return (1, *require_map(shapes[0])[1:])


def same_map(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """As it was; a map."""
    return require_map(shapes[0])


def one_pixel(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """As it was: one value a channel."""
    size = int(layer.option("size"))
    if math.prod(shapes[0][1:]) != 1 or size % 2 == 0:
        raise RuleError(f"slides a window of {size}, which is odd, over channels of one pixel")
    return shapes[0]


def resized(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Height and width that the layer says."""
    return (require_map(shapes[0])[0], int(layer.option("height")), int(layer.option("width")))


def enlarged(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Sides times a whole number."""
    channels, height, width = require_map(shapes[0])
    times = int(layer.option("times"))
    if times < 1 or (layer.option("align_corners") and not layer.option("bilinear")):
        raise RuleError("enlarges at least once, and aligns corners only where it is bilinear")
    return channels, times * height, times * width


def flattened(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """All values in a row."""
    return (math.prod(shapes[0]),)


def multiplied(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """Of the first; the others are as large, or one value for each of its channels or pixels."""
    first = shapes[0]
    gates = ((first[0], *(1 for _ in first[1:])), first[:1], (1, *first[1:]))
    if any(shape not in (first, *gates) for shape in shapes[1:]):
        raise RuleError(
            f"cannot multiply outputs of shapes {_listed(shapes)}; they must be equal, or one "
            f"value a channel or pixel"
        )
    return first


def concatenated(layer: "Layer", shapes: Sequence[Shape]) -> Shape:
    """All channels together."""
    if any(shape[1:] != shapes[0][1:] or len(shape) != len(shapes[0]) for shape in shapes):
        raise RuleError(
            f"cannot concatenate outputs of shapes {_listed(shapes)}; height and width must agree"
        )
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _listed(shapes: Sequence[Shape]) -> str:
    return " and ".join(format_shape(shape) for shape in shapes)
