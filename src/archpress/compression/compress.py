"""`compress`: a net, images and limits in; a smaller net out, trained, measured, on disk."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from archpress.architecture import Architecture, with_linear_head
from archpress.compression.augmentation import choose_augmentation
from archpress.compression.clock import Clock
from archpress.compression.ending import finish, keeps
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.compression.given import (
    GivenWeights,
    Source,
    in_plan,
    measure_given,
    source_net,
    told_of_others,
)
from archpress.compression.measuring import measure
from archpress.compression.result import Result
from archpress.compression.run_folder import (
    FolderTrials,
    alone_in,
    known_plan,
    open_folder,
    trials_of,
    write_network,
    write_plan,
    write_result,
)
from archpress.compression.search import Task, search
from archpress.compression.settings import Settings, settings_of
from archpress.compression.timing import timing_of, with_times
from archpress.data import ImageData, load_data, require_shape
from archpress.errors import SpaceError
from archpress.evaluation import (
    Normalisation,
    Pool,
    Recipe,
    averaged,
    connect,
    driver_device,
    open_pool,
    torch_threads,
    workers_at_once,
)
from archpress.progress_file import ProgressFile
from archpress.reading.state_dicts import StateDict
from archpress.run_files import SOURCE_FILE
from archpress.search.progress import Progress, Silent, Together
from archpress.space import Form, Limits, SearchSpace, space_around, with_joins_of_two
from archpress.whole_files import write_text


def compress(
    source: Source,
    data: ImageData | str | Path,
    limits: Limits,
    *,
    run: Path | str,
    form: Form | None = None,
    weights: StateDict | str | Path | None = None,
    normalisation: Normalisation | str | None = None,
    settings: Settings | None = None,
    name: str | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    store: Path | str | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Search, train and measure a smaller architecture; go on from what the run folder holds.

    Everything in the folder is reused: trials of the same images and recipe, final trainings, the
    embedding; so the same call after a kill goes on, and a call with other limits starts from what
    is known.

    Args:
        source: the net to compress: an architecture, a module, which is traced, what `read_source`
            gives, or what a command takes as NET. Without `weights` it is trained here too.
        data: images, or what `load_data` takes.
        limits: at least one. Latency is that on this device unless `limits.latency` knows times.
        run: folder for all results.
        form: what all candidates are like, whatever they cost.
        weights: of the source, which is then not trained here: "own" for those that it has, or a
            state dict that fits it, or a file of one (.safetensors, .pt, .pth).
        normalisation: that they need: "data", "unit", "half", "bytes", "imagenet", "MEAN/STD" or a
            `Normalisation`; by default the one of these under which the source is most accurate.
        settings: how much work; by default by the size of the set, see `default_effort`.
        name: of the source, for people; by default what it is.
        seed: of the search and its trials, and of the validation split where `data` is not divided
            yet; final trainings have the seeds 0, 1, ... whatever it is.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that train; by default one a core.
        store: of trials, shared with other runs: a file or a URL; by default one in the folder. The
            folder gets its trials at the end.
        cluster: of Ray, that trains instead of processes here: "auto" or an address, see `connect`.
        progress: who listens.

    Raises:
        ArchitectureError: the module cannot be traced, no net has that name, or weights do not fit.
        SpaceError: there is no limit, no net can meet them or has the form, or the source cannot be
            compressed.
        DataError: the images cannot be read or do not fit the source.
        StoreError: the run folder or its store cannot be used.
        EvaluationError: the device is not there, a final training failed, or the source with its
            weights is no more accurate than chance.
    """
    if cluster is not None:
        connect(cluster)  # refuses before anything takes time
    images = data if isinstance(data, ImageData) else load_data(data, seed=seed)
    name = name or (source if isinstance(source, str) else type(source).__name__)
    listener = progress or Silent()
    read = source_net(source, images, weights, listener)  # as the user's, with its weights if asked
    form = (form or Form()).with_joins_of_two(read.architecture)
    read = replace(read, architecture=with_joins_of_two(read.architecture))
    baseline = read.architecture.of_logits  # what the result is held against
    searched = with_linear_head(baseline, form.kept)  # where the search begins
    require_shape(images, searched.input_shape, searched.classes)
    if not limits.any:
        raise SpaceError("give at least one limit, e.g. Limits(max_parameters=93_000)")
    timeless = replace(limits, max_latency=None, max_latency_share=None)
    space_around(searched, timeless, form)  # refuses what no net can keep
    wanted = settings or settings_of(images, given=weights is not None)
    chosen_device = driver_device(device, cluster)
    workers = workers_at_once(workers, chosen_device, cluster)
    given = measure_given(
        read, name, images, normalisation, device=chosen_device, progress=listener
    )
    plan = _plan(images, wanted, limits, form, name, seed, given)
    folder = open_folder(Path(run))
    with ExitStack() as stack:
        stack.enter_context(alone_in(folder))
        stack.enter_context(torch_threads(1))
        told = stack.enter_context(ProgressFile(folder, workers=workers))
        listener = Together(listener, told)
        trials = stack.enter_context(trials_of(folder, store, images.key))
        if store is not None:
            listener = Together(listener, stack.enter_context(FolderTrials(folder)))
        write_text(folder / SOURCE_FILE, baseline.to_json())
        if others := told_of_others(known_plan(folder), plan):
            listener.say(others)
        write_plan(folder, plan)
        timing = timing_of(limits, folder, listener)
        aimed = with_times(limits, timing, baseline, seed, form)
        space = space_around(searched, aimed, form)
        if asks_nothing_of(baseline, aimed, space):
            listener.say("The source keeps all limits, so the result need not be smaller.")

        def pool(recipe: Recipe, *, limited: bool) -> Pool:
            return open_pool(
                images,
                recipe,
                workers=workers,
                device=device,
                cluster=cluster,
                time_limit=wanted.time_limit if limited else None,
                memory_limit=wanted.memory_limit if limited else None,
            )

        with pool(wanted.final, limited=False) as workers_pool:
            weights_folder = folder / "weights"
            trainer = FinalTrainer(
                images, workers_pool, trials, weights_folder, listener, chosen_device
            )
            clock = Clock()
            varied = choose_augmentation(
                trainer, wanted.augmentations, wanted.final, searched, space
            )
            settings = replace(wanted, final=varied).for_images(len(images.train))
            seeds = tuple(range(1 if given else settings.seeds))
            if wanted.augmentations:
                clock.lap("augmentation")
            trained_source = Entrant(baseline, settings.final, seeds, "source", given)
            trainer.train([trained_source], "training the source")
            clock.lap("source")
        with pool(settings.trial, limited=True) as workers_pool:
            evaluator = averaged(workers_pool, settings.initialisations)
            task = Task(
                searched, space, evaluator, trials, settings, seed, folder, listener, timing
            )
            found = search(task, aimed.against(trainer.validation(trained_source).mean))
            clock.add(found.seconds)
        with pool(settings.final, limited=False) as workers_pool:
            trainer = replace(trainer, pool=workers_pool)
            ending = finish(trainer, task, found, aimed, trained_source)
            clock.lap("final training")
        best = ending.compressed
        network = trainer.network(best, trainer.best_seed(best))
        write_network(folder, best.architecture, network, images, trainer.normalisation(best))
        result = measure(trainer, task, found, ending, limits, timing, name)
        clock.lap("measuring")
        result = replace(result, seconds=clock.seconds)
        write_result(folder, result)
    return result


def asks_nothing_of(source: Architecture, limits: Limits, space: SearchSpace) -> bool:
    """Whether the source itself would do as a result, by all that is known without training."""
    return keeps(source, limits, space) and not limits.any_accuracy


def _plan(
    data: ImageData,
    settings: Settings,
    limits: Limits,
    form: Form,
    name: str,
    seed: int,
    given: GivenWeights | None,
) -> dict[str, Any]:
    return {
        "source": name,
        "data": data.key,
        "data_name": data.name,
        "limits": limits.to_dict(),
        **form.to_dict(),
        "effort": settings.effort,
        "trial_recipe": settings.trial_key,
        "final_recipe": settings.final.key,
        "seed": seed,
        **in_plan(given),
    }
