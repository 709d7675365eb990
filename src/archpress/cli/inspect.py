"""`archpress inspect`: the layers of a net and their exact costs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archpress.cli.arguments import costs, shape_of
from archpress.cli.options import ClassesOption, InputOption, JsonOption, NetArgument
from archpress.cli.printing import console, print_json, say
from archpress.errors import ArchpressError

NOT_READ_RIGHT = 3  # exit code: outputs differ

if TYPE_CHECKING:
    from archpress.reading.sources import SourceNet


def inspect(
    net: NetArgument,
    input_shape: InputOption = None,
    classes: ClassesOption = 10,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare outputs of the net with what was read."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Layers, shapes and exact costs of a net; whether a net of your own was read right.

    Exit code 3 where outputs of the net and of what was read differ.

    **Examples**

    archpress inspect conv7

    archpress inspect mymodel.py:build --input 3x32x32 --check

    archpress inspect mymodel.onnx --check
    """
    from archpress.store.nets import open_net
    from archpress.terminal import architecture_table

    source = open_net(net).read(shape_of(input_shape, "--input"), classes)
    architecture = source.architecture
    checked = _checked(net, source) if check else {}
    if as_json:
        told: dict[str, Any] = {**costs(architecture), **checked, "names": source.names}
        told["frozen_parts"] = [asdict(part) for part in source.frozen]
        told["architecture"] = json.loads(architecture.to_json())
        print_json(told)
    else:
        console().print(architecture_table(architecture, source.names))
        say(
            f"{architecture}, {architecture.peak_memory:,} bytes of activations at the peak, "
            f"{architecture.file_size:,} bytes as weights.safetensors"
        )
        for part in source.frozen:
            say(f"{part.path} ({part.module}) stays as it is: {part.reason}")
    if check and not as_json:
        if "module_parameters" in checked:
            registered, unused = checked["module_parameters"], checked["unused_parameters"]
            unused_text = f"of which its output does not use {unused:,}"
            if unused < 0:
                unused_text = (
                    f"and its layers {-unused:,} more, worked out from others or not registered"
                )
            say(f"The module has {registered:,} parameters, {unused_text}.")
        say(
            f"With its weights outputs differ by at most {checked['difference']:.2g}, the largest "
            f"is {checked['largest_output']:.2g}"
        )
    if check and not checked["agrees"]:
        raise typer.Exit(NOT_READ_RIGHT)


def _checked(net: str, source: "SourceNet") -> dict[str, int | float | bool]:
    """How the outputs of what was read differ from those of the net itself."""
    found = source.agreement()
    if found is None:
        raise ArchpressError(
            f"--check compares with a module, FILE.py:callable, a .pt2 or an .onnx file, and {net} "
            "is none"
        )
    told: dict[str, int | float | bool] = {
        "difference": found.difference,
        "largest_output": found.largest,
        "agrees": found.is_close,
    }
    if source.parameters is not None:
        told["module_parameters"] = source.parameters
        told["unused_parameters"] = source.parameters - source.architecture.parameters
    return told
