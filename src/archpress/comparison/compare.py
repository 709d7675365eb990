"""`compare`: any arms over the same seeds, budget, images and recipes."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from archpress.architecture import Architecture, named, with_linear_head
from archpress.comparison.conditions import Conditions
from archpress.comparison.contestants import Contestant, pick
from archpress.comparison.final_training import FinalStage
from archpress.comparison.joining import join, require_comparisons
from archpress.comparison.match import Match
from archpress.comparison.page import write_page
from archpress.comparison.result import Comparison
from archpress.comparison.searches import SEARCHES, Searcher
from archpress.comparison.tables import write_tables
from archpress.compression.facts import recipe_facts
from archpress.compression.finals import FinalTrainer
from archpress.compression.run_folder import alone_in, open_folder, store_of
from archpress.compression.settings import Settings, settings_of
from archpress.data import ImageData, load_data, require_shape
from archpress.errors import EvaluationError, SpaceError
from archpress.evaluation import (
    Pool,
    averaged,
    connect,
    driver_device,
    open_pool,
    torch_threads,
    workers_at_once,
)
from archpress.paths import typed_path
from archpress.progress_file import ProgressFile
from archpress.search import Objective, Progress, Silent, Together
from archpress.space import Limits, space_around, with_joins_of_two

DEFAULT_ARMS = ("default", "random", "narrowing", "evolution")


def compare(
    source: Architecture | str,
    data: ImageData | str | Path,
    limits: Limits,
    *,
    run: Path | str,
    arms: Sequence[str | Contestant] = DEFAULT_ARMS,
    budget: int = 100,
    seeds: int = 5,
    first_seed: int = 0,
    settings: Settings | None = None,
    name: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    store: Path | str | None = None,
    cluster: str | None = None,
    joined: Sequence[Path | str] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Let arms search with several seeds, train what each chose, and compare the nets.

    All trials go into one store, so the same call after a kill goes on, and one with more arms or
    seeds trains only what is new. After every search the folder has `compare.html`, `compare.md`,
    `compare.csv` and `trials.csv` of what is known by then. The test images are read once, at the
    end, for all nets.

    Args:
        source: the net to compress, or a name of the zoo.
        data: images, or what `load_data` takes.
        limits: at least one.
        run: folder for all results.
        arms: names of `contestants()`, or contestants of one's own.
        budget: architectures that each search may train.
        seeds: searches of each arm.
        first_seed: that of the first; the next have the numbers after it, so that machines can
            share the seeds of a comparison.
        settings: recipes, batch, and how our embedding is fitted; by default what `settings_of`
            has for the set. Its counts of seeds and rounds are not used.
        name: of the source, for people.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that train; by default as `default_workers` has them.
        store: of trials, shared with other runs: a file or a URL; by default one in the folder. The
            folder gets its trials at the end.
        cluster: of Ray, that trains instead of processes here: "auto" or an address, see `connect`.
        joined: folders of the same comparison with other seeds or arms; what they have is not made
            again.
        progress: who listens.

    Raises:
        ArchitectureError: no net has that name.
        SpaceError: there is no limit, or no net can meet them.
        DataError: the images cannot be read or do not fit the source.
        StoreError: the folder or its store cannot be used, or one that is joined.
        EvaluationError: an arm is not known, a count is below 1, or the device is not there.
    """
    contestants = pick(arms)
    if cluster is not None:
        connect(cluster)  # refuses before anything takes time
    _check_counts(budget, seeds, first_seed)
    others = [Path(other) for other in joined]
    require_comparisons(others)
    if not limits.any:
        raise SpaceError("give at least one limit, e.g. Limits(max_parameters=20_000)")
    if limits.limits_latency:
        raise SpaceError("a comparison times no nets: limit max_macs in the place of the latency")
    images = data if isinstance(data, ImageData) else load_data(data)
    name = name or (source if isinstance(source, str) else "the source")
    if isinstance(source, str):
        source = named(source, images.input_shape, images.classes)
    source = with_linear_head(with_joins_of_two(source))
    require_shape(images, source.input_shape, source.classes)
    space = space_around(source, limits)
    conditions = Conditions(
        source,
        images,
        limits,
        (settings or settings_of(images)).for_images(len(images.train)),
        typed_path(run),
        driver_device(device, cluster),
    )
    taking_part = [(one, one.arm(conditions)) for one in contestants]
    with ExitStack() as stack:
        workers = workers_at_once(workers, conditions.device, cluster)
        pools = _pools(stack, conditions, workers, device, cluster)  # may refuse: before any file
        folder = _folder(conditions)
        stack.enter_context(alone_in(folder))
        trials = stack.enter_context(store_of(folder, store, images.key))
        told = stack.enter_context(ProgressFile(folder, workers=workers))
        listener = Together(progress or Silent(), told)
        join(others, folder, trials, images.key, listener)
        weights = folder / "weights"
        trainer = FinalTrainer(images, pools.final, trials, weights, listener, conditions.device)
        evaluator = averaged(pools.trial, conditions.settings.initialisations)
        searcher = Searcher(conditions, space, budget, evaluator, trials, listener)
        match = Match(conditions, taking_part, searcher, FinalStage(conditions, trainer))
        so_far = _begin(conditions, contestants, budget, name, seeds, first_seed)
        match.play(so_far.which_seeds, lambda runs: _write(replace(so_far, runs=tuple(runs))))
        match.test()
    comparison = replace(so_far, runs=tuple(match.runs), complete=True)
    _write(comparison)
    return comparison


