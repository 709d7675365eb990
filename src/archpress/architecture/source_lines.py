"""Lines of source: what layers are made by, and what they make of each other's values."""

from collections.abc import Sequence
from dataclasses import dataclass

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import Joining, ModuleCall

_STARTING = {"conv", "depthwise", "linear", "slice"}
_MOST_TEXT = 80  # characters of a line in `forward`


@dataclass(frozen=True, slots=True)
class NamedModule:
    """A layer, or a block of several, as a module with a name.

    Attributes:
        rows: of the layers.
        name: of the attribute.
    """

    rows: range
    name: str

    @property
    def is_block(self) -> bool:
        """Whether it has several layers."""
        return len(self.rows) > 1

    def reads(self, architecture: Architecture) -> tuple[int, ...]:
        """Rows before it whose values it reads."""
        if self.is_block:
            return (self.rows.start - 1,)
        return architecture.input_indices(self.rows.start)


def call_text(call: ModuleCall) -> str:
    """What makes a module."""
    if call.name == "ParameterDict":
        parts = [f'"{name}": torch.full({shape}, {value})' for name, shape, value in call.arguments]
        return f"nn.ParameterDict({{{', '.join(parts)}}})"
    parts = [str(value) for value in call.arguments]
    parts += [f"{name}={value!r}" for name, value in call.options]
    return f"nn.{call.name}({', '.join(parts)})"


def in_groups(architecture: Architecture, steps: Sequence[NamedModule]) -> list[list[NamedModule]]:
    """Layers that follow each other, from one that weighs or joins to the next; blocks alone.

    Only the last of a group is read by later groups.
    """
    groups: list[list[NamedModule]] = []
    read_later = _read_later(architecture, steps)
    for step in steps:
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and not last.is_block
            and not step.is_block
            and step.reads(architecture) == (last.rows[-1],)
            and last.rows[-1] not in read_later
            and architecture.layers[step.rows.start].kind not in _STARTING
        ):
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _read_later(architecture: Architecture, steps: Sequence[NamedModule]) -> set[int]:
    """The rows that another than the next step reads; the one before all is what comes in."""
    return {
        source
        for step in steps
        for source in step.reads(architecture)
        if source != step.rows.start - 1
    }


def forward_lines(
    architecture: Architecture, steps: Sequence[NamedModule], entry: str
) -> tuple[list[str], str]:
    """One line a group; a value that a later group reads again gets a name of its own.

    Args:
        architecture: that has the steps.
        steps: one after the other; of rows before the first they read only the one before it.
        entry: name of that value, where it needs one besides `x`.

    Returns:
        The lines, and the name of the last value.
    """
    read_later = _read_later(architecture, steps)
    first = steps[0].rows.start - 1
    names = {step.rows[-1]: f"{step.name}_output" for step in steps} | {first: entry}

    def variable(row: int) -> str:
        return names[row] if row in read_later else "x"

    lines = [f"{entry} = x"] if first in read_later else []
    for group in in_groups(architecture, steps):
        value = ""
        for step in group:
            read = [variable(source) for source in step.reads(architecture)]
            if value:
                longer = _value(architecture, step, [value])
                if len(longer) <= _MOST_TEXT:
                    value = longer
                    continue
                lines.append(f"x = {value}")
                read = ["x"]
            value = _value(architecture, step, read)
        lines.append(f"{variable(group[-1].rows[-1])} = {value}")
    return lines, variable(steps[-1].rows[-1])


def _value(architecture: Architecture, step: NamedModule, read: list[str]) -> str:
    """What a step makes of the values that it reads."""
    if step.is_block:
        return f"self.{step.name}({read[0]})"
    index = step.rows.start
    match KINDS[architecture.layers[index].kind].joining:
        case Joining.ADD:
            return " + ".join(read)
        case Joining.MULTIPLY:
            return " * ".join(_factors(architecture, index, read))
        case Joining.CONCAT:
            return f"torch.cat([{', '.join(read)}], dim=1)"
    return _alone(architecture, index, f"self.{step.name}", read[0])


def _factors(architecture: Architecture, index: int, read: list[str]) -> list[str]:
    """What is multiplied; a vector has one value a channel."""
    sizes = [len(shape) for shape in architecture.input_shapes(index)]
    return [
        name if size == sizes[0] else f"{name}[:, :, None, None]"
        for name, size in zip(read, sizes, strict=True)
    ]


def _alone(architecture: Architecture, index: int, module: str, read: str) -> str:
    """What a layer makes of the one value that it reads."""
    layer, is_map = architecture.layers[index], len(architecture.shapes[index]) == 3
    alone = f"({read})" if _is_term(read) else read
    match layer.kind:
        case "slice":
            return f"{alone}[:, {layer.option('begin')}:{layer.option('end')}]"
        case "scale":
            factor, shift = layer.option("factor"), layer.option("shift")
            scaled = alone if factor == 1 else f"{alone} * {factor!r}"
            return f"{scaled} + {shift!r}" if shift else scaled
        case "pad_channels":
            begin = int(layer.option("begin"))
            after = layer.channels - begin - architecture.input_shapes(index)[0][0]
            sides = (0, 0, 0, 0, begin, after) if is_map else (begin, after)
            return f"nn.functional.pad({read}, {sides})"
        case "channel_mean":
            return f"{alone}.mean(1, keepdim=True)"
        case "channel_max":
            return f"{alone}.amax(1, keepdim=True)"
        case "gain":
            return f"{alone} * {module}.weight"
        case "offset":
            return f"{alone} + {module}.bias"
        case "channel_conv":
            row = f"{module}({alone}.flatten(1).unsqueeze(1)).squeeze(1)"
            return f"{row}[:, :, None, None]" if is_map else row
        case "layer_norm" if is_map:
            return f"{module}({alone}.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)"
        case "linear":
            return f"{module}({alone}.flatten(1))"
    return f"{module}({read})"


def _is_term(read: str) -> bool:
    """Whether it is a sum or a product, of which a method would take the last part alone."""
    depth = 0
    for character in read:
        depth += (character in "([{") - (character in ")]}")
        if character == " " and depth == 0:
            return True
    return False
