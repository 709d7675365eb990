"""Operations of ONNX that slide windows or move values; part of the table in `operations_onnx`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archpress.architecture.shape_rules import RuleError
from archpress.reading.operations_parts import pad, picked, select, split, take
from archpress.reading.operations_pools import average_pool, max_pool, upsample
from archpress.reading.operations_shapes import squeeze, unsqueeze, view
from archpress.reading.operations_weights import conv, conv_over_channels
from archpress.reading.traced_values import (
    BATCH,
    Reshaped,
    Step,
    Value,
    Weight,
    need,
    plain,
)

Attributes = dict[str, Any]
Handler = Callable[..., object]


def integers(value: object) -> list[int]:
    """What a node reads as a shape, as axes or as sizes."""
    match value:
        case Weight():
            return [int(one) for one in value.value.flatten().tolist()]
        case int():
            return [value]
        case list() | tuple():
            return [int(one) for one in value]
    raise RuleError("has sizes that depend on the images: export it with fixed sizes")


def setting(attributes: Attributes, name: str, inputs: Sequence[object]) -> list[int] | None:
    """An option that newer versions of ONNX have as an input, older ones as an attribute."""
    if inputs and inputs[0] is not None:
        return integers(inputs[0])
    return integers(attributes[name]) if name in attributes else None


# --- windows -------------------------------------------------------------------------------------


def _pads(
    attributes: Attributes, x: Value, kernel: Sequence[int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Above and left, below and right."""
    how = attributes.get("auto_pad", "NOTSET")
    if how == "VALID":
        return (0, 0), (0, 0)
    before, after = [0, 0], [0, 0]
    if how == "NOTSET":
        given = integers(attributes.get("pads", [0, 0, 0, 0]))
        before, after = given[:2], given[2:]
    else:
        for axis in range(2):
            step = attributes.get("strides", [1, 1])[axis]
            reach = (kernel[axis] - 1) * attributes.get("dilations", [1, 1])[axis] + 1
            outputs = -(-x.shape[1 + axis] // step)
            total = max((outputs - 1) * step + reach - x.shape[1 + axis], 0)
            before[axis], after[axis] = total // 2, total - total // 2
            if how == "SAME_LOWER":
                before[axis], after[axis] = after[axis], before[axis]
    return (before[0], before[1]), (after[0], after[1])


def windowed_conv(
    attributes: Attributes, x: Value, weight: Weight, bias: Weight | None = None
) -> Step:
    """`Conv`, over a map, or along the channels of one pixel."""
    if not isinstance(weight, Weight):
        raise RuleError("has weights that are worked out of the image: use weights of its own")
    steps, reach = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    groups = attributes.get("group", 1)
    if len(weight.shape) == 3:
        pads = set(integers(attributes.get("pads", [0, 0])))
        plain("pads", len(pads), 1, "pad both sides alike")
        return conv_over_channels(x, weight, bias, steps[:1], pads.pop(), reach[:1], groups)
    need(x.is_map and len(weight.shape) == 4, "a map and a window of two sides", x)
    before, after = _pads(attributes, x, weight.shape[2:])
    if before == after:
        return conv(x, weight, bias, steps, before, reach, groups)
    step = conv(replace(x, made=None), weight, bias, steps, 0, reach, groups)
    around = pad(x, (before[1], after[1], before[0], after[0]))
    assert isinstance(around, Step)
    return replace(step, reads=(around,))


def _pool(handler: Handler, attributes: Attributes, x: Value, **more: object) -> object:
    need(x.is_map, "a map", x)
    kernel = attributes["kernel_shape"]
    before, after = _pads(attributes, x, kernel)
    if before != after:
        raise RuleError(
            f"pads {before[0]} above, {before[1]} left, {after[0]} below and {after[1]} right: pad "
            "both sides alike"
        )
    return handler(
        x,
        kernel,
        attributes.get("strides", [1, 1]),
        before,
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
        **more,
    )


def windowed_max(attributes: Attributes, x: Value) -> object:
    """`MaxPool`."""
    return _pool(max_pool, attributes, x, dilation=attributes.get("dilations", [1, 1]))


def windowed_average(attributes: Attributes, x: Value) -> object:
    """`AveragePool`."""
    plain("dilations", attributes.get("dilations", [1, 1]), [1, 1], "pool without dilation")
    counted = bool(attributes.get("count_include_pad", 0))
    return _pool(average_pool, attributes, x, count_include_pad=counted)


def reduced(handler: Handler, attributes: Attributes, x: Value, *axes: object) -> object:
    """`ReduceMean` and others over axes."""
    return handler(x, setting(attributes, "axes", axes), bool(attributes.get("keepdims", 1)))


_MODES = {"edge": "replicate", "wrap": "circular"}  # ONNX's words


def padded(attributes: Attributes, x: Value, *inputs: Any) -> object:  # noqa: ANN401
    """`Pad`."""
    pads = setting(attributes, "pads", inputs)
    axes = integers(inputs[2]) if len(inputs) > 2 else list(range(len(x.sizes)))
    assert pads is not None
    around = dict.fromkeys(range(len(x.sizes)), (0, 0))
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        around[axis % len(x.sizes)] = (before, after)
    sides = [one for axis in sorted(around, reverse=True)[:-1] for one in around[axis]]
    filling = inputs[1] if len(inputs) > 1 and inputs[1] is not None else attributes.get("value", 0)
    value = filling.value.item() if isinstance(filling, Weight) else filling
    mode = str(attributes.get("mode", "constant"))
    return pad(x, sides, _MODES.get(mode, mode), value)


def resized(attributes: Attributes, x: Value, *inputs: Any, opset: int) -> object:  # noqa: ANN401
    """`Resize` and `Upsample`."""
    if opset < 11:  # before which neither could be asked for
        asked = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        attributes = {**attributes, **asked}
    scales = inputs[min(len(inputs), 2) - 1] if inputs else None
    sizes = integers(inputs[2])[2:] if len(inputs) > 2 else None
    given = attributes["scales"] if scales is None else scales.value.flatten().tolist()
    factors = None if sizes else [float(one) for one in given][2:]
    how = attributes.get("coordinate_transformation_mode", "half_pixel")
    kind, rounding = attributes.get("mode", "nearest"), attributes.get("nearest_mode", "")
    mode = {"linear": "bilinear", "nearest": "nearest"}.get(kind)
    if mode == "bilinear":
        is_known = how in ("half_pixel", "pytorch_half_pixel", "align_corners")
    else:
        sides = x.shape[1:]
        outputs = sizes or [int(side * by) for side, by in zip(sides, factors or (), strict=True)]
        pairs = zip(sides, outputs, strict=True)
        is_known = all(_is_repeated(side, out, how, rounding) for side, out in pairs)
    if not is_known or mode is None or attributes.get("antialias", 0):
        told = ", ".join(filter(None, [kind, how, rounding]))
        raise RuleError(f"resizes in a way that no layer has ({told}): use nearest or half_pixel")
    return upsample(x, sizes, factors, mode, how == "align_corners")


_ROUNDINGS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _is_repeated(side: int, out: int, how: str, rounding: str) -> bool:
    """Whether the nearest pixels, as ONNX takes them, are each one `out / side` times."""
    pixels, step = np.arange(out, dtype=np.float64), side / out
    places: dict[str, NDArray[np.float64]] = {
        "asymmetric": pixels * step,
        "half_pixel": (pixels + 0.5) * step - 0.5,
        "pytorch_half_pixel": (pixels + 0.5) * step - 0.5 if out > 1 else pixels * 0.0,
        "tf_half_pixel_for_nn": (pixels + 0.5) * step,
        "align_corners": pixels * ((side - 1) / max(out - 1, 1)),
    }
    if how not in places:
        return False
    nearest = _ROUNDINGS[rounding or "round_prefer_floor"](places[how]).clip(0, side - 1)
    return bool((nearest == pixels * side // out).all())


# --- shapes --------------------------------------------------------------------------------------


def reshaped(attributes: Attributes, x: Value, shape: object, *, batch: int) -> object:
    """`Reshape`."""
    wanted: list[Any] = integers(shape)
    if not attributes.get("allowzero", 0):
        sizes = (*x.sizes, *wanted)
        wanted = [sizes[place] if size == 0 else size for place, size in enumerate(wanted)]
    if wanted[0] == batch:
        wanted[0] = BATCH
    is_in_groups = len(wanted) == 3 and x.is_map and wanted[0] in (BATCH, -1)
    if is_in_groups and wanted[1] > 0 and x.shape[0] % wanted[1] == 0:
        return Reshaped(x, (wanted[0], wanted[1], math.prod(x.shape) // wanted[1]))
    return Reshaped(x, (-1,)) if wanted == [-1] else view(x, wanted)


def gathered(attributes: Attributes, x: object, places: Weight, *, batch: int) -> object:
    """Some channels; or all values in their order, as exporters write changed strides."""
    if isinstance(x, Value) and attributes.get("axis", 0) % 4 == 1 and x.is_map:
        is_one = isinstance(places, Weight) and places.value.dim() == 0
        return select(x, 1, int(places.value)) if is_one else picked(x, places, 1)
    in_order = isinstance(places, Weight) and places.value.numel() == places.value.max() + 1
    in_order = in_order and bool((places.value.flatten().diff() == 1).all())
    if not isinstance(x, Reshaped) or len(x.sizes) != 1 or not in_order:
        raise RuleError("takes some values of a tensor: only some of the channels, by Slice")
    assert isinstance(x.x, Value)
    return view(x.x, [BATCH if places.shape[0] == batch else 0, *places.shape[1:]])


def squeezed(attributes: Attributes, x: Value, *axes: object) -> Value:
    """`Squeeze`."""
    return squeeze(x, *(setting(attributes, "axes", axes) or ()))


def unsqueezed(attributes: Attributes, x: Any, *axes: object) -> object:  # noqa: ANN401
    """`Unsqueeze`."""
    for axis in sorted(setting(attributes, "axes", axes) or ()):
        x = unsqueeze(x, axis)
    return x


def parted(attributes: Attributes, x: Value, *sizes: object, outputs: int) -> list[object]:
    """`Split`."""
    found = setting(attributes, "split", sizes)
    return split(x, found or -(-x.shape[0] // outputs), attributes.get("axis", 0))


def sliced(attributes: Attributes, x: Value, *inputs: object) -> object:
    """`Slice`, along one axis after the other."""
    names = ("starts", "ends", "axes", "steps")
    starts, ends, axes, steps = (
        setting(attributes, name, inputs[place : place + 1]) for place, name in enumerate(names)
    )
    assert starts is not None
    assert ends is not None
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    result: object = x
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        result = take(result, axis, start, end, step, like=x)
    return result
