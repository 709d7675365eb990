"""`archpress reproduce`: a row of the paper's first table."""

from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archpress.cli.arguments import names, read_limits, read_precision
from archpress.cli.options import (
    ClusterOption,
    DeviceOption,
    JsonOption,
    MaxParametersOption,
    PrecisionName,
    PrecisionOption,
    QuietOption,
    StoreOption,
    WorkersOption,
    path_option,
)
from archpress.cli.printing import console, print_json, say, terminal_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archpress.reproduction import Experiment, Stage


class RowName(StrEnum):
    """The rows of Table 1."""

    FASHION_MNIST = "fashion-mnist"
    CIFAR10 = "cifar10"
    CIFAR100 = "cifar100"
    SVHN = "svhn"


class ScaleName(StrEnum):
    """How much work."""

    QUICK = "quick"
    MEDIUM = "medium"
    PAPER = "paper"


def reproduce(
    data: Annotated[RowName, typer.Argument(metavar="DATA", help="A row of Table 1, by its set.")],
    scale: Annotated[
        ScaleName, typer.Option(help="Half an hour, a day or so, or all that the paper says.")
    ] = ScaleName.QUICK,
    run: Annotated[
        Path | None,
        path_option("Folder for all results; by default runs/reproduce-DATA-SCALE."),
    ] = None,
    just_plan: Annotated[
        bool, typer.Option("--plan", help="Tell what would be trained, and how long it takes.")
    ] = False,
    methods: Annotated[
        str, typer.Option(help="Arms as of `archpress compare`, with commas between.")
    ] = "paper,default,hand-made",
    max_parameters: MaxParametersOption = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each method.")] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    workers: WorkersOption = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """One row of the paper's Table 1: its base, its method and ours, the paper's numbers beside.

    A result may have as many parameters as the paper's, unless --max-parameters says otherwise. The
    same command goes on after a kill. Writes reproduce.md beside the files of `archpress compare`.

    **Example:** archpress reproduce fashion-mnist --scale quick --plan
    """
    from archpress import reproduction
    from archpress.data import load_data
    from archpress.terminal import table

    typed = read_limits(max_parameters=max_parameters)
    row = reproduction.TABLE_ONE[data.value]
    how_much = reproduction.scale_of(scale.value, row)
    numbers = read_precision(precision, device, cluster)
    experiment = reproduction.Experiment(
        row,
        replace(how_much, settings=how_much.settings.in_precision(numbers)),
        names([methods]),
        typed.of(row.source).max_parameters,
        seeds,
    )
    with terminal_progress(quiet=quiet) as progress:
        if just_plan:
            stages = reproduction.plan(
                experiment, device=device, workers=workers, progress=progress
            )
        else:
            result = reproduction.reproduce(
                experiment,
                load_data(data.value),
                run=run or Path("runs") / f"reproduce-{data.value}-{scale.value}",
                device=device,
                workers=workers,
                store=store,
                cluster=cluster,
                progress=progress,
            )
    if just_plan:
        _tell_plan(experiment, stages, as_json=as_json)
    elif as_json:
        print_json(result.to_dict())
    else:
        console().print(table("", reproduction.COLUMNS, result.rows()))
        _tell_left_out(experiment)
        say(f"Files: {result.comparison.folder}")


def _tell_plan(experiment: "Experiment", stages: "Sequence[Stage]", *, as_json: bool) -> None:
    from archpress.reproduction.plan import GPU_MACS_PER_SECOND
    from archpress.terminal import table

    hours, gpu_hours = (sum(getattr(one, n) for one in stages) for n in ("hours", "gpu_hours"))
    if as_json:
        told = [
            asdict(one)
            | {"total_macs": one.total_macs, "hours": one.hours, "gpu_hours": one.gpu_hours}
            for one in stages
        ]
        found = {"stages": told, "hours": hours, "gpu_hours": gpu_hours}
        print_json(found | {"left_out": experiment.left_out})
        return
    columns = ["stage", "trainings", "images each", "M macs", "hours here", "hours, GPU"]
    rows = [
        [
            one.name,
            f"{one.trainings:,}",
            f"{one.images:,}",
            f"{one.macs / 1e6:,.1f}",
            f"{one.hours:,.2f}",
            f"{one.gpu_hours:,.2f}",
        ]
        for one in stages
    ]
    rows.append(["all", "", "", "", f"{hours:,.2f}", f"{gpu_hours:,.2f}"])
    console().print(table("", columns, rows))
    say(
        f"Here: {stages[0].workers} workers, timed on a few nets and images just now; fits of "
        f"embeddings, minutes each, come on top. GPU: a guess, {GPU_MACS_PER_SECOND:.0e} "
        "multiply-adds a second."
    )
    _tell_left_out(experiment)


def _tell_left_out(experiment: "Experiment") -> None:
    if experiment.left_out:
        say("Other than in the paper:")
    for sentence in experiment.left_out:
        say(f"- {sentence}")
