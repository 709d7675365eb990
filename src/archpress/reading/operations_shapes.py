"""Operations that only move values: flattening, turning, shuffling, slicing. See `operations`."""

import math
from dataclasses import replace
from typing import Any

import torch

from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import RuleError
from archpress.reading.traced_values import (
    BATCH,
    Reshaped,
    Step,
    Value,
    need,
    options,
)


def same(x: object, *_: object, **__: object) -> object:
    """What gives its first argument."""
    return x


# --- axes ----------------------------------------------------------------------------------------


def permute(x: Value, *axes: Any) -> Value:  # noqa: ANN401 an integer each, or one tuple
    """To channels last and back, and the shuffle of groups."""
    order = list(axes[0]) if axes and isinstance(axes[0], tuple | list) else list(axes)
    order = [axis % len(x.sizes) for axis in order]
    if order == [0, 2, 3, 1] and x.is_map:
        return replace(x, channels_last=True, made=None)
    if order == [0, 3, 1, 2] and x.channels_last:
        return replace(x, channels_last=False, made=None)
    if order == [0, 2, 1, 3, 4] and x.groups:
        return replace(x, shuffled=not x.shuffled, made=None)
    if order == [0, 2, 1] and x.row:
        return _as_vector(x)
    if order == [1, 0] and len(x.sizes) == 2:  # what was squeezed is a vector by now
        return _as_row(x)
    raise RuleError(f"turns the axes to {order}: only to B x H x W x C and back has a meaning")


def transpose(x: Value, one: int, other: int) -> Value:
    """Two axes change places."""
    order = list(range(len(x.sizes)))
    one, other = one % len(order), other % len(order)
    order[one], order[other] = order[other], order[one]
    return permute(x, order)


def _as_row(x: Value) -> Value:
    """A vector as `B x 1 x C`."""
    return Value(x.index, x.shape, row=True)


def _as_vector(x: Value) -> Value:
    """A row as `B x C`."""
    return Value(x.index, x.shape, flat=len(x.shape) == 3)


# --- shapes --------------------------------------------------------------------------------------


def flatten(x: Value, start_dim: int = 0, end_dim: int = -1) -> object:
    """All but the batch; or the groups of a shuffle, side by side again."""
    is_whole = start_dim == 1 and end_dim % len(x.sizes) == len(x.sizes) - 1
    if x.channels_last and is_whole:
        return replace(x, flat=True, made=None)
    _not_turned(x)
    if x.groups and (start_dim, end_dim) == (1, 2):
        return whole_again(x)
    if x.shuffled:
        raise RuleError("flattens groups that are shuffled: put them side by side before")
    if x.is_map and start_dim == 2 and end_dim % 4 == 3:
        return Reshaped(x, (BATCH, x.shape[0], math.prod(x.shape[1:])))
    if not is_whole:
        raise RuleError(f"has start_dim={start_dim}, end_dim={end_dim}: flatten from 1 to the end")
    return Value(x.index, x.shape, flat=True)


