"""The command `inspect`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archpress.arguments import (
    ClassesOption,
    InputOption,
    JsonOption,
    NetArgument,
    costs,
    is_own_module,
    read_net,
    shape_of,
    traced_module,
)
from archpress.errors import ArchpressError

NOT_READ_RIGHT = 3  # exit code: outputs differ

if TYPE_CHECKING:
    from archpress.architecture import Architecture


def inspect(
    net: NetArgument,
    input_shape: InputOption = None,
    classes: ClassesOption = 10,
    check: Annotated[
        bool, typer.Option("--check", help="Compare a module of your own with what was read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Layers, shapes and exact costs of a net; whether a module of your own was read right.

    Exit code 3 where outputs of the module and of what was read differ.

    **Examples**

    archpress inspect conv7

    archpress inspect mymodel.py:build --input 3x32x32 --check
    """
    from rich.console import Console

    from archpress.terminal import architecture_table

    shape = shape_of(input_shape, "--input")
    checked: dict[str, int | float | bool] = {}
    if check and not is_own_module(net):
        raise ArchpressError(f"--check compares with a module, FILE.py:callable, and {net} is none")
    if check:
        architecture, checked = _checked(net, shape)
    else:
        architecture = read_net(net, shape, classes)
    if as_json:
        told: dict[str, Any] = {**costs(architecture), **checked}
        told["architecture"] = json.loads(architecture.to_json())
        typer.echo(json.dumps(told, indent=1))
    else:
        Console(soft_wrap=False).print(architecture_table(architecture))
        typer.echo(f"{architecture}, {architecture.peak_memory:,} bytes of activations at the peak")
    if check and not as_json:
        typer.echo(
            f"The module has {checked['module_parameters']:,} parameters, of which its output does "
            f"not use {checked['unused_parameters']:,}; with its weights outputs differ by at most "
            f"{checked['difference']:.2g}, the largest is {checked['largest_output']:.2g}"
        )
    if check and not checked["agrees"]:
        raise typer.Exit(NOT_READ_RIGHT)


def _checked(
    net: str, input_shape: tuple[int, int, int] | None
) -> "tuple[Architecture, dict[str, int | float | bool]]":
    """What a module of the user's code was read as, and how its outputs differ from that."""
    from archpress.architecture.network import build
    from archpress.architecture.tracing import agreement, load_traced

    module, traced = traced_module(net, input_shape)
    network = load_traced(build(traced.architecture), module, traced)
    found = agreement(network, module)
    parameters = sum(weight.numel() for weight in module.parameters())
    return traced.architecture, {
        "module_parameters": parameters,
        "unused_parameters": parameters - traced.architecture.parameters,
        "difference": found.difference,
        "largest_output": found.largest,
        "agrees": found.is_close,
    }
