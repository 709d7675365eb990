"""`archpress compress`: a net, images and limits in; a smaller net out."""

from dataclasses import replace
from typing import Annotated

import typer

from archpress.cli.arguments import (
    names,
    net_name,
    read_limits,
    read_precision,
    read_source_and_images,
    with_latency,
)
from archpress.cli.options import (
    AugmentOption,
    ClusterOption,
    DataOption,
    DeviceOption,
    DeviceTimesOption,
    EffortOption,
    InputOption,
    JsonOption,
    KeepOption,
    LatencyBackendOption,
    LatencyBatchOption,
    LatencyThreadsOption,
    LogOption,
    MaxAccuracyLossOption,
    MaxFileSizeOption,
    MaxLatencyOption,
    MaxMacsOption,
    MaxParametersOption,
    MaxPeakMemoryOption,
    MinAccuracyOption,
    NetArgument,
    OnlyOption,
    PrecisionName,
    PrecisionOption,
    QuietOption,
    RoundChannelsOption,
    RunOption,
    SeedOption,
    SizeOption,
    StoreOption,
    WidthsOnlyOption,
    WorkersOption,
)
from archpress.cli.printing import console, print_json, say, terminal_progress
from archpress.paths import quoted

MET, NOT_MET = 0, 3  # exit codes

WEIGHTS = (
    "Weights of NET, which is then not trained: a state dict (.safetensors, .pt, .pth) that fits "
    "it, or own for those that it has itself."
)
NORMALISATION = (
    "Of NET's images, for its weights: data, unit, half, bytes, imagenet or MEAN/STD; by default "
    "the one under which it is most accurate."
)
DISTILLATION = (
    "Weight in the loss of the result of what NET and the finalists say, in [0, 1]; also trained "
    "without, and validation chooses; by default 0.5."
)
INHERIT = (
    "Train the result also from slices of NET's weights; validation chooses; by default for quick "
    "with --weights alone."
)


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
    max_latency: MaxLatencyOption = None,
    latency_batch: LatencyBatchOption = None,
    latency_threads: LatencyThreadsOption = None,
    latency_backend: LatencyBackendOption = None,
    device_times: DeviceTimesOption = None,
    round_channels: RoundChannelsOption = 1,
    weights: Annotated[str | None, typer.Option(help=WEIGHTS)] = None,
    normalisation: Annotated[str | None, typer.Option(help=NORMALISATION)] = None,
    distillation: Annotated[float | None, typer.Option(help=DISTILLATION)] = None,
    inherit: Annotated[bool | None, typer.Option("--inherit/--no-inherit", help=INHERIT)] = None,
    augment: AugmentOption = None,
    keep: KeepOption = None,
    only: OnlyOption = None,
    widths_only: WidthsOnlyOption = False,
    effort: EffortOption = None,
    first: Annotated[
        int | None, typer.Option(min=8, help="Nets trained before the first round.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=0, help="Of propose, train, refit.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each final training.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Final trainings of each net.")] = None,
    size: SizeOption = None,
    input_shape: InputOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    workers: WorkersOption = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    log_to: LogOption = None,
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

    archpress compress resnet20 --data photos/ --max-macs 50% --widths-only --run runs/narrow

    archpress compress net.json --data photos/ --max-macs 50% --max-accuracy-loss 0.01 --run runs/p

    archpress compress conv7 --data fashion-mnist-sample --max-latency 0.5ms --run runs/quick

    archpress compress mymodel.py:build --weights trained.safetensors --data photos/
    --input 3x32x32 --max-parameters 50000 --run runs/mine
    """
    from contextlib import ExitStack

    from archpress import compression
    from archpress.evaluation import augmented
    from archpress.reading.state_dicts import OWN
    from archpress.report import write_report
    from archpress.search import Together
    from archpress.space import Form, matching
    from archpress.terminal import result_table
    from archpress.tracking import Tracking

    tracking = Tracking(run, names(log_to))  # a missing extra is told before images are read
    form = Form(round_channels, widths_only=widths_only)
    typed = read_limits(
        max_parameters=max_parameters,
        max_macs=max_macs,
        max_peak_memory=max_peak_memory,
        max_file_size=max_file_size,
        min_accuracy=min_accuracy,
        max_accuracy_loss=max_accuracy_loss,
    )
    source, images = read_source_and_images(
        net, data, size, seed, weights=weights, input_shape=input_shape
    )
    limits = with_latency(
        typed.of(source.architecture.of_logits),
        max_latency,
        {
            "batch": latency_batch,
            "threads": latency_threads,
            "backend": latency_backend and latency_backend.value,
        },
        device_times,
    )
    form = replace(form, kept=matching(source.names, keep=keep or (), only=only or ()))
    settings = compression.with_counts(
        compression.settings_of(images, effort, given=weights is not None),
        first=first,
        rounds=rounds,
        epochs=epochs,
        seeds=seeds,
        distillation=distillation,
        inheritance=inherit,
    )
    settings = settings.in_precision(read_precision(precision, device, cluster))
    if augment is not None:
        varied = augmented(settings.final, augment.value, images.input_shape)
        settings = replace(settings, final=varied, augmentations=())
    with ExitStack() as stack:
        stack.enter_context(tracking)
        shown = stack.enter_context(terminal_progress(quiet=quiet))
        result = compression.compress(
            source,
            images,
            limits,
            run=run,
            form=form,
            weights=OWN if weights else None,
            normalisation=normalisation,
            settings=settings,
            name=net_name(net),
            seed=seed,
            device=device,
            workers=workers,
            store=store,
            cluster=cluster,
            progress=Together(shown, tracking),
        )
        report = write_report(run)
        tracking.finish(report)
    if as_json:
        print_json(result.to_dict())
    else:
        console().print(result_table(result))
        say(f"{result.sentence}\nReport: {report}")
        say(f"Use it: python {quoted(run / 'network.py')} {quoted(run / 'weights.pt')}")
    raise typer.Exit(MET if result.met else NOT_MET)
