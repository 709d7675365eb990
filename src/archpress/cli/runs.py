"""What a run found: `archpress trials`, `archpress report`, `archpress fit`."""

from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer

from archpress.cli.arguments import most_parameters
from archpress.cli.options import (
    JsonOption,
    MaxParametersOption,
    RunArgument,
    SortKey,
    StoreArgument,
    path_option,
)
from archpress.cli.printing import console, print_json, say
from archpress.paths import store_place


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
        Path | None, path_option("Write them to .csv or .jsonl, however many.")
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
                print_json({"trials": count, "file": str(export)})
            else:
                say(f"{count} trials written to {export}")
            return
        descending = sort in (SortKey.ACCURACY, SortKey.CREATED, SortKey.ROUND)
        found = store.trials(which, sort=sort.value, descending=descending, limit=limit)
        matching = store.count(which)
    if as_json:
        print_json([trial.to_dict() for trial in found])
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
    console().print(table(f"{len(found)} of {matching} trials", columns, rows))


def report(run: RunArgument) -> None:
    """Write report.html of a finished run anew.

    **Example:** archpress report runs/demo
    """
    from archpress.report import write_report

    say(str(write_report(run)))


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
        print_json(
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
    console().print(table(title, ["seed", "surrogate", "parameters", "macs"], rows))
    say(
        f"Of {restored.n} unseen architectures: {restored.exact_share:.0%} restored exactly, "
        f"{restored.kind_share:.1%} of kinds, channels within {restored.channel_error_octaves:.2f} "
        f"octaves, {restored.valid_share:.0%} valid without repair, "
        f"{restored.novel_share:.0%} of noisy decodes new"
    )


def _rank(tau: float | None) -> str:
    return "-" if tau is None else f"{tau:.3f}"
