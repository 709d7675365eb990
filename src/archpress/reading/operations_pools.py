"""Pools, means, sums and maxima. See `operations`."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError
from archpress.reading.operations_elementwise import Read, largest, smallest
from archpress.reading.operations_parts import Stack, average, total
from archpress.reading.pointwise import of_channels, over_channels, times
from archpress.reading.traced_values import (
    Pointwise,
    Reshaped,
    Step,
    Value,
    need,
    options,
    pair,
    plain,
    side,
    windowed,
)


def _pool(
    kind: str,
    x: Value,
    kernel_size: object,
    stride: object,
    padding: object,
    **more: Any,  # noqa: ANN401 options of the layer
) -> Step:
    need(x.is_map, "a map of B x C x H x W", x)
    return Step(windowed(kind, kernel_size, stride or kernel_size, padding, **more), (x,))


def max_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Step:
    """`F.max_pool2d`."""
    plain("return_indices", return_indices, False, "return the values alone")
    step = side("dilation", dilation)
    return _pool(
        "max_pool", x, kernel_size, stride, padding, dilation=step, ceil_mode=bool(ceil_mode)
    )


def average_pool(
    x: Value,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Step:
    """`F.avg_pool2d`; where there is no padding, it is counted."""
    plain("divisor_override", divisor_override, None, "divide by the window")
    counted = bool(count_include_pad) or (padding in (0, (0, 0)) and not ceil_mode)
    return _pool(
        "average_pool",
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode=bool(ceil_mode),
        count_include_pad=counted,
    )


def adaptive_pool(kind: str, x: Value, output_size: Any) -> Step | Value:  # noqa: ANN401
    """A pool whose windows are all alike, where the sides divide; else one of its own kind."""
    need(x.is_map, "a map of B x C x H x W", x)
    given = list(output_size) if isinstance(output_size, tuple | list) else [output_size] * 2
    sides = x.shape[1:]
    wanted = [side if size is None else size for side, size in zip(sides, given, strict=True)]
    if wanted == list(sides) and wanted != [1, 1]:
        return x  # each window is one pixel
    if wanted == [1, 1] and kind == "average_pool":
        return Step(Layer("global_average_pool"), (x,))
    if any(side % size for side, size in zip(sides, wanted, strict=True)):
        found = options(height=wanted[0], width=wanted[1])
        return Step(Layer(f"adaptive_{kind}", options=found), (x,))
    kernel = tuple(side // size for side, size in zip(sides, wanted, strict=True))
    return _pool(kind, x, kernel, kernel, 0)


def adaptive_max_pool(x: Value, output_size: object, return_indices: bool = False) -> Step | Value:
    """`F.adaptive_max_pool2d`."""
    plain("return_indices", return_indices, False, "return the values alone")
    return adaptive_pool("max_pool", x, output_size)


def local_norm(
    x: Value, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Step:
    """`F.local_response_norm`."""
    need(x.is_map, "a map of B x C x H x W", x)
    found = options(size=int(size), alpha=float(alpha), beta=float(beta), k=float(k))
    return Step(Layer("local_norm", options=found), (x,))


def upsample(
    x: Value,
    size: Any = None,  # noqa: ANN401 a number or two
    scale_factor: Any = None,  # noqa: ANN401 likewise
    mode: str = "nearest",
    align_corners: bool | None = None,
    *_: object,
    **__: object,
) -> Step | Value:
    """`F.interpolate` to a whole number of times the sides."""
    need(x.is_map, "a map of B x C x H x W", x)
    if mode not in ("nearest", "bilinear", "nearest-exact"):
        raise RuleError(f"has mode={mode!r}: enlarge by nearest or bilinear")
    sides = x.shape[1:]
    if size is not None:
        times = [one / side for one, side in zip(pair("size", size), sides, strict=True)]
    else:
        given = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor] * 2
        times = [float(one) for one in given]
    if times[0] != times[1] or times[0] != int(times[0]) or times[0] < 1:
        raise RuleError(
            f"resizes a map of {sides[0]}x{sides[1]} by {times}: by whole numbers alone"
        )
    if times[0] == 1:
        return x
    is_bilinear = mode == "bilinear"
    found = options(
        times=int(times[0]),
        bilinear=is_bilinear,
        align_corners=is_bilinear and bool(align_corners),
    )
    return Step(Layer("upsample", options=found), (x,))


# --- over axes -----------------------------------------------------------------------------------


def _axes(x: Value | Reshaped, dim: Any) -> list[int]:  # noqa: ANN401 None, an integer or several
    rank = len(x.sizes)
    if dim is None:
        raise RuleError("is over all values at once: take it over height and width, (2, 3)")
    given = list(dim) if isinstance(dim, Sequence) else [dim]
    return sorted(axis % rank for axis in given)


def mean(x: Read | Reshaped | Stack, dim: Any = None, keepdim: bool = False) -> object:  # noqa: ANN401
    """Over height and width, at once or one after the other; over channels; over a stack."""
    return average(x, dim) if isinstance(x, Stack) else _averaged(x, dim, keepdim)


def _averaged(x: Read | Reshaped, dim: Any, keepdim: bool) -> Step | Pointwise | Reshaped:  # noqa: ANN401
    if isinstance(x, Reshaped):
        channels, *sides = x.x.shape
        is_alone = channels == 1 and list(x.sizes[1:]) == sides  # `B x H x W`
        is_each = len(x.sizes) == 3 and x.sizes[1] == channels and not is_alone
        if not isinstance(x.x, Value) or not is_each or _axes(x, dim) != [2]:
            raise RuleError(f"is over dim={dim!r} of a map that is reshaped: take it over pixels")
        return Step(Layer("global_average_pool"), (x.x,), flat=True)
    base = x.x if isinstance(x, Pointwise) else x
    axes = _axes(base, dim)
    channels = len(base.sizes) - 1 if base.channels_last else 1
    if axes == [channels] and base.sizes[channels] == base.shape[0]:
        found = over_channels("channel_mean", x)
        return found if keepdim else Reshaped(found, ("B", *base.shape[1:]))
    spatial = [1, 2] if base.channels_last else [2, 3]
    if not (base.is_map or base.channels_last) or not set(axes) <= set(spatial):
        raise RuleError(f"is over dim={dim!r}: take it over height and width, (2, 3), at once")
    if axes == spatial:
        return Step(Layer("global_average_pool"), (x,), flat=not keepdim)
    (axis,) = axes
    if keepdim and base.is_map:
        kernel = (base.shape[1], 1) if axis == 2 else (1, base.shape[2])
        return Step(windowed("average_pool", kernel, kernel, 0), (x,))
    if base.channels_last or isinstance(x, Pointwise):
        raise RuleError(f"is over dim={dim!r}: take it over height and width, (2, 3), at once")
    return Reshaped(x, ("B", base.shape[0], base.shape[1 if axis == 3 else 2]))


def add_up(x: Read | Reshaped | Stack, dim: Any = None, keepdim: bool = False) -> object:  # noqa: ANN401
    """Likewise, the sum."""
    if isinstance(x, Stack):
        return total(x, dim)
    found = _averaged(x, dim, keepdim)
    if isinstance(x, Reshaped):
        assert isinstance(found, Step)
        return times(found, float(x.sizes[2]))
    base = x.x if isinstance(x, Pointwise) else x
    if isinstance(found, Reshaped):
        raise RuleError(f"is over dim={dim!r}: take it over height and width, (2, 3), at once")
    if isinstance(found, Pointwise):
        raise RuleError(f"is over dim={dim!r}: take the mean over channels")
    is_half = found.layer.kind == "average_pool"
    height, width = base.shape[1:]
    count = found.layer.kernel * int(found.layer.option("kernel_width") or 1)
    return times(found, float(count if is_half else height * width))


def spread(
    root: bool,
    x: Read,
    dim: Any = None,  # noqa: ANN401
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: int | None = None,
) -> Pointwise:
    """`var` or `std` of the channels, a part of a layer norm that is written out."""
    base = x.x if isinstance(x, Pointwise) else x
    if base.channels_last or _axes(base, dim) != [1] or not keepdim:
        raise RuleError(f"is over dim={dim!r}: only of the channels, with keepdim, in a layer norm")
    less = int(unbiased) if correction is None else correction

    def function(values: Tensor) -> Tensor:
        found = values.var(1, correction=less, keepdim=True)
        return found.sqrt() if root else found

    return of_channels("std" if root else "var", x, function)


def maximum(x: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> object:  # noqa: ANN401
    """`torch.max`: the larger of two; or over channels or pixels, the places of them left out."""
    other = named.get("other", dim)
    if isinstance(other, Read):
        return largest(x, other)
    return [most(x, dim, keepdim), None]


def minimum(x: Any, dim: Any = None, **named: Any) -> object:  # noqa: ANN401
    """`torch.min` of two."""
    other = named.get("other", dim)
    if not isinstance(other, Read):
        raise RuleError("is the least of a tensor, which no layer gives: take it of two tensors")
    return smallest(x, other)


def most(x: Read | Reshaped | Stack, dim: Any = None, keepdim: bool = False) -> object:  # noqa: ANN401
    """`torch.amax`."""
    if isinstance(x, Stack):
        raise RuleError("is over tensors that are stacked: take torch.maximum of each two")
    if isinstance(x, Reshaped):
        pixels = (x.x.shape[0], math.prod(x.x.shape[1:]))
        if not isinstance(x.x, Value) or x.sizes[1:] != pixels or _axes(x, dim) != [2]:
            raise RuleError(f"is over dim={dim!r} of a map that is reshaped: take it over pixels")
        pooled = adaptive_pool("max_pool", x.x, 1)
        return Step(pooled.layer, pooled.reads, flat=True) if isinstance(pooled, Step) else pooled
    base = x.x if isinstance(x, Pointwise) else x
    axes = _axes(base, dim)
    channels = len(base.sizes) - 1 if base.channels_last else 1
    if axes == [channels] and base.sizes[channels] == base.shape[0]:
        found = over_channels("channel_max", x)
        return found if keepdim else Reshaped(found, ("B", *base.shape[1:]))
    if axes != [2, 3] or not base.is_map:
        raise RuleError(f"is over dim={dim!r}: take it over height and width, (2, 3), at once")
    layer = windowed("max_pool", base.shape[1:], base.shape[1:], 0)
    return Step(layer, (x,), flat=not keepdim)


# What reads functions as they are, and what reads tensors in other shapes.
_OVER: tuple[Callable[..., object], ...] = (mean, add_up, maximum, minimum, most)
OVER_AXES = frozenset(_OVER)
