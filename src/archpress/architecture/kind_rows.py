"""Rows of the table of kinds that a family of layers shares; the table is in `kinds`."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from archpress.architecture.layers import WINDOW_OPTIONS, Joining, Kind, Layer, ModuleCall
from archpress.architecture.shape_rules import Shape, normed_in_groups, pooled, same, window

Rule = Callable[[Layer, Sequence[Shape]], Shape]


def none(layer: Layer, *shapes: Shape) -> int:
    """Of a kind that costs none."""
    return 0


def weights_a_channel(layer: Layer, shape: Shape) -> int:
    """Of a convolution, for one channel of its output."""
    return shape[0] // int(layer.option("groups")) * math.prod(window(layer)[0])


def bias(layer: Layer, channels: int) -> int:
    """Parameters of the bias."""
    return 0 if layer.bias_free else channels


def side(extents: tuple[int, int]) -> int | tuple[int, int]:
    """One number where height and width agree."""
    return extents[0] if extents[0] == extents[1] else extents


def window_options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    """Stride and padding where they are not as usual."""
    _, stride, padding = map(side, window(layer))
    named = (("stride", stride, 1), ("padding", padding, 0))
    return tuple((name, value) for name, value, usual in named if value != usual)


def module_options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    """Those that are options of the module under the same name."""
    return tuple(pair for pair in layer.options if pair[0] not in WINDOW_OPTIONS)


def bias_options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    """Where there is no bias."""
    return (("bias", False),) if layer.bias_free else ()


def pool(module: str, code: int, *options: str) -> Kind:
    """A window that slides, without weights."""
    return Kind(
        fields=frozenset({"kernel", "stride", "padding"}),
        shape=pooled,
        parameters=none,
        macs=none,
        module=lambda layer, shape: ModuleCall(module, (side(window(layer)[0]),), _pooling(layer)),
        paper_code=code,
        keeps_sign=True,
        options=WINDOW_OPTIONS | {"ceil_mode", *options},
    )


def _pooling(layer: Layer) -> tuple[tuple[str, Any], ...]:
    """A pool's stride is its kernel where it is not said, so it always is."""
    options = dict(window_options(layer))
    return (("stride", options.pop("stride", 1)), *options.items(), *module_options(layer))


def norm(module: Callable[[Shape], str], *options: str, groups: bool = False) -> Kind:
    """Parameters for each channel, where it has any."""

    def arguments(layer: Layer, shape: Shape) -> tuple[int, ...]:
        return (int(layer.option("groups")), shape[0]) if groups else (shape[0],)

    def named(layer: Layer) -> tuple[tuple[str, Any], ...]:
        pairs = [pair for pair in module_options(layer) if pair[0] != "groups"]
        is_layer_norm = [("elementwise_affine", v) if n == "affine" else (n, v) for n, v in pairs]
        return tuple(is_layer_norm if module((1,)) == "LayerNorm" else pairs)

    return Kind(
        fields=frozenset(),
        shape=normed_in_groups if groups else same,
        parameters=lambda layer, shape: 2 * shape[0] if layer.option("affine") else 0,
        macs=none,
        module=lambda layer, shape: ModuleCall(
            module(shape), arguments(layer, shape), named(layer)
        ),
        options=frozenset({"eps", "affine", *options}),
    )


def activation(
    module: str,
    low: float = -math.inf,
    high: float = math.inf,
    *options: str,
    code: int = 0,
    keeps_sign: bool = True,
) -> Kind:
    """A function of each value, or of all channels of a pixel, as PyTorch has it as a module."""
    return Kind(
        fields=frozenset(),
        shape=same,
        parameters=none,
        macs=none,
        module=lambda layer, shape: ModuleCall(module, (), module_options(layer)),
        paper_code=code,
        keeps_sign=keeps_sign,
        output_range=(low, high),
        options=frozenset(options),
    )


def without_module(layer: Layer, shape: Shape) -> None:
    """Of a kind that is written as a function; see `network` and `export`."""


def moving(
    shape: Rule,
    module: Callable[[Layer, Shape], ModuleCall | None] = without_module,
    *options: str,
    fields: frozenset[str] = frozenset(),
) -> Kind:
    """Values move, are left out or repeated: where all are positive, all stay so."""
    return Kind(
        fields=fields,
        shape=shape,
        parameters=none,
        macs=none,
        module=module,
        keeps_sign=True,
        options=frozenset(options),
    )


def join(how: Joining, shape: Rule) -> Kind:
    """Of two inputs or more."""
    return Kind(
        fields=frozenset(),
        shape=shape,
        parameters=none,
        macs=none,
        module=without_module,
        joining=how,
        keeps_sign=True,
    )


def parameter(name: str, value: float) -> Kind:
    """One tensor of weights, by which values are multiplied or which is added to them."""

    def extents(layer: Layer, shape: Shape) -> Shape:
        return (shape[0], *(1 for _ in shape[1:])) if layer.option("per_channel") else (1,)

    return Kind(
        fields=frozenset(),
        shape=same,
        parameters=lambda layer, shape: math.prod(extents(layer, shape)),
        macs=none,
        module=lambda layer, shape: ModuleCall(
            "ParameterDict", ((name, extents(layer, shape), value),)
        ),
        options=frozenset({"per_channel"}),
    )
