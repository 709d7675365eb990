"""Parts of a tensor, pixels around it, and tensors in a stack. See `operations`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch

from archpress.architecture.layers import SIDES, Layer
from archpress.architecture.shape_rules import RuleError
from archpress.reading.operations_shapes import squeeze, unsqueeze
from archpress.reading.pointwise import times
from archpress.reading.traced_values import (
    BATCH,
    Reshaped,
    Step,
    Value,
    Weight,
    need,
    options,
    windowed,
)

_MODES = {"constant": "zeros"}
ENDLESS = 2**31 - 1  # what exporters write for the end of a slice that has none, at least


# --- channels ------------------------------------------------------------------------------------


def part(x: Value, begin: int, end: int) -> object:
    """Channels from one to before another; all of them are the value itself."""
    if (begin, end) == (0, x.shape[0]):
        return x
    return Step(Layer("slice", options=options(begin=begin, end=end)), (x,))


def in_order(x: Value, channels: Sequence[int]) -> object:
    """These channels, each run of neighbours as one part."""
    total = x.shape[0]
    if not _has_channels(x) or not all(-total <= one < total for one in channels):
        raise RuleError(f"takes the channels {list(channels)}: take those of a map")
    runs: list[list[int]] = []
    for one in (channel % total for channel in channels):
        if runs and one == runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([one, one + 1])
    parts = [part(x, begin, end) for begin, end in runs]
    return parts[0] if len(parts) == 1 else Step(Layer("concat"), tuple(parts))  # type: ignore[arg-type]


def picked(x: Value, channels: object, dim: int) -> object:
    """`torch.index_select` of channels, whose numbers are constants."""
    if (
        not isinstance(channels, Weight)
        or channels.value.is_floating_point()
        or dim % len(x.sizes) != 1
    ):
        raise RuleError("takes some values of a tensor: only some of the channels, by their number")
    return in_order(x, [int(one) for one in channels.value.flatten().tolist()])


def one_channel(x: Value, channel: int) -> Reshaped:
    """One channel of a map, `B x H x W`, until its axis comes back."""
    return Reshaped(in_order(x, [channel]), (BATCH, *x.shape[1:]))  # type: ignore[arg-type]


def flip(x: Value, *dims: Any) -> object:  # noqa: ANN401 an integer each, or one tuple
    """`torch.flip` of the channels, as from RGB to BGR."""
    axes = list(dims[0]) if isinstance(dims[0], tuple | list) else list(dims)
    if [axis % len(x.sizes) for axis in axes] != [1]:
        raise RuleError(f"flips the axes {axes}: only channels, axis 1")
    return in_order(x, range(x.shape[0])[::-1])


def chunk(x: Value, chunks: int, dim: int = 0) -> list[object]:
    """Parts of one size, the last may be smaller."""
    return split(x, -(-x.shape[0] // chunks), dim)


def split(x: Value, split_size: int | Sequence[int], dim: int = 0) -> list[object]:
    """Parts of these sizes; each is a layer of its own."""
    if not _has_channels(x) or dim % len(x.sizes) != 1:
        raise RuleError(f"is along dim={dim}: split a map along channels, dim 1")
    total, sizes = x.shape[0], split_size
    if isinstance(sizes, int):
        sizes = [min(sizes, total - begin) for begin in range(0, total, sizes)]
    ends = list(accumulate(sizes))
    return [part(x, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _has_channels(x: Value) -> bool:
    """Whether axis 1 is its channels, all of them."""
    return not x.channels_last and not x.groups and x.sizes[1] == x.shape[0] and not x.row


# --- slices --------------------------------------------------------------------------------------


def item(x: Any, index: Any) -> object:  # noqa: ANN401 a value or a list; an integer or slices
    """One of a list, some channels of a map, some rows and columns of it, or its only pixel."""
    if isinstance(x, tuple | list):
        return x[index]
    if isinstance(x, Stack):
        raise RuleError("takes one of a stack: keep them in a list")
    places = list(index) if isinstance(index, tuple) else [index]
    if None in places:
        return _with_new_axes(x, places)
    if ... in places:
        at = places.index(...)
        filled = [slice(None)] * (len(x.sizes) - len(places) + 1)
        places = [*places[:at], *filled, *places[at + 1 :]]
    match places:
        case [first, int() as one, *rest] if x.is_map and all(map(_is_whole, (first, *rest))):
            return one_channel(x, one)
        case [first, list() as some, *rest] if x.is_map and all(map(_is_whole, (first, *rest))):
            return in_order(x, some)
    if places[:2] == [slice(None)] * 2 and [type(one) for one in places[2:]] == [int, int]:
        return squeeze(x, 2, 3)  # refuses all but one pixel
    if not places or places[0] != slice(None) or not all(isinstance(one, slice) for one in places):
        raise RuleError("takes a part of a tensor: only some channels, rows or columns, x[:, a:b]")
    result: Any = x
    for axis, one in enumerate(places):
        result = take(result, axis, one.start, one.stop, one.step or 1, like=x)
    return result


def _is_whole(place: object) -> bool:
    return place == slice(None)


def _with_new_axes(x: Value, places: list[Any]) -> object:
    kept = [one for one in places if one is not None and one is not ...]
    ends = places[len(places) - 2 :] == [None, None] and places.count(None) == 2
    if ends and all(one == slice(None) for one in kept):
        return unsqueeze(x, -1)
    raise RuleError("adds axes to a tensor: only x[:, :, None, None], one pixel of a vector")


def take(
    x: Any,  # noqa: ANN401 a value or a step
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    like: Value | None = None,
) -> object:
    """Some of the channels, or some rows or columns of a map.

    Args:
        x: what to take from.
        dim: the axis.
        start: as of a slice.
        end: likewise.
        step: likewise.
        like: a value that is as long along this axis, where `x` is a step.
    """
    form = like or x
    axis = dim % len(form.sizes)
    length = form.sizes[axis]
    if not isinstance(length, int):  # the batch
        if start or step != 1 or (isinstance(end, int) and end < ENDLESS):
            raise RuleError("takes some of the images: work on all of them")
        return x
    begin, last, step = slice(start, end, step).indices(length)
    if (begin, last, step) == (0, length, 1):
        return x
    if _has_channels(form) and axis == 1:
        if step != 1:
            need(isinstance(x, Value), "one step along the channels alone", form)
            return in_order(x, range(begin, last, step))
        return part(x, begin, last) if isinstance(x, Value) else _sliced(x, begin, last)
    if not form.is_map:
        raise RuleError("takes a part of a tensor: only some channels, rows or columns, x[:, a:b]")
    before, after = (2, 3) if axis == 2 else (0, 1)
    kept = begin + (last - 1 - begin) // step * step + 1 if step > 1 else last
    crop = {SIDES[before]: -begin, SIDES[after]: min(kept + step - 1, length) - length}
    if any(crop.values()):
        x = Step(Layer("pad", options=options(**crop)), (x,))
    if step == 1:
        return x
    strides = (step, 1) if axis == 2 else (1, step)
    return _thinned(x, strides)


def _sliced(x: Step, begin: int, end: int) -> Step:
    return Step(Layer("slice", options=options(begin=begin, end=end)), (x,))


def _thinned(x: Value | Step, strides: tuple[int, int]) -> Step:
    """Every so many rows or columns, as a pool of one pixel; of both at once where they follow."""
    before = x.made if isinstance(x, Value) else x
    if before is not None and strides[0] == 1:
        rows = before.layer.stride
        if before.layer == windowed("max_pool", 1, (rows, 1), 0):
            return Step(windowed("max_pool", 1, (rows, strides[1]), 0), before.reads)
    return Step(windowed("max_pool", 1, strides, 0), (x,))


def select(x: Value | Reshaped, dim: int, index: int) -> object:
    """One of an axis that has no more, which goes."""
    if isinstance(x, Value) and len(x.sizes) == 2 and (dim, index) == (2, 0):
        return x  # the first of two calls has done it
    if not isinstance(x, Value) or dim % len(x.sizes) == 0 or len(x.sizes) == 2:
        raise RuleError(f"takes one along dim={dim}: work on all images, and on whole tensors")
    if x.is_map and dim % 4 == 1:
        return one_channel(x, index)
    need(x.sizes[dim % len(x.sizes)] == 1, "one alone", x)
    return squeeze(x, dim)


# --- around it -----------------------------------------------------------------------------------


def pad(
    x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Value | Step:
    """`F.pad`: pixels around a map, and channels of zeros."""
    sides = [int(one) for one in pad]
    if mode == "constant" and value:
        raise RuleError(f"pads with {value}: pad with 0")
    need(x.is_map or x.is_vector, "a map of B x C x H x W, or a vector", x)
    if not x.is_map:
        sides = [0, 0, 0, 0, *sides]
    sides += [0] * (6 - len(sides))
    result: Value | Step = x
    if any(sides[:4]):
        named = dict(zip(SIDES, sides[:4], strict=True))
        found = options(**named, mode=_MODES.get(mode, mode))
        result = Step(Layer("pad", options=found), (x,))
    before, after = sides[4:6]
    if len(sides) > 6 or min(before, after) < 0:
        raise RuleError(f"pads {tuple(pad)}: pad height, width and channels alone")
    if before or after:
        layer = Layer(
            "pad_channels", channels=before + x.shape[0] + after, options=options(begin=before)
        )
        result = Step(layer, (result,))
    return result


def zeros_like(x: Value, *_: object, **__: object) -> Weight:
    """Zeros, which `concatenate` takes as channels."""
    need(x.is_map or len(x.sizes) == 2, "a map of B x C x H x W", x)
    return Weight("", torch.zeros(1, *x.sizes[1:]), learned=False)


def zeros(*sizes: Any, **_: object) -> Weight:  # noqa: ANN401 numbers and BATCH, or one tuple
    """Likewise, by their sizes."""
    given = list(sizes[0]) if isinstance(sizes[0], tuple | list) else list(sizes)
    if not all(type(one) is int for one in given[1:]):
        raise RuleError(f"makes zeros of the shape {given}: only the batch may be free")
    return Weight("", torch.zeros(1, *given[1:]), learned=False)


# --- stacks --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stack:
    """Tensors along an axis of their own, of which only sums and means are taken."""

    tensors: tuple[Any, ...]
    dim: int


def stack(tensors: Sequence[Any], dim: int = 0) -> Stack:
    """`torch.stack`."""
    return Stack(tuple(tensors), dim)


def total(x: Stack, dim: Any = None) -> object:  # noqa: ANN401 an integer or a list of one
    """Of all in a stack."""
    axis = dim[0] if isinstance(dim, tuple | list) and len(dim) == 1 else dim
    rank = len(x.tensors[0].sizes) + 1 if isinstance(x.tensors[0], Value) else 5
    if type(axis) is not int or axis % rank != x.dim % rank:
        raise RuleError(f"is over dim={dim!r} of a stack: sum along the axis of the stack")
    first = x.tensors[0]
    return Step(Layer("add"), x.tensors) if len(x.tensors) > 1 else first


def average(x: Stack, dim: Any = None) -> object:  # noqa: ANN401 likewise
    """Likewise."""
    found = total(x, dim)
    assert isinstance(found, Value | Step)
    return times(found, 1 / len(x.tensors))
