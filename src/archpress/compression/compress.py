"""`compress`: a net, images and limits in; a smaller net out, trained, measured, on disk."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from archpress.architecture import Architecture, named
from archpress.architecture.tracing import trace
from archpress.compression.finals import FinalTrainer, Plan
from archpress.compression.first import hand_made_nets
from archpress.compression.result import LimitCheck, Measured, Result, versions
from archpress.compression.run_folder import (
    open_folder,
    write_network,
    write_plan,
    write_result,
    write_text,
)
from archpress.compression.search import (
    Search,
    Task,
    objective_of,
    search,
)
from archpress.compression.sentence import tell
from archpress.compression.settings import MIRRORED, Settings, default_effort, settings_for
from archpress.compression.timing import quick_enough, timing_of, with_times
from archpress.data import ImageData, load_data, require_shape
from archpress.errors import SpaceError
from archpress.evaluation import (
    Latency,
    ProcessPool,
    Recipe,
    averaged,
    choose_device,
    measure_latency,
    torch_threads,
)
from archpress.search.objective import Objective
from archpress.search.progress import Progress, Silent
from archpress.space import COSTS, Conditions, Form, Limits, space_around, with_joins_of_two
from archpress.store import Store

LATENCIES = 5  # measurements of each net in the result, of which the middle one is told


def compress(
    source: Architecture | nn.Module | str,
    data: ImageData | str | Path,
    limits: Limits,
    *,
    run: Path | str,
    form: Form | None = None,
    settings: Settings | None = None,
    name: str | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Search, train and measure a smaller architecture; go on from what the run folder holds.

    Everything in the folder is reused: trials of the same images and recipe, final trainings, the
    embedding; so the same call after a kill goes on, and a call with other limits starts from what
    is known.

    Args:
        source: the net to compress: an architecture, a module (which is traced; its weights are not
            used), or a name of the zoo. It is trained here too, for a fair comparison.
        data: images, or what `load_data` takes.
        limits: at least one. Latency is that on this device unless `limits.latency` knows times.
        run: folder for all results.
        form: what all candidates are like, whatever they cost.
        settings: how much work; by default by the size of the set, see `default_effort`.
        name: of the source, for people; by default what it is.
        seed: of everything that is random.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that train; by default one a core.
        progress: who listens.

    Raises:
        ArchitectureError: the module cannot be traced, or no net has that name.
        SpaceError: there is no limit, no net can meet them or has the form, or the source cannot be
            compressed.
        DataError: the images cannot be read or do not fit the source.
        StoreError: the run folder or its store cannot be used.
        EvaluationError: the device is not there, or a final training failed.
    """
    images = data if isinstance(data, ImageData) else load_data(data, seed=seed)
    name = name or (source if isinstance(source, str) else type(source).__name__)
    source = _architecture(source, images)
    form = (form or Form()).with_joins_of_two(source)
    source = with_joins_of_two(source)
    require_shape(images, source.input_shape, source.classes)
    if not limits.any:
        raise SpaceError("give at least one limit, e.g. Limits(max_parameters=93_000)")
    space_around(source, replace(limits, max_latency=None), form)  # refuses what no net can keep
    settings = settings or settings_for(
        default_effort(images.name),
        mirrored=images.name in MIRRORED,
        train_images=len(images.train),
    )
    chosen_device = choose_device(device)
    folder = open_folder(Path(run))
    listener = progress or Silent()
    with ExitStack() as stack:
        stack.enter_context(torch_threads(1))
        store = stack.enter_context(Store(folder / "trials.db"))
        write_text(folder / "source.json", source.to_json())
        write_plan(folder, _plan(images, settings, limits, form, name, seed))
        timing = timing_of(limits, folder, listener)
        aimed = with_times(limits, timing, source, seed) if timing else limits
        space = space_around(source, aimed, form)

        def pool(recipe: Recipe, *, limited: bool) -> ProcessPool:
            return ProcessPool(
                images,
                recipe,
                workers=workers,
                device=chosen_device,
                time_limit=settings.time_limit if limited else None,
                memory_limit=settings.memory_limit if limited else None,
            )

        with pool(settings.final, limited=False) as workers_pool:
            trainer = FinalTrainer(images, workers_pool, store, folder / "weights", listener)
            source_plan = Plan(source, settings.final, tuple(range(settings.seeds)), "source")
            clock = _Clock()
            trainer.train([source_plan], "training the source")
            clock.lap("source")
        with pool(settings.trial, limited=True) as workers_pool:
            evaluator = averaged(workers_pool, settings.initialisations)
            task = Task(source, space, evaluator, store, settings, seed, folder, listener, timing)
            found = search(task, aimed)
            clock.add(found.seconds)
        with pool(settings.final, limited=False) as workers_pool:
            trainer = replace(trainer, pool=workers_pool)
            outcome = _finish(trainer, task, found, aimed, source_plan)
            clock.lap("final training")
        result = _measure(trainer, task, found, outcome, limits, images, name, clock)
        plan = outcome.compressed
        network = trainer.network(plan, trainer.best_seed(plan))
        write_network(folder, plan.architecture, network, images, plan.recipe)
        write_result(folder, result)
    return result


