"""Blocks that are alike as classes of plain PyTorch, in the source that `export` writes."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from archpress.architecture.architecture import Architecture
from archpress.architecture.blocks import USUAL, names_inside, repeated_blocks
from archpress.architecture.layers import ModuleCall
from archpress.architecture.network import module_call
from archpress.architecture.source_lines import NamedModule, call_text, forward_lines

_CLASS = """\
class {name}(nn.Module):
    def __init__({parameters}):
        super().__init__()
{init}

    def forward(self, x):
{forward}


"""
_JOINED = {  # kinds in a block -> what it is called
    ("concat",): "ConcatBlock",
    ("multiply", "add"): "GatedResidualBlock",
    ("multiply",): "GatedBlock",
    ("add",): "ResidualBlock",
}
_OF_CHANNELS = ("width", "groups")  # numbers that are one parameter where they are equal
Column = tuple[Any, ...]  # a value for each block


@dataclass
class Structure:
    """A class of which blocks are instances.

    Attributes:
        architecture: that has them.
        name: of the class.
        blocks: the rows of each.
        parameters: of `__init__`: name -> value in each block.
    """

    architecture: Architecture
    name: str
    blocks: list[range]
    parameters: dict[str, Column] = field(default_factory=dict)
    _known: dict[tuple[object, Column], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write `__init__`, which finds the parameters."""
        self._names = names_inside(self.architecture, self.blocks[0])
        self._lines = [
            f"self.{name} = {call_text(call)}"
            for place, name in enumerate(self._names)
            if (call := self._call(place)) is not None
        ]

    def __str__(self) -> str:
        """The source, with two empty lines behind it."""
        steps = [
            NamedModule(range(row, row + 1), name)
            for row, name in zip(self.blocks[0], self._names, strict=True)
        ]
        lines, last = forward_lines(self.architecture, steps, "inputs")
        lines[-1] = lines[-1].replace(f"{last} = ", "return ", 1)
        return _CLASS.format(
            name=self.name,
            parameters=", ".join(("self", *self.parameters)),
            init=textwrap.indent("\n".join(self._lines), " " * 8),
            forward=textwrap.indent("\n".join(lines), " " * 8),
        )

    def made(self, rows: range) -> str:
        """What makes one of the blocks."""
        which = self.blocks.index(rows)
        given = [f"{name}={values[which]!r}" for name, values in self.parameters.items()]
        return f"{self.name}({', '.join(given)})"

    def _call(self, place: int) -> ModuleCall | None:
        """The module of a layer, with parameters where blocks differ."""
        calls = [module_call(self.architecture, rows[place]) for rows in self.blocks]
        whole = [call for call in calls if call is not None]
        if not whole or whole[0].name == "ParameterDict":
            return calls[0]
        options = dict.fromkeys(name for call in whole for name, _ in call.options)
        arguments = tuple(
            self._written(_argument_name(whole[0], at), tuple(call.arguments[at] for call in whole))
            for at in range(len(whole[0].arguments))
        )
        written = []
        for name in options:
            values = tuple(dict(call.options).get(name, USUAL.get(name)) for call in whole)
            written.append((name, self._written(name, values)))
        return ModuleCall(whole[0].name, arguments, tuple(written))

    def _written(self, name: str, values: Column) -> Any:  # noqa: ANN401 as modules take it
        """A value that all blocks have, or the parameter that has it."""
        if len(set(values)) == 1:
            return values[0]
        counts = name in _OF_CHANNELS
        known = self._known.get((counts or name, values))
        if known is None:
            known = self._unused((self._role(values) if counts else None) or name)
            self.parameters[known] = values
            self._known[counts or name, values] = known
        return _Name(known)

    def _role(self, values: Column) -> str | None:
        """What a number of channels is in a block."""
        shapes = self.architecture.shapes
        inputs = tuple(
            (shapes[rows.start - 1] if rows.start else self.architecture.input_shape)[0]
            for rows in self.blocks
        )
        outputs = tuple(shapes[rows[-1]][0] for rows in self.blocks)
        if values == inputs:
            return "channels" if inputs == outputs else "inputs"
        return "outputs" if values == outputs else None

    def _unused(self, name: str) -> str:
        count = sum(key.rstrip("0123456789") == name for key in self.parameters)
        return f"{name}{count + 1}" if count else name


class _Name(str):
    """The name of a parameter, written without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def structures(architecture: Architecture) -> dict[int, Structure]:
    """The classes of the blocks that a net repeats, by the numbers of their structures."""
    alike: dict[int, list[range]] = {}
    for block in repeated_blocks(architecture):
        alike.setdefault(block.like, []).append(block.rows)
    found: dict[int, Structure] = {}
    used: dict[str, int] = {}
    for like, rows in alike.items():
        name = _class_name([architecture.layers[row].kind for row in rows[0]])
        used[name] = used.get(name, 0) + 1
        number = str(used[name]) if used[name] > 1 else ""
        found[like] = Structure(architecture, name + number, rows)
    return found


def _class_name(kinds: Sequence[str]) -> str:
    for joining, name in _JOINED.items():
        if {*joining} <= {*kinds}:
            return name
    return "".join(part.capitalize() for kind in kinds for part in kind.split("_"))


def _argument_name(call: ModuleCall, at: int) -> str:
    is_kernel = call.name == "Conv2d" and at == 2
    return "kernel" if is_kernel else "width"
