"""Plain PyTorch source of an architecture: a file that needs torch alone."""

import ast
import textwrap
from dataclasses import dataclass

from archpress.architecture.architecture import Architecture
from archpress.architecture.block_source import Structure, structures
from archpress.architecture.blocks import repeated_blocks
from archpress.architecture.frozen_source import class_name, frozen_classes
from archpress.architecture.network import layer_names, module_call
from archpress.architecture.shape_rules import format_shape
from archpress.architecture.source_lines import NamedModule, call_text, forward_lines, in_groups
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
    """The text of `network.py`: a module whose weights have the names of `blocks.written_names`.

    Blocks that are alike but for numbers are a class of their own.

    Args:
        architecture: what to write.
        preprocessing: written into the file, so that a user of the network needs no other.
        title: first line of the file's docstring.
    """
    classes, steps = structures(architecture), _steps(architecture)
    lines, last = forward_lines(architecture, steps, "image")
    return _TEMPLATE.format(
        title=title,
        parameters=architecture.parameters,
        macs=architecture.macs,
        shape=" x ".join(map(str, architecture.input_shape)),
        input_shape=architecture.input_shape,
        mean=tuple(round(float(value), 6) for value in preprocessing.mean),
        std=tuple(round(float(value), 6) for value in preprocessing.std),
        classes=_listed(preprocessing.class_names),
        parts=frozen_classes(_programs(architecture)) + "".join(map(str, classes.values())),
        init=_indented(_init_lines(architecture, steps, classes)),
        forward=_indented([*lines, _returned(architecture, last)]),
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


def _programs(architecture: Architecture) -> dict[str, str]:
    """Of frozen layers, by their names."""
    layers = zip(layer_names(architecture), architecture.layers, strict=True)
    return {name: str(one.option("program")) for name, one in layers if one.kind == "frozen"}


def _steps(architecture: Architecture) -> list[NamedModule]:
    """Layers and blocks, in their order."""
    numbered = enumerate(repeated_blocks(architecture), start=1)
    blocks = {
        block.rows.start: NamedModule(block.rows, f"block{number}") for number, block in numbered
    }
    names = layer_names(architecture)
    steps: list[NamedModule] = []
    row = 0
    while row < len(names):
        steps.append(blocks.get(row) or NamedModule(range(row, row + 1), names[row]))
        row = steps[-1].rows.stop
    return steps


def _init_lines(
    architecture: Architecture, steps: list[NamedModule], classes: dict[int, Structure]
) -> list[str]:
    """One line a layer or a block, an empty one between groups of several layers."""
    made_by = {rows.start: one for one in classes.values() for rows in one.blocks}
    lines: list[str] = []
    was_long = False
    for group in in_groups(architecture, steps):
        found = []
        for step in group:
            row = step.rows.start
            call = module_call(architecture, row)
            if row in made_by:
                made = made_by[row].made(step.rows)
            elif call is None:
                continue
            else:
                is_frozen = call.name == "Frozen"
                made = f"{class_name(step.name)}()" if is_frozen else call_text(call)
            shape = format_shape(architecture.shapes[step.rows[-1]])
            found.append(f"{f'self.{step.name} = {made}':<74}  # -> {shape}")
        if lines and found and (was_long or len(found) > 1):
            lines.append("")
        if found:
            was_long = len(found) > 1
        lines += found
    return lines


def _returned(architecture: Architecture, last: str) -> str:
    is_map = len(architecture.shapes[-1]) > 1
    return f"return {last}.flatten(1)" if is_map else f"return {last}"
