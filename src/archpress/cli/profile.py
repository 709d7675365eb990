"""`archpress profile`: how long layers take on a device."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archpress.architecture.shape_rules import format_shape
from archpress.cli.arguments import read_net, shape_of
from archpress.cli.options import (
    Backend,
    BatchOption,
    ClassesOption,
    InputOption,
    JsonOption,
    NetArgument,
    QuietOption,
    SeedOption,
    ThreadsOption,
    path_option,
)
from archpress.cli.printing import console, print_json, say, terminal_progress
from archpress.errors import ArchpressError

if TYPE_CHECKING:
    from archpress.architecture import Architecture
    from archpress.compression import Timing
    from archpress.space import LatencyConditions, LatencyModel
    from archpress.terminal import TerminalProgress


def profile(
    net: NetArgument,
    out: Annotated[Path | None, path_option("Write this device's times here.")] = None,
    pack: Annotated[
        Path | None, path_option("Write the nets here, to be timed on another device.")
    ] = None,
    input_shape: InputOption = None,
    classes: ClassesOption = 10,
    batch: BatchOption = 1,
    threads: ThreadsOption = 1,
    backend: Annotated[Backend, typer.Option(help="What runs it.")] = Backend.TORCH,
    nets: Annotated[int, typer.Option(min=1, help="How many are timed, at least.")] = 100,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """How long a net takes on a device, layer by layer; times for `compress --device-times`.

    Nets around the given one are timed whole, and a price of every kind of layer is fitted to them.
    With --pack they are not timed here: copy the folder to a device that has torch or onnxruntime
    alone, run `python measure.py` there, and take its device.json back.

    **Examples**

    archpress profile conv7 --out device.json

    archpress profile mymodel.py:build --input 3x32x32 --pack runs/pack --backend onnxruntime
    """
    from archpress.compression import nets_to_time
    from archpress.evaluation import this_machine
    from archpress.shipping import pack as write_pack
    from archpress.space import LatencyConditions

    if (out is None) == (pack is None):
        raise ArchpressError("give either --out, to time nets here, or --pack, to time elsewhere")
    architecture = read_net(net, shape_of(input_shape, "--input"), classes)
    chosen = nets_to_time(architecture, seed, nets)
    with terminal_progress(quiet=quiet) as progress:
        if pack:
            progress.stage("writing nets", len(chosen))
            write_pack(chosen, pack, backend=backend.value, advance=progress.advance)
        elif out:
            conditions = LatencyConditions(batch, threads, backend.value, machine=this_machine())
            model = _timed(chosen, out, conditions, progress).model
    if pack:
        say(
            f"{len(chosen)} nets are in {pack}: copy it to the device, run `python measure.py "
            f"--batch {batch} --threads {threads}` there, and give the device.json that it writes "
            "to archpress compress --device-times"
        )
    elif as_json:
        print_json(_told(architecture, model))
    else:
        _show(architecture, model)
        say(f"Written: {out}")


def _timed(
    chosen: "list[Architecture]",
    out: Path,
    conditions: "LatencyConditions",
    progress: "TerminalProgress",
) -> "Timing":
    from archpress.compression import Timing
    from archpress.space import LatencyModel

    out.parent.mkdir(parents=True, exist_ok=True)
    timing = Timing(LatencyModel(conditions), out, progress)
    timing.take(chosen, "timing nets on this device")
    return timing


def _told(architecture: "Architecture", model: "LatencyModel") -> dict[str, Any]:
    from archpress.space import fit_of

    return {
        "conditions": asdict(model.conditions),
        "milliseconds": model.milliseconds(architecture),
        "predicted": model.predicted(architecture),
        "layers": [
            {"kind": layer.kind, "milliseconds": time}
            for layer, time in zip(architecture.layers, model.by_layer(architecture), strict=True)
        ],
        "fit": asdict(fit_of(model.held_out())),
    }


def _show(architecture: "Architecture", model: "LatencyModel") -> None:
    from archpress.space import fit_of
    from archpress.terminal import table

    times = model.by_layer(architecture)
    share = [time / max(sum(times), 1e-12) for time in times]
    rows = [
        [str(index), layer.kind, format_shape(shape), f"{time:.4f}", f"{part:.0%}"]
        for index, (layer, shape, time, part) in enumerate(
            zip(architecture.layers, architecture.shapes, times, share, strict=True)
        )
    ]
    columns = ["", "layer", "output", "predicted (ms)", "share"]
    fit = fit_of(model.held_out())
    console().print(table(str(model.conditions), columns, rows))
    say(
        f"Measured {model.milliseconds(architecture):.3f} ms, predicted from its layers "
        f"{model.predicted(architecture):.3f} ms. Of {fit.n} nets, each predicted from the others: "
        f"mean error {fit.error:.0%}, nine of ten within {fit.within:.0%}, Kendall's tau "
        f"{fit.kendall:.2f}."
    )
