"""Blocks that a network repeats but for numbers, found again for the source that people read.

Their names are those of `network.py` and of the weights beside it: `block3.conv1.weight`.
Everywhere else a layer has a name by itself, `conv7` (`network.layer_names`).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import ACTIVATIONS
from archpress.architecture.layers import Layer, ModuleCall
from archpress.architecture.network import layer_names, module_call

_BEGINNING = ("conv", "depthwise", "linear")
_BEHIND = {*ACTIVATIONS, "batch_norm", "group_norm", "layer_norm", "prelu", "dropout"}
_ALONE = ("frozen",)  # has a class of its own
# What of a module may differ from block to block though it is not written where it is usual.
USUAL = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}


@dataclass(frozen=True, slots=True)
class Block:
    """Layers that follow each other: they read one value from before, and later layers their last.

    Attributes:
        rows: of the layers.
        like: number of its structure; blocks of one structure differ in numbers alone.
    """

    rows: range
    like: int


@lru_cache(maxsize=256)
def repeated_blocks(architecture: Architecture) -> tuple[Block, ...]:
    """Blocks whose structure is there at least twice, in their order."""
    found: defaultdict[object, list[range]] = defaultdict(list)
    for rows in _units(architecture):
        calls = [module_call(architecture, row) for row in rows]
        kinds = [architecture.layers[row].kind for row in rows]
        if sum(call is not None for call in calls) > 1 and not {*kinds} & {*_ALONE}:
            found[_structure(architecture, rows)].append(rows)
    repeated = [alike for alike in found.values() if len(alike) > 1]
    blocks = [Block(rows, like) for like, alike in enumerate(repeated) for rows in alike]
    return tuple(sorted(blocks, key=lambda block: block.rows.start))


@lru_cache(maxsize=256)
def written_names(architecture: Architecture) -> tuple[str, ...]:
    """A name for each layer in `network.py`: `conv1`, or in a block `block2.conv1`."""
    names = list(layer_names(architecture))
    for number, block in enumerate(repeated_blocks(architecture), start=1):
        for row, name in zip(block.rows, names_inside(architecture, block.rows), strict=True):
            names[row] = f"block{number}.{name}"
    return tuple(names)


def names_inside(architecture: Architecture, rows: range) -> list[str]:
    """Names of the layers of a block: by kind, with a number where it has more of the kind."""
    kinds = [architecture.layers[row].kind for row in rows]
    all_of, seen = Counter(kinds), Counter[str]()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(f"{kind}{seen[kind]}" if all_of[kind] > 1 else kind)
    if len(set(names)) < len(names):  # a sixth relu beside a relu6
        return [f"{kind}_{number}" for number, kind in enumerate(kinds, start=1)]
    return names


def as_written(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `build(architecture)`, under the names in `network.py`."""
    return _renamed(weights, layer_names(architecture), written_names(architecture))


def as_built(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `as_written`; other names stay as they are."""
    return _renamed(weights, written_names(architecture), layer_names(architecture))


def _renamed(
    weights: Mapping[str, Tensor], before: tuple[str, ...], after: tuple[str, ...]
) -> dict[str, Tensor]:
    new = dict(zip(before, after, strict=True))
    renamed = {}
    for name, value in weights.items():
        parts = name.split(".")
        heads = (".".join(parts[:count]) for count in (1, 2))
        head = next((head for head in heads if head in new), None)
        renamed[name if head is None else new[head] + name[len(head) :]] = value
    return renamed


# --- finding them --------------------------------------------------------------------------------


def _units(architecture: Architecture) -> list[range]:
    """Stretches that might be blocks: what is between two joins, or a weight and its norm."""
    units: list[range] = []
    grows = False
    for rows in _segments(architecture):
        layer = architecture.layers[rows.start]
        is_joined = len(rows) > 1
        if not is_joined and grows and layer.kind in _BEHIND:
            units[-1] = range(units[-1].start, rows.stop)
            continue
        units.append(rows)
        grows = is_joined or layer.kind in _BEGINNING
    return units


def _segments(architecture: Architecture) -> list[range]:
    """The rows, cut behind each layer past which nothing from before it is read."""
    last_reader: dict[int, int] = {}
    for row in range(len(architecture.layers)):
        for source in architecture.input_indices(row):
            last_reader[source] = row
    segments, begin, latest = [], 0, -1
    for row in range(len(architecture.layers)):
        latest = max(latest, last_reader.get(row - 1, -1))
        if latest <= row:
            segments.append(range(begin, row + 1))
            begin = row + 1
    return segments


def _structure(architecture: Architecture, rows: range) -> object:
    """What blocks of one class have in common: all but numbers of their modules."""
    return tuple(
        (
            layer.kind,
            tuple(max(source, rows.start - 1) - row for source in architecture.input_indices(row)),
            tuple(len(shape) for shape in architecture.input_shapes(row)),
            _shell(layer, module_call(architecture, row)),
        )
        for row, layer in ((row, architecture.layers[row]) for row in rows)
    )


def _shell(layer: Layer, call: ModuleCall | None) -> object:
    if call is None:
        return layer.options, layer.channels
    if call.name == "ParameterDict":
        return call.arguments
    options = tuple(
        (name, isinstance(value, bool) and value)
        for name, value in call.options
        if name not in USUAL
    )
    return call.name, len(call.arguments), options
