"""Plain PyTorch source of an architecture: a file that needs torch alone."""

import ast
import textwrap
from dataclasses import dataclass

from archpress.architecture.architecture import Architecture
from archpress.architecture.frozen_source import class_name, frozen_classes
from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import Joining, ModuleCall
from archpress.architecture.network import layer_names, module_call
from archpress.errors import ArchitectureError


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What was done to the images that a network was trained on.

    Attributes:
        mean: per channel, of pixel values scaled to [0, 1].
        std: per channel, likewise.
        class_names: in the order of the outputs.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]


_TEMPLATE = '''\
"""{title}

{parameters:,} parameters, {macs:,} multiply-adds an image. Written by archpress; needs torch alone.

    from network import load
    network = load("weights.pt")                        # in evaluation mode
    logits = network(preprocess(images))                # images: B x {shape}, uint8

As a program, `python network.py weights.pt` loads the weights and prints the shape of an output.
"""

import sys

import torch
from torch import nn

INPUT_SHAPE = {input_shape}  # channels, height, width
MEAN = {mean}  # per channel, of pixels scaled to [0, 1]
STD = {std}
CLASSES = {classes}


{parts}class Network(nn.Module):
    def __init__(self):
        super().__init__()
{init}

    def forward(self, x):
{forward}


def preprocess(images):
    """uint8 images, B x C x H x W with values 0 to 255 -> the network's input."""
    mean = torch.tensor(MEAN).view(1, -1, 1, 1)
    std = torch.tensor(STD).view(1, -1, 1, 1)
    return (images.float() / 255 - mean) / std


def load(path):
    """The trained network, in evaluation mode."""
    network = Network()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


if __name__ == "__main__":
    network = load(sys.argv[1] if len(sys.argv) > 1 else "weights.pt")
    images = torch.randint(0, 256, (1, *INPUT_SHAPE), dtype=torch.uint8)
    with torch.no_grad():
        output = network(preprocess(images))
    print(f"input {{tuple(images.shape)}} -> output {{tuple(output.shape)}}")
'''


def to_source(
    architecture: Architecture, preprocessing: Preprocessing, *, title: str = "A compressed CNN."
) -> str:
    """The text of `network.py`: a module with the names of the weights that `build` gives.

    Args:
        architecture: what to write.
        preprocessing: written into the file, so that a user of the network needs no other.
        title: first line of the file's docstring.
    """
    return _TEMPLATE.format(
        title=title,
        parameters=architecture.parameters,
        macs=architecture.macs,
        shape=" x ".join(map(str, architecture.input_shape)),
        input_shape=architecture.input_shape,
        mean=tuple(round(float(value), 6) for value in preprocessing.mean),
        std=tuple(round(float(value), 6) for value in preprocessing.std),
        classes=_listed(preprocessing.class_names),
        parts=frozen_classes(_programs(architecture)),
        init=_indented(_init_lines(architecture)),
        forward=_indented(_forward_lines(architecture)),
    )


def read_preprocessing(source: str) -> Preprocessing:
    """What a `network.py` tells of its images; its code is not run.

    >>> read_preprocessing("MEAN = (0.5,); STD = (0.25,); CLASSES = ['cat', 'dog']")
    Preprocessing(mean=(0.5,), std=(0.25,), class_names=('cat', 'dog'))

    Args:
        source: as `to_source` writes it.

    Raises:
        ArchitectureError: it is no such text.
    """
    try:
        found = {
            target.id: tuple(ast.literal_eval(node.value))
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id in {"MEAN", "STD", "CLASSES"}
        }
        return Preprocessing(found["MEAN"], found["STD"], found["CLASSES"])
    except (SyntaxError, ValueError, TypeError, KeyError) as error:
        raise ArchitectureError(
            f"a network.py has MEAN, STD and CLASSES, and this one cannot be read ({error})"
        ) from None


def _listed(names: tuple[str, ...]) -> str:
    return "[\n" + "".join(f"    {name!r},\n" for name in names) + "]"


