"""`compress`: a net, images and limits in; a smaller net out, trained, measured, on disk."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from archpress.compression.augmentation import choose_augmentation
from archpress.compression.clock import Clock
from archpress.compression.ending import finish
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.compression.given import Source, told_of_others
from archpress.compression.measuring import measure
from archpress.compression.network_files import write_network
from archpress.compression.request import Request, asks_nothing_of, read_request
from archpress.compression.result import Result
from archpress.compression.run_folder import (
    FolderTrials,
    alone_in,
    known_plan,
    open_folder,
    store_of,
    write_plan,
    write_result,
)
from archpress.compression.search import Task, search
from archpress.compression.settings import Settings
from archpress.compression.timing import timing_of, with_times
from archpress.data import ImageData
from archpress.evaluation import (
    Normalisation,
    averaged,
    connect,
    driver_device,
    open_pool,
    torch_threads,
    workers_at_once,
)
from archpress.paths import typed_path
from archpress.progress_file import ProgressFile
from archpress.reading.state_dicts import StateDict
from archpress.run_files import SOURCE_FILE
from archpress.search.progress import Progress, Silent, Together
from archpress.space import Form, Limits, SearchSpace
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
        limits: at least one. Latency is that on this machine's processor, whatever `device` trains,
            unless `limits.latency` says otherwise.
        run: folder for all results.
        form: what all candidates are like, whatever they cost.
        weights: of the source, which is then not trained here: "own" for those that it has, or a
            state dict that fits it, or a file of one (.safetensors, .pt, .pth).
        normalisation: that they need: "data", "unit", "half", "bytes", "imagenet", "MEAN/STD" or a
            `Normalisation`; by default the one of these under which the source is most accurate.
        settings: how much work; by default what `settings_of` has for the set.
        name: of the source, for people; by default what it is.
        seed: of the search and its trials, and of the validation split where `data` is not divided
            yet; final trainings have the seeds 0, 1, ... whatever it is.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that train; by default as `default_workers` has them.
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
    listener = progress or Silent()
    driver = driver_device(device, cluster)
    workers = workers_at_once(workers, driver, cluster)
    asked = read_request(
        source,
        data,
        limits,
        form=form,
        weights=weights,
        normalisation=normalisation,
        settings=settings,
        name=name,
        seed=seed,
        device=driver,
        progress=listener,
    )
    images, baseline = asked.images, asked.baseline
    folder = open_folder(typed_path(run))
    with ExitStack() as stack:
        stack.enter_context(alone_in(folder))
        stack.enter_context(torch_threads(1))
        told = stack.enter_context(ProgressFile(folder, workers=workers))
        listener = Together(listener, told)
        trials = stack.enter_context(store_of(folder, store, images.key))
        if store is not None:
            listener = Together(listener, stack.enter_context(FolderTrials(folder)))
        write_text(folder / SOURCE_FILE, baseline.to_json())
        if others := told_of_others(known_plan(folder), asked.plan):
            listener.say(others)
        write_plan(folder, asked.plan)
        timing = timing_of(limits, folder, listener)
        aimed = with_times(limits, timing, baseline, seed, asked.form)
        space = asked.space(aimed)
        if asks_nothing_of(baseline, aimed, space):
            listener.say("The source keeps all limits, so the result need not be smaller.")

        clock = Clock()
        pool_of = partial(open_pool, images, workers=workers, device=device, cluster=cluster)
        with pool_of(asked.settings.final) as pool:
            trainer = FinalTrainer(images, pool, trials, folder / "weights", listener, driver)
            chosen, trained_source = _train_source(trainer, asked, space, clock)
            write_plan(folder, replace(asked, settings=chosen).plan)
        with pool_of(
            chosen.trial, time_limit=chosen.time_limit, memory_limit=chosen.memory_limit
        ) as pool:
            evaluator = averaged(pool, chosen.initialisations)
            task = Task(
                asked.searched, space, evaluator, trials, chosen, seed, folder, listener, timing
            )
            found = search(task, aimed.against(trainer.validation(trained_source).mean))
            clock.add(found.seconds)
        with pool_of(chosen.final) as pool:
            trainer = replace(trainer, pool=pool)
            ending = finish(trainer, task, found, aimed, trained_source)
            clock.lap("final training")
        best = ending.compressed
        network = trainer.network(best, trainer.best_seed(best))
        write_network(folder, best.architecture, network, images, trainer.normalisation(best))
        result = measure(trainer, task, found, ending, limits, asked.name)
        clock.lap("measuring")
        result = replace(result, seconds=clock.seconds)
        write_result(folder, result)
    return result


def _train_source(
    trainer: FinalTrainer, asked: Request, space: SearchSpace, clock: Clock
) -> tuple[Settings, Entrant]:
    """The source after its final training, and the settings, whose final recipe all nets share."""
    wanted = asked.settings
    varied = choose_augmentation(trainer, wanted.augmentations, wanted.final, asked.searched, space)
    if wanted.augmentations:
        clock.lap("augmentation")
    chosen = replace(wanted, final=varied).for_images(len(asked.images.train))
    seeds = tuple(range(1 if asked.given else chosen.seeds))
    source = Entrant(asked.baseline, chosen.final, seeds, "source", asked.given)
    trainer.train([source], "training the source")
    clock.lap("source")
    return chosen, source
