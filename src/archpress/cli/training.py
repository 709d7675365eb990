"""`archpress evaluate` and `archpress train`: one net, briefly or to the end."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from archpress.cli.arguments import costs, read_net_and_images, read_precision
from archpress.cli.options import (
    Augmentation,
    DataOption,
    DeviceOption,
    JsonOption,
    NetArgument,
    PrecisionName,
    PrecisionOption,
    QuietOption,
    SeedOption,
    SizeOption,
    path_option,
)
from archpress.cli.printing import print_json, say, terminal_progress
from archpress.errors import EvaluationError
from archpress.paths import quoted, store_place
from archpress.run_files import STORE_FILE


def evaluate(
    net: NetArgument,
    data: DataOption,
    store: Annotated[
        str, typer.Option(help="Trials are kept here: a file, or a URL of PostgreSQL.")
    ] = STORE_FILE,
    size: SizeOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    as_json: JsonOption = False,
) -> None:
    """Train a net briefly, as a search does, and tell its validation accuracy.

    **Example:** archpress evaluate lenet5 --data fashion-mnist-sample
    """
    from archpress.compression import settings_of
    from archpress.evaluation import Candidate, SerialEvaluator
    from archpress.store import Store, evaluate_once

    architecture, images = read_net_and_images(net, data, size, seed)
    settings = settings_of(images).in_precision(read_precision(precision, device))
    evaluator = SerialEvaluator(images, settings.trial, device=device)
    with Store(store_place(store, new=True)) as opened:
        candidates = [Candidate(architecture, "by hand")]
        (outcome,) = evaluate_once(
            evaluator,
            opened,
            candidates,
            seed=seed,
            retry_failed=True,
            waiting=_WaitingTold(),
        )
    trial = outcome.trial
    if as_json:
        print_json({**costs(architecture), "reused": outcome.reused, **trial.to_dict()})
    elif trial.accuracy is not None:
        known = ", known from an earlier trial" if outcome.reused else ""
        say(f"{trial.accuracy:.2%} on validation images, {trial.seconds:.1f} s{known}")
    if not trial.done:
        raise EvaluationError(f"the trial failed: {trial.error}")


class _WaitingTold:
    """Says once that a trial of another run is waited for."""

    said = False

    def __call__(self, count: int) -> None:
        from archpress.search import told_of_waiting

        if count and not self.said:
            self.said = True
            say(told_of_waiting(count), error=True)


def train(
    net: NetArgument,
    data: DataOption,
    out: Annotated[Path, path_option("Folder for network.py and the weights.")],
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 12,
    augment: Annotated[
        Augmentation | None,
        typer.Option(
            help="Vary the images; by default Fashion-MNIST and CIFAR are mirrored, others not."
        ),
    ] = None,
    label_smoothing: Annotated[
        float, typer.Option(help="Share of the target that is spread over all classes.")
    ] = 0.0,
    size: SizeOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionName.FLOAT32,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a net to the end and write it as plain PyTorch: network.py, weights.pt.

    The same command goes on from its last epochs after a kill.

    **Example:** archpress train plain6 --data fashion-mnist-sample --out runs/plain --epochs 4
    """
    from archpress.compression import MIRRORED, train_to_folder
    from archpress.evaluation import augmented, final

    architecture, images = read_net_and_images(net, data, size, seed)
    recipe = final(epochs=epochs, flip=images.name in MIRRORED)
    if augment is not None:
        recipe = augmented(recipe, augment.value, images.input_shape)
    recipe = replace(
        recipe,
        label_smoothing=label_smoothing,
        precision=read_precision(precision, device),
    )
    with terminal_progress(quiet=quiet) as progress:
        accuracies = train_to_folder(
            architecture, images, recipe, out, seed=seed, device=device, progress=progress
        )
    if as_json:
        print_json({**costs(architecture), **accuracies})
    else:
        measured = {name: value for name, value in accuracies.items() if value is not None}
        say(", ".join(f"{name} {value:.2%}" for name, value in measured.items()))
        say(f"Use it: python {quoted(out / 'network.py')} {quoted(out / 'weights.pt')}")
