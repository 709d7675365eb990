"""Operations that only move values: flattening, turning, shuffling, slicing. See `operations`."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import BATCH, Step, Value, need, options, plain


def same(x: object, *_: object, **__: object) -> object:
    """What gives its first argument."""
    return x


# --- axes ----------------------------------------------------------------------------------------


def permute(x: Value, *axes: Any) -> Value:  # noqa: ANN401 an integer each, or one tuple
    """To channels last and back, and the shuffle of groups."""
    order = list(axes[0]) if axes and isinstance(axes[0], tuple | list) else list(axes)
    order = [axis % len(x.sizes) for axis in order]
    if order == [0, 2, 3, 1] and x.is_map:
        return replace(x, channels_last=True)
    if order == [0, 3, 1, 2] and x.channels_last:
        return replace(x, channels_last=False)
    if order == [0, 2, 1, 3, 4] and x.groups:
        return replace(x, shuffled=not x.shuffled)
    raise RuleError(f"turns the axes to {order}: only to B x H x W x C and back has a meaning")


def transpose(x: Value, one: int, other: int) -> Value:
    """Two axes change places."""
    order = list(range(len(x.sizes)))
    one, other = one % len(order), other % len(order)
    order[one], order[other] = order[other], order[one]
    return permute(x, order)


# --- shapes --------------------------------------------------------------------------------------


def flatten(x: Value, start_dim: int = 0, end_dim: int = -1) -> object:
    """All but the batch; or the groups of a shuffle, side by side again."""
    _not_turned(x)
    if x.groups and (start_dim, end_dim) == (1, 2):
        return whole_again(x)
    if start_dim != 1 or end_dim % len(x.sizes) != len(x.sizes) - 1:
        raise RuleError(f"has start_dim={start_dim}, end_dim={end_dim}: flatten from 1 to the end")
    return Value(x.index, x.shape, flat=True)


def view(x: Value, *sizes: Any) -> object:  # noqa: ANN401 an integer or BATCH each, or one tuple
    """Flat, or a vector as one pixel, or channels in groups and back."""
    wanted = list(sizes[0]) if isinstance(sizes[0], tuple | list) else list(sizes)
    if wanted == list(x.sizes):
        return x
    _not_turned(x)
    features = math.prod(x.shape)
    whole = _filled_in(wanted, features)
    if x.groups and whole == list(x.shape):
        return whole_again(x)
    if not x.groups:
        if whole == [features]:
            return Value(x.index, x.shape, flat=True)
        if whole == [features, 1, 1]:
            return Value(x.index, x.shape, pixel=len(x.shape) == 1)
        if x.is_map and whole[2:] == list(x.shape[1:]) and whole[0] * whole[1] == x.shape[0]:
            return replace(x, groups=whole[0])
    raise RuleError(
        f"gives the shape {wanted}: only flattening to (x.size(0), -1), one pixel of a vector, and "
        "groups of channels that are shuffled have a meaning"
    )


def unsqueeze(x: Value, dim: int) -> Value:
    """The first of the two calls that make one pixel of a vector; the second finds it done."""
    if x.pixel:
        return x
    need(len(x.sizes) == 2 and dim % 3 == 2, "a vector, at its end", x)
    return replace(x, flat=False, pixel=len(x.shape) == 1)


def squeeze(x: Value, *dims: Any) -> Value:  # noqa: ANN401 an integer each, or one tuple
    """A map of one pixel becomes a vector; the second of two calls finds it done."""
    wanted = list(dims[0]) if dims and isinstance(dims[0], tuple | list) else list(dims)
    one_pixel = len(x.sizes) == 4 and x.sizes[2:] == (1, 1)
    if not one_pixel and len(x.sizes) == 2:
        return x
    places = {dim % 4 for dim in wanted} if wanted else {2, 3}
    need(one_pixel and places <= {2, 3}, "a map of one pixel, B x C x 1 x 1,", x)
    if x.pixel:
        return replace(x, pixel=False)
    return Value(x.index, x.shape, flat=True)


def _not_turned(x: Value) -> None:
    if x.channels_last:
        raise RuleError("reshapes a map that was turned to B x H x W x C: turn it back before")


def _filled_in(sizes: list[Any], total: int) -> list[int]:
    """A shape without the batch, its -1 worked out."""
    batch, *rest = sizes
    if batch not in (BATCH, -1) or any(type(size) is not int for size in rest):
        raise RuleError(f"gives the shape {sizes}: keep the batch, x.size(0), first")
    known = math.prod(size for size in rest if size != -1)
    return [total // max(known, 1) if size == -1 else size for size in rest]


def whole_again(x: Value) -> object:
    """Groups of channels side by side again: shuffled, or as they were."""
    together = replace(x, groups=0, shuffled=False)
    if not x.shuffled:
        return together
    return Step(Layer("channel_shuffle", options=options(groups=x.groups)), (together,))


# --- parts ---------------------------------------------------------------------------------------


def part(x: Value, begin: int, end: int) -> object:
    """Channels from one to before another; all of them are the value itself."""
    if (begin, end) == (0, x.shape[0]):
        return x
    return Step(Layer("slice", options=options(begin=begin, end=end)), (x,))


def chunk(x: Value, chunks: int, dim: int = 0) -> list[object]:
    """Parts of one size, the last may be smaller."""
    return split(x, -(-x.shape[0] // chunks), dim)


def split(x: Value, split_size: int | Sequence[int], dim: int = 0) -> list[object]:
    """Parts of these sizes; each is a layer of its own."""
    if not x.is_map or dim % 4 != 1:
        raise RuleError(f"is along dim={dim}: split a map along channels, dim 1")
    total, sizes = x.shape[0], split_size
    if isinstance(sizes, int):
        sizes = [min(sizes, total - begin) for begin in range(0, total, sizes)]
    ends = list(accumulate(sizes))
    return [part(x, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def item(x: Any, index: Any) -> object:  # noqa: ANN401 a value or a list; an integer or slices
    """One of a list, or some channels of a map."""
    if isinstance(x, tuple | list):
        return x[index]
    if index == (slice(None), slice(None), None, None):
        return unsqueeze(x, -1)
    channels = isinstance(index, tuple) and 2 <= len(index) <= 4 and isinstance(index[1], slice)
    others = [one for place, one in enumerate(index) if place != 1] if channels else []
    if not channels or not x.is_map or any(one not in (slice(None), ...) for one in others):
        raise RuleError("takes a part of a tensor: only some of the channels, x[:, a:b]")
    begin, end, step = index[1].indices(x.shape[0])
    plain("step", step, 1, "take channels that lie together")
    return part(x, begin, end)


def take(
    x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> object:
    """Some of the channels; of other axes all."""
    axis = dim % len(x.sizes)
    length = x.sizes[axis]
    whole = (start or 0) == 0 and (end is None or not isinstance(length, int) or end >= length)
    plain("step", step, 1, "take values that lie together")
    if whole:
        return x
    if not x.is_map or axis != 1:
        raise RuleError("takes a part of a tensor: only some of the channels, x[:, a:b]")
    begin, last, _ = slice(start, end).indices(x.shape[0])
    return part(x, begin, last)


# --- sizes ---------------------------------------------------------------------------------------


def size(x: Value, dim: int | None = None) -> object:
    """What forward may compute with."""
    return x.sizes if dim is None else x.sizes[dim]


def attribute(x: Value, name: str) -> object:
    """The shape."""
    if name != "shape":
        raise RuleError(f"reads the attribute {name!r} of a tensor: only its shape may be read")
    return x.sizes
