"""`archpress analyse`: the figures of the paper, of nets trained here."""

from dataclasses import replace
from typing import Annotated

import typer

from archpress.cli.arguments import net_name, read_limits, read_net_and_images, read_precision
from archpress.cli.options import (
    ClusterOption,
    DataOption,
    DeviceOption,
    JsonOption,
    MaxMacsOption,
    MaxParametersOption,
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
from archpress.errors import ArchpressError


def analyse(
    net: NetArgument,
    data: DataOption,
    run: RunOption,
    max_parameters: MaxParametersOption = None,
    max_macs: MaxMacsOption = None,
    nets: Annotated[int, typer.Option(help="Samples of the paper's sampler to train.")] = 100,
    trained: Annotated[int, typer.Option(help="Decoded nets to train, of each descent.")] = 8,
    iterations: Annotated[int, typer.Option(help="Of each fit of the embedding.")] = 20_000,
    seeds: Annotated[int, typer.Option(help="Samples, fits and descents of their own.")] = 1,
    trial_epochs: Annotated[int, typer.Option(help="Of each training.")] = 3,
    trial_images: Annotated[int, typer.Option(help="That each training uses.")] = 2000,
    size: SizeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    workers: WorkersOption = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look into the paper's embedding: filters, map, predictions along the descent, motifs.

    Fits it twice a seed, with types of layers as numbers and as categories, and trains some of what
    the descents decode, before and after fine-tuning. Writes analysis.html, analysis.md and
    analysis.json.

    **Example:** archpress analyse conv7 --data fashion-mnist-sample --max-parameters 93000
    --run runs/analysis
    """
    from archpress.embedding.paper import PaperSettings
    from archpress.evaluation import quick
    from archpress.reproduction import AnalysisSettings
    from archpress.reproduction import analyse as look
    from archpress.reproduction.analysis_page import (
        MOTIF_COLUMNS,
        PAGE,
        PATH_COLUMNS,
        motif_rows,
        path_rows,
        write_analysis,
    )
    from archpress.terminal import table

    counts = {"nets": nets, "trained": trained, "iterations": iterations, "seeds": seeds}
    for option, count in counts.items():
        least = 2 if option == "nets" else 1
        if count < least:
            raise ArchpressError(f"--{option} must be at least {least}, not {count}")
    typed = read_limits(max_parameters=max_parameters, max_macs=max_macs)
    source, images = read_net_and_images(net, data, size, seed=0)
    limits = typed.of(source)
    trial = quick(epochs=trial_epochs, train_images=trial_images, spare_images=3000)
    settings = AnalysisSettings(
        nets,
        replace(trial, precision=read_precision(precision, device, cluster)),
        PaperSettings(iterations=iterations),
        trained_a_descent=trained,
        seeds=seeds,
    )
    with terminal_progress(quiet=quiet) as progress:
        found = look(
            source,
            images,
            limits,
            settings,
            run=run,
            name=net_name(net),
            device=device,
            workers=workers,
            store=store,
            cluster=cluster,
            progress=progress,
        )
    write_analysis(found)
    if as_json:
        print_json(found.to_dict())
        return
    screen = console()
    screen.print(table("What nets are made of", MOTIF_COLUMNS, motif_rows(found)))
    screen.print(table("How far predictions hold", PATH_COLUMNS, path_rows(found)))
    say(f"Page: {run / PAGE}")