def _check_counts(budget: int, seeds: int, first_seed: int) -> None:
    for name, count, least in (
        ("budget", budget, 1),
        ("seeds", seeds, 1),
        ("first_seed", first_seed, 0),
    ):
        if count < least:
            raise EvaluationError(f"{name} must be at least {least}, not {count}")


def _folder(conditions: Conditions) -> Path:
    """The folder, made where it is missing."""
    folder = open_folder(conditions.folder)
    (folder / SEARCHES).mkdir(exist_ok=True)
    return folder


@dataclass(frozen=True)
class _Pools:
    trial: Pool
    final: Pool


def _pools(
    stack: ExitStack,
    conditions: Conditions,
    workers: int | None,
    device: str,
    cluster: str | None,
) -> _Pools:
    """Workers for trials, with the limits of the settings, and for final trainings, without."""
    settings, images = conditions.settings, conditions.images
    stack.enter_context(torch_threads(1))
    trial = open_pool(
        images,
        settings.trial,
        cluster=cluster,
        workers=workers,
        device=device,
        time_limit=settings.time_limit,
        memory_limit=settings.memory_limit,
    )
    final = open_pool(images, settings.final, cluster=cluster, workers=workers, device=device)
    return _Pools(stack.enter_context(trial), stack.enter_context(final))


def _begin(
    conditions: Conditions,
    contestants: Sequence[Contestant],
    budget: int,
    name: str,
    seeds: int,
    first_seed: int,
) -> Comparison:
    """A comparison of which nothing is known yet."""
    source, images, settings = conditions.source, conditions.images, conditions.settings
    objective = Objective(conditions.limits)
    return Comparison(
        source={
            "name": name,
            "key": source.key,
            "parameters": source.parameters,
            "macs": source.macs,
        },
        data={
            "name": images.name,
            "key": images.key,
            "train": len(images.train),
            "validation": len(images.validation),
            "classes": images.classes,
        },
        limits=conditions.limits.to_dict(),
        recipes=recipe_facts(settings, objective, settings.final),
        contestants=tuple(contestants),
        budget=budget,
        batch=settings.batch,
        seeds=seeds,
        first_seed=first_seed,
        goal="compression" if objective.shrinks else "accuracy",
        runs=(),
        complete=False,
        folder=conditions.folder,
        distillation=settings.distillation,
    )


def _write(comparison: Comparison) -> None:
    write_tables(comparison)
    write_page(comparison)