def view(x: Value, *sizes: Any) -> object:  # noqa: ANN401 an integer or BATCH each, or one tuple
    """Flat, or a vector as one pixel or row, or pixels in a row, or channels in groups and back."""
    wanted = list(sizes[0]) if isinstance(sizes[0], tuple | list) else list(sizes)
    if wanted == list(x.sizes):
        return x
    features = math.prod(x.shape)
    whole = _filled_in(wanted, features)
    if x.channels_last and whole == [features]:
        return replace(x, flat=True, made=None)
    _not_turned(x)
    if x.groups and whole == list(x.shape):
        return whole_again(x)
    if not x.groups:
        if x.is_map and whole == list(x.shape):
            return x
        if whole == [features]:
            return Value(x.index, x.shape, flat=True)
        if whole == [features, 1, 1] and features == x.shape[0]:
            return Value(x.index, x.shape, pixel=len(x.shape) == 1)
        if whole == [1, features] and features == x.shape[0]:
            return _as_row(x)
        if x.is_map and whole == [x.shape[0], features // x.shape[0]]:
            return Reshaped(x, (BATCH, *whole))
        if x.is_map and whole[2:] == list(x.shape[1:]) and whole[0] * whole[1] == x.shape[0]:
            return replace(x, groups=whole[0], made=None)
    raise RuleError(
        f"gives the shape {wanted}: only flattening to (x.size(0), -1), one pixel of a vector, and "
        "groups of channels that are shuffled have a meaning"
    )


def unsqueeze(x: Value | Reshaped, dim: int) -> object:
    """The first of the two calls that make one pixel of a vector; the second finds it done."""
    if isinstance(x, Reshaped):
        if x.x.shape[0] != 1 or x.sizes != (BATCH, *x.x.shape[1:]) or dim % 4 != 1:
            raise RuleError("adds an axis to a map that is reshaped: only that of the channels")
        return x.x
    if x.pixel or (x.is_map and x.shape[1:] == (1, 1) and dim % 5 in (3, 4)):
        return x
    if len(x.sizes) == 2 and dim % 3 == 1:
        return _as_row(x)
    if x.row and dim % 4 == 3:  # after a turn that was taken for none
        return Value(x.index, x.shape, pixel=len(x.shape) == 1)
    need(x.is_vector and dim % 3 == 2, "a vector, one value a channel, at its end", x)
    return replace(x, flat=False, pixel=len(x.shape) == 1, made=None)


def expand(x: object, *sizes: Any) -> object:  # noqa: ANN401 an integer each, or one tuple
    """Nothing, where what reads it repeats values anyway; a grey image in several channels."""
    wanted = list(sizes[0]) if sizes and isinstance(sizes[0], tuple | list) else list(sizes)
    if not isinstance(x, Value) or x.index >= 0 or not x.is_map or len(wanted) != 4:
        return x
    copies = wanted[1] if x.shape[0] == 1 and isinstance(wanted[1], int) else -1
    return repeat(x, 1, copies, 1, 1) if copies > 1 else x


def repeat(x: Value, *times: Any) -> object:  # noqa: ANN401 an integer each, or one tuple
    """All channels several times, one after the other."""
    wanted = list(times[0]) if isinstance(times[0], tuple | list) else list(times)
    if not x.is_map or len(wanted) != 4 or wanted[0] != 1 or wanted[2:] != [1, 1]:
        raise RuleError(f"repeats a tensor {wanted} times: only channels, x.repeat(1, times, 1, 1)")
    return x if wanted[1] == 1 else Step(Layer("concat"), (x,) * wanted[1])


def squeeze(x: Value, *dims: Any) -> Value:  # noqa: ANN401 an integer each, or one tuple
    """A map of one pixel becomes a vector; the second of two calls finds it done."""
    wanted = list(dims[0]) if dims and isinstance(dims[0], tuple | list) else list(dims)
    if x.row:
        need(not wanted or [dim % 3 for dim in wanted] == [1], "a row, B x 1 x C,", x)
        return _as_vector(x)
    one_pixel = len(x.sizes) == 4 and x.sizes[2:] == (1, 1)
    if not one_pixel and len(x.sizes) == 2:
        return x
    places = {dim % 4 for dim in wanted} if wanted else {2, 3}
    need(one_pixel and places <= {2, 3}, "a map of one pixel, B x C x 1 x 1,", x)
    if x.pixel:
        return replace(x, pixel=False, made=None)
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
    together = replace(x, groups=0, shuffled=False, made=None)
    if not x.shuffled:
        return together
    return Step(Layer("channel_shuffle", options=options(groups=x.groups)), (together,))


# --- sizes ---------------------------------------------------------------------------------------


def size(x: Value | Reshaped, dim: int | None = None) -> object:
    """What forward may compute with."""
    return x.sizes if dim is None else x.sizes[dim]


def rank(x: Value | Reshaped) -> int:
    """How many axes a tensor has."""
    return len(x.sizes)


# What forward may ask a tensor for, beside its shape: as images are on every machine.
_ATTRIBUTES: dict[str, object] = {
    "device": torch.device("cpu"),
    "dtype": torch.float32,
    "is_cuda": False,
    "requires_grad": False,
}


def attribute(x: Any, name: str) -> object:  # noqa: ANN401 a value, or what `torch.max` gives
    """The shape and other things that do not depend on the image."""
    if isinstance(x, list) and name == "values":
        return x[0]
    if name == "shape":
        return x.sizes
    if name == "ndim":
        return len(x.sizes)
    if name == "data":
        return x
    if name not in _ATTRIBUTES:
        raise RuleError(f"reads the attribute {name!r} of a tensor: only its shape may be read")
    return _ATTRIBUTES[name]