def _architecture(source: Architecture | nn.Module | str, data: ImageData) -> Architecture:
    match source:
        case Architecture():
            return source
        case str():
            return named(source, data.input_shape, data.classes)
    return trace(source, data.input_shape).architecture


def _plan(
    data: ImageData, settings: Settings, limits: Limits, form: Form, name: str, seed: int
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
    }


class _Clock:
    """Seconds a stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._started, 2)
        self._started = now

    def add(self, seconds: dict[str, float]) -> None:
        self.seconds |= {name: round(value, 2) for name, value in seconds.items()}
        self._started = time.perf_counter()


# --- final training ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """The nets that were trained to the end."""

    source: Plan
    compressed: Plan
    reference: Plan | None

    @property
    def is_plain(self) -> bool:
        """Whether nothing that was found is better than the hand-made net."""
        return (
            self.reference is not None
            and self.reference.architecture.key == self.compressed.architecture.key
        )


def _finish(
    trainer: FinalTrainer, task: Task, found: Search, limits: Limits, source: Plan
) -> Outcome:
    """Train the finalists once; the best of them with all seeds, plain and distilled.

    The plain hand-made net is one of the finalists: no search should end below it.
    """
    settings = task.settings
    objective = replace(
        objective_of(task, limits),
        least_accuracy=limits.least_accuracy(trainer.validation(source).mean),
    )
    finalists = found.finalists
    if not finalists:
        raise SpaceError(f"all {len(found.trials)} trials failed: `archpress trials` tells why")
    reference = _reference(task, objective, finalists[0])
    if task.timing:
        hand_made = [reference.architecture] if reference else []
        finalists = quick_enough(finalists, hand_made, task.space, limits, task.timing)

    def best(plans: Sequence[Plan]) -> Plan:
        return min(plans, key=lambda p: objective.loss(p.architecture, trainer.validation(p).mean))

    plans = [Plan(net, settings.final, source.seeds[:1], "finalist") for net in finalists]
    trainer.train([*plans, *([reference] if reference else [])], "training finalists")
    if reference:
        plans.append(replace(reference, seeds=source.seeds[:1]))
    chosen = [replace(best(plans), seeds=source.seeds, role="compressed")]
    teacher = None
    if settings.distillation:
        distilled = replace(
            settings.final,
            name="final, distilled",
            distillation=settings.distillation,
            teacher=source.architecture.key,
        )
        teacher = trainer.teach(source, distilled)
        chosen.append(replace(chosen[0], recipe=distilled))
    trainer.train(chosen, "training the result", teacher=teacher)
    return Outcome(source, best(chosen), reference)


def _reference(task: Task, objective: Objective, found: Architecture) -> Plan | None:
    """A plain hand-made net under the same limits, or of the found size where size is the aim."""
    space = replace(task.space, most_activations=None)
    if objective.shrinks:
        allowed = replace(space.limits, max_parameters=max(found.parameters, 1))
        try:
            space = space.with_limits(allowed)
        except SpaceError:
            return None
    nets = hand_made_nets(space)
    seeds = tuple(range(task.settings.seeds))
    return Plan(nets[0], task.settings.final, seeds, "reference") if nets else None


# --- measuring ---------------------------------------------------------------------------------


def _measure(
    trainer: FinalTrainer,
    task: Task,
    found: Search,
    outcome: Outcome,
    limits: Limits,
    data: ImageData,
    name: str,
    clock: _Clock,
) -> Result:
    """Read the test split, once, and put everything together."""
    trainer.progress.stage("measuring on the test images", 1)
    split = data.read_test() if data.test_reader is not None else None

    def measured(plan: Plan, called: str) -> Measured:
        net = plan.architecture
        latency = _latency(trainer.network(plan, plan.seeds[0]), net, limits)
        return Measured(
            called,
            net.parameters,
            net.macs,
            net.peak_memory,
            len(net.layers),
            asdict(latency),
            trainer.validation(plan),
            trainer.test(plan, split) if split is not None else None,
            distilled=plan.recipe.distillation > 0,
        )

    source = measured(outcome.source, name)
    compressed = measured(outcome.compressed, f"compressed {name}")
    reference = measured(outcome.reference, "plain hand-made net") if outcome.reference else None
    clock.lap("measuring")
    checks = check_limits(limits, outcome.compressed.architecture, source, compressed)
    return Result(
        met=all(check.met for check in checks),
        sentence=tell(checks, source, compressed, is_plain=outcome.is_plain),
        limits=checks,
        source=source,
        compressed=compressed,
        reference=reference,
        compression=source.parameters / compressed.parameters,
        trials={key: found.counts[key] for key in ("trained", "reused", "failed")},
        seconds=clock.seconds,
        recipes={
            "trial": {**_recipe(task.settings.trial), "key": task.settings.trial_key},
            "final": _recipe(outcome.compressed.recipe),
        },
        data=_about(data, (split is not None and len(split)) or 0),
        surrogate=_surrogate(found),
        trust=asdict(found.trust),
        versions=versions(),
        seed=task.seed,
        folder=task.folder,
    )


def _latency(network: nn.Module, net: Architecture, limits: Limits) -> Latency:
    """As the limit on it is meant, else of one image on one thread."""
    conditions = limits.latency.conditions if limits.latency else Conditions()
    times = [
        measure_latency(
            network, net.input_shape, batch=conditions.batch, threads=conditions.threads
        )
        for _ in range(LATENCIES)
    ]
    return sorted(times, key=lambda one: one.median_seconds)[LATENCIES // 2]


def check_limits(
    limits: Limits, architecture: Architecture, source: Measured, compressed: Measured
) -> tuple[LimitCheck, ...]:
    """Each limit with what was found; accuracies are means on the validation images."""
    checks = []
    for limit, (attribute, _) in COSTS.items():
        allowed = getattr(limits, limit)
        if allowed is not None:
            value = getattr(architecture, attribute)
            checks.append(LimitCheck(limit, allowed, value, value <= allowed))
    if limits.max_latency is not None:
        milliseconds = 1e3 * compressed.latency["median_seconds"]
        met = milliseconds <= limits.max_latency
        checks.append(LimitCheck("max_latency", limits.max_latency, milliseconds, met))
    accuracy = compressed.validation_accuracy.mean
    if limits.min_accuracy is not None:
        met = accuracy >= limits.min_accuracy
        checks.append(LimitCheck("min_accuracy", limits.min_accuracy, accuracy, met))
    if limits.max_accuracy_loss is not None:
        loss = source.validation_accuracy.mean - accuracy
        met = loss <= limits.max_accuracy_loss
        checks.append(LimitCheck("max_accuracy_loss", limits.max_accuracy_loss, loss, met))
    return tuple(checks)


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {"key": recipe.key, **asdict(recipe)}


def _about(data: ImageData, test_images: int) -> dict[str, Any]:
    return {
        "name": data.name,
        "key": data.key,
        "train": len(data.train),
        "validation": len(data.validation),
        "test": test_images,
        "classes": data.classes,
        "input_shape": list(data.input_shape),
    }


def _surrogate(found: Search) -> dict[str, float | None]:
    ranking = found.ranking
    return {
        **asdict(found.reconstruction),
        "kendall": ranking.surrogate if ranking else None,
        "kendall_parameters": ranking.parameters if ranking else None,
        "kendall_macs": ranking.macs if ranking else None,
        "n": ranking.n if ranking else None,
        "within_half": ranking.within_half if ranking else None,
        "within_most": ranking.within_most if ranking else None,
    }
