"""The commands: each reads its arguments, calls one room, and prints."""

import json
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from archpress.arguments import (
    costs,
    most_parameters,
    read_net_and_images,
    read_precision,
)
from archpress.cli_analyse import analyse
from archpress.cli_compare import compare
from archpress.cli_compress import compress
from archpress.cli_count import count
from archpress.cli_diff import diff
from archpress.cli_export import export
from archpress.cli_inspect import inspect
from archpress.cli_merge import merge
from archpress.cli_profile import profile
from archpress.cli_reproduce import reproduce
from archpress.cli_table import table as table_command
from archpress.cli_watch import watch
from archpress.errors import ArchpressError, EvaluationError
from archpress.options import (
    AugmentOption,
    DataOption,
    DeviceOption,
    JsonOption,
    MaxParametersOption,
    NetArgument,
    PrecisionName,
    PrecisionOption,
    QuietOption,
    RunArgument,
    SeedOption,
    SizeOption,
    SortKey,
    StoreArgument,
)
from archpress.paths import quoted, store_place
from archpress.run_files import STORE_FILE

BAD_INPUT, STOPPED = 2, 130  # exit codes
# Commands that go on from what they had.
RESUMED = {"compress", "compare", "analyse", "reproduce", "train"}

app = typer.Typer(
    name="archpress",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Give it a CNN, labelled images and limits; get back a smaller net, trained and measured.",
    epilog="Start with: archpress compress conv7 --data fashion-mnist-sample "
    "--max-parameters 93000 --run runs/first",
)
app.command()(compress)
app.command()(watch)


@app.command()
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
    with Store(store) as opened:
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
        _print_json({**costs(architecture), "reused": outcome.reused, **trial.to_dict()})
    elif trial.accuracy is not None:
        known = ", known from an earlier trial" if outcome.reused else ""
        _say(f"{trial.accuracy:.2%} on validation images, {trial.seconds:.1f} s{known}")
    if not trial.done:
        raise EvaluationError(f"the trial failed: {trial.error}")


