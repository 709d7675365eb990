"""`archpress compare`: ways to a small net, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archpress.cli.arguments import (
    names,
    net_name,
    read_limits,
    read_net_and_images,
    read_precision,
)
from archpress.cli.options import (
    ClusterOption,
    DataOption,
    DeviceOption,
    Effort,
    EffortOption,
    JsonOption,
    MaxAccuracyLossOption,
    MaxFileSizeOption,
    MaxMacsOption,
    MaxParametersOption,
    MaxPeakMemoryOption,
    MinAccuracyOption,
    NetArgument,
    PrecisionName,
    PrecisionOption,
    QuietOption,
    RunOption,
    SizeOption,
    StoreOption,
    WorkersOption,
)
from archpress.cli.printing import console, print_json, say, terminal_progress
from archpress.paths import typed_path

if TYPE_CHECKING:
    from archpress.compression import Settings
    from archpress.data import ImageData


def compare(
    net: NetArgument,
    data: DataOption,
    run: RunOption,
    max_parameters: MaxParametersOption = None,
    max_macs: MaxMacsOption = None,
    max_peak_memory: MaxPeakMemoryOption = None,
    max_file_size: MaxFileSizeOption = None,
    min_accuracy: MinAccuracyOption = None,
    max_accuracy_loss: MaxAccuracyLossOption = None,
    arms: Annotated[
        str, typer.Option(help="Names with commas between; a wrong one lists all.")
    ] = "default,random,narrowing,evolution",
    budget: Annotated[int, typer.Option(help="Architectures that a search may train.")] = 100,
    seeds: Annotated[int, typer.Option(help="Searches and final trainings of each arm.")] = 5,
    first_seed: Annotated[
        int, typer.Option(help="Of the seeds; another machine can take the next ones.")
    ] = 0,
    join: Annotated[
        list[Path] | None,
        typer.Option(
            parser=typed_path,
            metavar="FOLDER",
            help="Of the same comparison with other seeds or arms: what it has is not made again. "
            "May be given several times.",
        ),
    ] = None,
    effort: EffortOption = None,
    trial_epochs: Annotated[int | None, typer.Option(help="Of each trial.")] = None,
    trial_images: Annotated[int | None, typer.Option(help="That a trial trains on.")] = None,
    final_epochs: Annotated[int | None, typer.Option(help="Of each final training.")] = None,
    first: Annotated[
        int | None, typer.Option(help="Nets that our search trains before its first round.")
    ] = None,
    size: SizeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    workers: WorkersOption = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare ways to search: the same images, recipes, budget and seeds for all.

    Writes compare.html, compare.md, compare.csv and trials.csv, anew after every search. The same
    command goes on after a kill; with more arms or seeds it trains only what is new.

    **Example**

    archpress compare conv7 --data fashion-mnist-sample --max-parameters 20000 --budget 50
    --seeds 3 --arms default,random,evolution --run runs/compared
    """
    from archpress import comparison
    from archpress.comparison import tables
    from archpress.comparison.page import PAGE
    from archpress.terminal import table

    chosen = names([arms])
    comparison.pick(chosen)  # an unknown arm is told before images are read
    typed = read_limits(
        max_parameters=max_parameters,
        max_macs=max_macs,
        max_peak_memory=max_peak_memory,
        max_file_size=max_file_size,
        min_accuracy=min_accuracy,
        max_accuracy_loss=max_accuracy_loss,
    )
    source, images = read_net_and_images(net, data, size, seed=0)
    limits = typed.of(source)
    settings = _settings(images, effort, trial_epochs, trial_images, final_epochs, first)
    settings = settings.in_precision(read_precision(precision, device, cluster))
    with terminal_progress(quiet=quiet) as progress:
        result = comparison.compare(
            source,
            images,
            limits,
            run=run,
            arms=chosen,
            budget=budget,
            seeds=seeds,
            first_seed=first_seed,
            settings=settings,
            name=net_name(net),
            device=device,
            workers=workers,
            store=store,
            cluster=cluster,
            joined=join or (),
            progress=progress,
        )
    if as_json:
        print_json(result.to_dict())
        return
    console().print(table("", tables.brief_columns(result), tables.brief_rows(result)))
    say(f"{result.verdict}\nPage: {run / PAGE}")


def _settings(
    images: "ImageData",
    effort: Effort | None,
    trial_epochs: int | None,
    trial_images: int | None,
    final_epochs: int | None,
    first: int | None,
) -> "Settings":
    """Of the effort, with what was asked for in the place of its own."""
    from dataclasses import replace

    from archpress import compression

    settings = compression.settings_of(images, effort)
    trial = settings.trial
    if trial_epochs is not None:
        trial = replace(trial, epochs=trial_epochs)
    if trial_images is not None:
        trial = replace(trial, train_images=trial_images)
    settings = compression.with_counts(settings, first=first, epochs=final_epochs)
    return replace(settings, trial=trial)
