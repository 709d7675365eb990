"""The command `compress`."""

import json
from dataclasses import replace
from typing import Annotated

import typer

from archpress.arguments import (
    DataOption,
    DeviceOption,
    EffortOption,
    JsonOption,
    KeepOption,
    MaxAccuracyLossOption,
    MaxFileSizeOption,
    MaxMacsOption,
    MaxParametersOption,
    MaxPeakMemoryOption,
    MinAccuracyOption,
    NetArgument,
    OnlyOption,
    QuietOption,
    RoundChannelsOption,
    RunOption,
    SeedOption,
    SizeOption,
    WorkersOption,
    net_name,
    read_limits,
    read_source_and_images,
    settings_of,
)

MET, NOT_MET = 0, 3  # exit codes


def compress(
    net: NetArgument,
    data: DataOption,
    run: RunOption,
    max_parameters: MaxParametersOption = None,
    max_macs: MaxMacsOption = None,
    max_peak_memory: MaxPeakMemoryOption = None,
    max_file_size: MaxFileSizeOption = None,
    min_accuracy: MinAccuracyOption = None,
    max_accuracy_loss: MaxAccuracyLossOption = None,
    round_channels: RoundChannelsOption = 1,
    keep: KeepOption = None,
    only: OnlyOption = None,
    effort: EffortOption = None,
    first: Annotated[int | None, typer.Option(help="Nets trained before the first round.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Of propose, train, refit.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each final training.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Final trainings of each net.")] = None,
    size: SizeOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find, train and measure a smaller net that keeps the limits.

    With a limit on a cost, the most accurate net within it; with limits on accuracy alone, the
    smallest that keeps them. Exit code 3 where the limits are not met: the closest net is in the
    run folder all the same.

    **Examples**

    archpress compress conv7 --data fashion-mnist-sample --max-parameters 93000 --run runs/first

    archpress compress net.py:build --data photos/ --max-macs 50% --keep stem --keep "layer4.*"
    --run runs/kept

    archpress compress net.json --data photos/ --max-macs 50% --max-accuracy-loss 0.01 --run runs/p
    """
    from rich.console import Console

    from archpress import compression
    from archpress.report import write_report
    from archpress.space import Form, matching
    from archpress.terminal import TerminalProgress, result_table

    form = Form(round_channels)
    typed = read_limits(
        max_parameters=max_parameters,
        max_macs=max_macs,
        max_peak_memory=max_peak_memory,
        max_file_size=max_file_size,
        min_accuracy=min_accuracy,
        max_accuracy_loss=max_accuracy_loss,
    )
    found, images = read_source_and_images(net, data, size, seed)
    source = found.architecture
    limits = typed.of(source)
    form = replace(form, kept=matching(found.names, keep=keep or (), only=only or ()))
    settings = settings_of(images, effort)
    settings = compression.with_counts(
        settings, first=first, rounds=rounds, epochs=epochs, seeds=seeds
    )
    with TerminalProgress(Console(stderr=True), quiet=quiet) as progress:
        result = compression.compress(
            source,
            images,
            limits,
            run=run,
            form=form,
            settings=settings,
            name=net_name(net),
            seed=seed,
            device=device,
            workers=workers,
            progress=progress,
        )
    report = write_report(run)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=1))
    else:
        Console().print(result_table(result))
        typer.echo(f"{result.sentence}\nReport: {report}")
        typer.echo(f"Use it: python {run / 'network.py'} {run / 'weights.pt'}")
    raise typer.Exit(MET if result.met else NOT_MET)
