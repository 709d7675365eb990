"""Two architectures side by side, layer by layer; and one in a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from archpress.architecture import KINDS, Architecture
from archpress.architecture.difference import difference
from archpress.architecture.frozen_program import told_program
from archpress.architecture.layers import Joining
from archpress.report import wording

Change = Literal["same", "changed", "removed", "added"]


@dataclass(frozen=True, slots=True)
class LayerCell:
    """One layer as text: its number, what it is, its output's shape, its costs."""

    number: int
    text: str
    shape: str
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer of the source beside the layer of the result that stands in its place."""

    change: Change
    source: LayerCell | None
    compressed: LayerCell | None


def compare_layers(source: Architecture, compressed: Architecture) -> tuple[LayerRow, ...]:
    """The layers of both, aligned as `archpress diff` aligns them.

    >>> from archpress.architecture import Layer, chain
    >>> last = Layer("linear", channels=2)
    >>> one = chain((1, 4, 4), Layer("conv", 3, 8, 1), Layer("relu"), last)
    >>> two = chain((1, 4, 4), Layer("conv", 3, 4, 1), last)
    >>> [row.change for row in compare_layers(one, two)]
    ['changed', 'removed', 'same']
    """
    pairs = difference(source, compressed).pairs
    return tuple(_row(source, compressed, left, right) for left, right in pairs)


def layer_cells(architecture: Architecture) -> list[LayerCell]:
    """All layers of a net."""
    return [_cell(architecture, index) for index in range(len(architecture.layers))]


def _row(
    source: Architecture, compressed: Architecture, left: int | None, right: int | None
) -> LayerRow:
    cells = (
        None if left is None else _cell(source, left),
        None if right is None else _cell(compressed, right),
    )
    if left is None or right is None:
        return LayerRow("added" if left is None else "removed", *cells)
    same = source.layers[left] == compressed.layers[right]
    return LayerRow("same" if same else "changed", *cells)


def _cell(architecture: Architecture, index: int) -> LayerCell:
    return LayerCell(
        number=index + 1,
        text=layer_text(architecture, index),
        shape=wording.shape_text(architecture.shapes[index]),
        parameters=architecture.layer_parameters[index],
        macs=architecture.layer_macs[index],
    )


def layer_text(architecture: Architecture, index: int) -> str:
    """One layer in words, with the fields that its kind has.

    >>> from archpress.architecture import Layer, chain
    >>> layer_text(chain((1, 8, 8), Layer("conv", 3, 16, 2, 1), Layer("relu")), 0)
    'conv 3×3, stride 2, padding 1 → 16'
    """
    layer = architecture.layers[index]
    kind = KINDS[layer.kind]
    text = layer.kind.replace("_", " ")
    if kind.has_window:
        text += f" {layer.kernel}×{layer.kernel}"
    details = [f"stride {layer.stride}"] if layer.stride > 1 else []
    details += [f"padding {layer.padding}"] if layer.padding else []
    details += ["no bias"] if layer.bias_free else []
    details += [f"rate {layer.rate:g}"] if "rate" in kind.fields else []
    details += [
        f"{name.replace('_', ' ')} {told_program(str(value)) if name == 'program' else value}"
        for name, value in layer.options
    ]
    if kind.joining is not Joining.NONE or layer.inputs != (1,):
        read = [
            str(source + 1) if source >= 0 else "input"
            for source in architecture.input_indices(index)
        ]
        details.append(f"reads {' and '.join(read)}")
    text = ", ".join([text, *details])
    return f"{text} → {layer.channels}" if kind.chooses_channels else text


def outline(architecture: Architecture) -> str:
    """The layers that give a net its form, in one line: windows, joins and linear layers.

    >>> from archpress.architecture import Layer, chain
    >>> conv, linear = Layer("conv", 3, 8, 1), Layer("linear", channels=10)
    >>> pool = Layer("max_pool", 2, stride=2)
    >>> outline(chain((1, 9, 9), conv, Layer("relu"), conv, pool, linear))
    'conv 3×3 8 (× 2) · max pool 2×2 · linear 10'
    """
    return " · ".join(
        f"{text} (× {length})" if (length := len(list(group))) > 1 else text
        for text, group in groupby(_forming_layers(architecture))
    )


def _forming_layers(architecture: Architecture) -> Iterator[str]:
    for layer in architecture.layers:
        kind = KINDS[layer.kind]
        if (
            kind.has_window
            or kind.chooses_channels
            or kind.joining is not Joining.NONE
            or (layer.kind == "global_average_pool")
        ):
            text = layer.kind.replace("_", " ")
            if kind.has_window:
                text += f" {layer.kernel}×{layer.kernel}"
            if layer.stride > 1 and layer.kind in {"conv", "depthwise"}:
                text += f"/{layer.stride}"
            yield f"{text} {layer.channels}" if kind.chooses_channels else text