def _indented(lines: list[str]) -> str:
    return textwrap.indent("\n".join(lines), " " * 8)


def _call_text(call: ModuleCall) -> str:
    if call.name == "ParameterDict":
        parts = [f'"{name}": torch.full({shape}, {value})' for name, shape, value in call.arguments]
        return f"nn.ParameterDict({{{', '.join(parts)}}})"
    parts = [str(value) for value in call.arguments]
    parts += [f"{name}={value!r}" for name, value in call.options]
    return f"nn.{call.name}({', '.join(parts)})"


def _programs(architecture: Architecture) -> dict[str, str]:
    """Of frozen layers, by their names."""
    layers = zip(layer_names(architecture), architecture.layers, strict=True)
    return {name: str(one.option("program")) for name, one in layers if one.kind == "frozen"}


def _init_lines(architecture: Architecture) -> list[str]:
    """One line a layer, an empty one between blocks of several."""
    names = layer_names(architecture)
    lines: list[str] = []
    was_long = False
    for block in _blocks(architecture):
        found = []
        for index in block:
            call = module_call(architecture, index)
            if call is not None:
                shape = "x".join(map(str, architecture.shapes[index]))
                is_frozen = call.name == "Frozen"
                made = f"{class_name(names[index])}()" if is_frozen else _call_text(call)
                found.append(f"{f'self.{names[index]} = {made}':<74}  # -> {shape}")
        if lines and found and (was_long or len(found) > 1):
            lines.append("")
        if found:
            was_long = len(found) > 1
        lines += found
    return lines


def _blocks(architecture: Architecture) -> list[list[int]]:
    """Layers that follow each other, from one that weighs or joins to the next.

    Only the last of a block is read by later blocks.
    """
    blocks: list[list[int]] = []
    read_later = _read_later(architecture)
    for index, layer in enumerate(architecture.layers):
        follows = blocks and architecture.input_indices(index) == (index - 1,)
        if follows and index - 1 not in read_later and layer.kind not in _STARTING:
            blocks[-1].append(index)
        else:
            blocks.append([index])
    return blocks


_STARTING = {"conv", "depthwise", "linear", "slice"}
_MOST_TEXT = 80  # characters of a line in `forward`


def _read_later(architecture: Architecture) -> set[int]:
    """The layers that another than the next one reads; -1 is the image."""
    return {
        source
        for index in range(len(architecture.layers))
        for source in architecture.input_indices(index)
        if source != index - 1
    }


def _forward_lines(architecture: Architecture) -> list[str]:
    """One line a block; a value that a later block reads again gets a name of its own."""
    names, read_later = layer_names(architecture), _read_later(architecture)

    def variable(index: int) -> str:
        if index not in read_later:
            return "x"
        return f"{names[index]}_output" if index >= 0 else "image"

    lines = ["image = x"] if -1 in read_later else []
    for block in _blocks(architecture):
        value = ""
        for index in block:
            read = [variable(source) for source in architecture.input_indices(index)]
            if value:
                longer = _value(architecture, index, names[index], [value])
                if len(longer) <= _MOST_TEXT:
                    value = longer
                    continue
                lines.append(f"x = {value}")
            value = _value(architecture, index, names[index], read)
        lines.append(f"{variable(block[-1])} = {value}")
    last = variable(len(names) - 1)
    return [
        *lines,
        f"return {last}.flatten(1)" if len(architecture.shapes[-1]) > 1 else f"return {last}",
    ]


def _value(architecture: Architecture, index: int, name: str, read: list[str]) -> str:
    """What a layer makes of the values that it reads."""
    match KINDS[architecture.layers[index].kind].joining:
        case Joining.ADD:
            return " + ".join(read)
        case Joining.MULTIPLY:
            return " * ".join(_factors(architecture, index, read))
        case Joining.CONCAT:
            return f"torch.cat([{', '.join(read)}], dim=1)"
    return _alone(architecture, index, f"self.{name}", read[0])


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