@app.command()
def train(
    net: NetArgument,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder for network.py and the weights.")],
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 12,
    augment: AugmentOption = None,
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
    from archpress.terminal import TerminalProgress

    architecture, images = read_net_and_images(net, data, size, seed)
    recipe = final(epochs=epochs, flip=images.name in MIRRORED)
    if augment is not None:
        recipe = augmented(recipe, augment.value, images.input_shape)
    recipe = replace(
        recipe,
        label_smoothing=label_smoothing,
        precision=read_precision(precision, device),
    )
    with TerminalProgress(_console(stderr=True), quiet=quiet) as progress:
        accuracies = train_to_folder(
            architecture, images, recipe, out, seed=seed, device=device, progress=progress
        )
    if as_json:
        _print_json({**costs(architecture), **accuracies})
    else:
        _say(", ".join(f"{name} {value:.2%}" for name, value in accuracies.items() if value))
        _say(f"Use it: python {quoted(out / 'network.py')} {quoted(out / 'weights.pt')}")


@app.command()
def fit(
    run: RunArgument,
    seeds: Annotated[
        int, typer.Option(min=1, help="Cross-validations, the folds drawn anew.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Fit the embedding of a run and tell how well its surrogate ranks held-out trials.

    Five-fold cross-validation over the run's trials, beside the ranking by parameters and by
    multiply-adds alone; and what decoding restores of unseen architectures.

    **Example:** archpress fit runs/demo --seeds 20
    """
    from archpress.compression import assess
    from archpress.terminal import table

    assessment = assess(run)
    rankings = list(assessment.rankings(seeds))
    restored = assessment.fitted.reconstruction
    if as_json:
        _print_json(
            {"rankings": [asdict(one) for one in rankings], "reconstruction": asdict(restored)}
        )
        return
    rows = [
        [str(seed), *map(_rank, (one.surrogate, one.parameters, one.macs))]
        for seed, one in enumerate(rankings)
    ]
    known = [one.surrogate for one in rankings if one.surrogate is not None]
    rows.append(["mean", _rank(fmean(known) if known else None), rows[0][2], rows[0][3]])
    title = f"Kendall's tau on held-out trials, {rankings[0].n} trials"
    _console().print(table(title, ["seed", "surrogate", "parameters", "macs"], rows))
    _say(
        f"Of {restored.n} unseen architectures: {restored.exact_share:.0%} restored exactly, "
        f"{restored.kind_share:.1%} of kinds, channels within {restored.channel_error_octaves:.2f} "
        f"octaves, {restored.valid_share:.0%} valid without repair, "
        f"{restored.novel_share:.0%} of noisy decodes new"
    )


def _rank(tau: float | None) -> str:
    return "-" if tau is None else f"{tau:.3f}"


@app.command()
def trials(
    run: StoreArgument,
    sort: Annotated[SortKey, typer.Option(help="Best first.")] = SortKey.ACCURACY,
    limit: Annotated[int, typer.Option(min=1, max=10**9, help="Show at most so many.")] = 20,
    max_parameters: MaxParametersOption = None,
    min_accuracy: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Only better nets, a fraction.")
    ] = None,
    origin: Annotated[str | None, typer.Option(help='E.g. "descent".')] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed ones.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write them to .csv or .jsonl, however many.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List, filter and sort the trials of a run, or export them.

    **Example:** archpress trials runs/demo --sort parameters --min-accuracy 0.85
    """
    from archpress.evaluation import TrialState
    from archpress.store import Store, TrialFilter
    from archpress.terminal import table

    with Store(store_place(run)) as store:
        which = TrialFilter(
            origin=origin,
            state=TrialState.FAILED if failed else None,
            max_parameters=most_parameters(max_parameters, run),
            min_accuracy=min_accuracy,
        )
        if export:
            count = store.export(export, which)
            if as_json:
                _print_json({"trials": count, "file": str(export)})
            else:
                _say(f"{count} trials written to {export}")
            return
        descending = sort in (SortKey.ACCURACY, SortKey.CREATED, SortKey.ROUND)
        found = store.trials(which, sort=sort.value, descending=descending, limit=limit)
        matching = store.count(which)
    if as_json:
        _print_json([trial.to_dict() for trial in found])
        return
    rows = [
        [
            trial.architecture.key[:8],
            f"{trial.accuracy:.2%}" if trial.accuracy is not None else trial.error or "failed",
            f"{trial.architecture.parameters:,}",
            f"{trial.architecture.macs:,}",
            f"{trial.seconds:.1f}",
            trial.origin,
            str(trial.round),
        ]
        for trial in found
    ]
    columns = ["key", "accuracy", "parameters", "macs", "seconds", "origin", "round"]
    _console().print(table(f"{len(found)} of {matching} trials", columns, rows))


@app.command()
def report(run: RunArgument) -> None:
    """Write report.html of a finished run anew.

    **Example:** archpress report runs/demo
    """
    from archpress.report import write_report

    _say(str(write_report(run)))


@app.command()
def data(as_json: JsonOption = False) -> None:
    """List the named sets of images, and where they are or how to get them."""
    from archpress.data import list_named
    from archpress.terminal import table

    listings = list_named()
    if as_json:
        _print_json([asdict(one) for one in listings])
        return
    rows = [
        [
            one.name,
            "x".join(map(str, one.input_shape)),
            str(one.classes),
            f"{one.train_images:,} + {one.test_images:,}",
            ("here: " if one.present else "missing: ") + str(one.where),
        ]
        for one in listings
    ]
    _console().print(table("", ["name", "image", "classes", "train + test", "where"], rows))


@app.command()
def zoo(as_json: JsonOption = False) -> None:
    """List the nets that are known by name."""
    from archpress.architecture import ZOO, named
    from archpress.terminal import table

    nets = {name: named(name) for name in ZOO}
    if as_json:
        _print_json({name: costs(net) for name, net in nets.items()})
        return
    rows = [
        [name, f"{net.parameters:,}", f"{net.macs:,}", ZOO[name].about]
        for name, net in nets.items()
    ]
    _console().print(table("", ["name", "parameters", "multiply-adds", "about"], rows))


app.command()(inspect)
app.command()(diff)
app.command()(export)
app.command()(profile)
app.command()(compare)
app.command()(count)
app.command()(reproduce)
app.command()(merge)
app.command()(analyse)
app.command("table")(table_command)

# --- printing ----------------------------------------------------------------------------------


def _console(*, stderr: bool = False) -> Any:  # noqa: ANN401
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=False)


def _print_json(content: Any) -> None:  # noqa: ANN401
    typer.echo(json.dumps(content, indent=1))


class _WaitingTold:
    """Says once that a trial of another run is waited for."""

    said = False

    def __call__(self, count: int) -> None:
        from archpress.search import told_of_waiting

        if count and not self.said:
            self.said = True
            _say(told_of_waiting(count), error=True)


def _say(text: str, *, error: bool = False) -> None:
    typer.echo(text, err=error)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; bad input is one sentence on standard error and exit code 2.

    SIGTERM, as schedulers and containers send it, stops it as Ctrl-C does.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(arguments, standalone_mode=True)
    except ArchpressError as error:
        _say(f"archpress: {error}", error=True)
        sys.exit(BAD_INPUT)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _say(f"archpress: cannot read or write{where}: {error.strerror or error}", error=True)
        sys.exit(BAD_INPUT)
    except SystemExit as stop:
        if stop.code == STOPPED:
            given = sys.argv[1:] if arguments is None else arguments
            is_resumed = bool(RESUMED.intersection(given[:1]))
            rest = "; the same command goes on from here" if is_resumed else ""
            _say(f"archpress: stopped{rest}", error=True)
        raise
