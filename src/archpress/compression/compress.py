"""`compress`: a net, images and limits in; a smaller net out, trained, measured, on disk."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from archpress.architecture import Architecture
from archpress.architecture.state_dicts import StateDict
from archpress.compression.clock import Clock
from archpress.compression.facts import data_facts, recipe_facts, surrogate_facts
from archpress.compression.finals import FinalTrainer, Plan
from archpress.compression.first import hand_made_nets
from archpress.compression.given import (
    GivenWeights,
    Source,
    in_plan,
    measure_given,
    source_net,
    told_of_others,
)
from archpress.compression.result import LimitCheck, Measured, Result, versions
from archpress.compression.run_folder import (
    known_plan,
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
from archpress.compression.start import begun_with
from archpress.compression.timing import (
    Timing,
    latencies,
    latency_check,
    latency_record,
    quick_enough,
    timing_of,
    with_times,
)
from archpress.data import ImageData, load_data, require_shape
from archpress.errors import SpaceError
from archpress.evaluation import (
    Latency,
    Normalisation,
    ProcessPool,
    Recipe,
    averaged,
    choose_device,
    torch_threads,
)
from archpress.search.objective import Objective
from archpress.search.progress import Progress, Silent
from archpress.space import COSTS, Form, Limits, space_around, with_joins_of_two
from archpress.store import Store


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
        seed: of everything that is random.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that train; by default one a core.
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
    images = data if isinstance(data, ImageData) else load_data(data, seed=seed)
    name = name or (source if isinstance(source, str) else type(source).__name__)
    net = source_net(source, images, weights)
    source = with_joins_of_two(net.architecture.of_logits)
    form = (form or Form()).with_joins_of_two(net.architecture)
    require_shape(images, source.input_shape, source.classes)
    if not limits.any:
        raise SpaceError("give at least one limit, e.g. Limits(max_parameters=93_000)")
    timeless = replace(limits, max_latency=None, max_latency_share=None)
    space_around(source, timeless, form)  # refuses what no net can keep
    settings = settings or settings_for(
        default_effort(images.name),
        mirrored=images.name in MIRRORED,
        train_images=len(images.train),
        given=weights is not None,
    )
    chosen_device = choose_device(device)
    listener = progress or Silent()
    net = replace(net, architecture=with_joins_of_two(net.architecture))
    given = measure_given(net, name, images, normalisation, device=chosen_device, progress=listener)
    plan = _plan(images, settings, limits, form, name, seed, given)
    folder = open_folder(Path(run))
    with ExitStack() as stack:
        stack.enter_context(torch_threads(1))
        store = stack.enter_context(Store(folder / "trials.db"))
        write_text(folder / "source.json", source.to_json())
        if others := told_of_others(known_plan(folder), plan):
            listener.say(others)
        write_plan(folder, plan)
        timing = timing_of(limits, folder, listener)
        aimed = with_times(limits, timing, source, seed, form)
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
            seeds = tuple(range(1 if given else settings.seeds))
            source_plan = Plan(source, settings.final, seeds, "source", given)
            clock = Clock()
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
        result = _measure(trainer, task, found, outcome, limits, timing, images, name, clock)
        best = outcome.compressed
        network = trainer.network(best, trainer.best_seed(best))
        write_network(folder, best.architecture, network, images, best.recipe)
        write_result(folder, result)
    return result


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
    if task.timing and limits.limits_latency:
        hand_made = [reference.architecture] if reference else []
        finalists = quick_enough(finalists, hand_made, task.space, limits, task.timing)

    def best(plans: Sequence[Plan]) -> Plan:
        return min(plans, key=lambda p: objective.loss(p.architecture, trainer.validation(p).mean))

    seeds = tuple(range(settings.seeds))
    plans = [Plan(net, settings.final, seeds[:1], "finalist") for net in finalists]
    trainer.train([*plans, *([reference] if reference else [])], "training finalists")
    if reference:
        plans.append(replace(reference, seeds=seeds[:1]))
    chosen = [replace(best(plans), seeds=seeds, role="compressed")]
    teacher = None
    if settings.distillation:
        distilled = replace(
            settings.final,
            name="final, distilled",
            distillation=settings.distillation,
            teacher=source.teacher,
        )
        teacher = trainer.teach(source, distilled)
        chosen.append(replace(chosen[0], recipe=distilled))
    if settings.inheritance:
        chosen += [begun_with(source, plan, trainer) for plan in chosen]
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
    timing: Timing,
    data: ImageData,
    name: str,
    clock: Clock,
) -> Result:
    """Read the test split, once, and put everything together."""
    trainer.progress.stage("measuring on the test images", 1)
    split = data.read_test() if data.test_reader is not None else None

    def measured(plan: Plan, called: str, latency: Latency) -> Measured:
        net = plan.architecture
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
            given=plan.given.about if plan.given else None,
        )

    plans = [(outcome.source, name), (outcome.compressed, f"compressed {name}")]
    if outcome.reference:
        plans.append((outcome.reference, "plain hand-made net"))
    networks = [trainer.network(plan, plan.seeds[0]) for plan, _ in plans]
    times = latencies(networks, task.source.input_shape, timing)
    source, compressed, *rest = (
        measured(plan, called, time) for (plan, called), time in zip(plans, times, strict=True)
    )
    reference = rest[0] if rest else None
    clock.lap("measuring")
    checks = (
        *check_limits(limits, outcome.compressed.architecture, source, compressed),
        *latency_check(
            limits,
            timing,
            (outcome.source.architecture, outcome.compressed.architecture),
            (source.latency["median_seconds"], compressed.latency["median_seconds"]),
        ),
    )
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
            "trial": {**recipe_facts(task.settings.trial), "key": task.settings.trial_key},
            "final": recipe_facts(outcome.compressed.recipe),
        },
        data=data_facts(data, (split is not None and len(split)) or 0),
        surrogate=surrogate_facts(found),
        trust=asdict(found.trust),
        latency=latency_record(timing),
        versions=versions(),
        seed=task.seed,
        folder=task.folder,
    )


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
    accuracy = compressed.validation_accuracy.mean
    if limits.min_accuracy is not None:
        met = accuracy >= limits.min_accuracy
        checks.append(LimitCheck("min_accuracy", limits.min_accuracy, accuracy, met))
    if limits.max_accuracy_loss is not None:
        loss = source.validation_accuracy.mean - accuracy
        met = loss <= limits.max_accuracy_loss
        checks.append(LimitCheck("max_accuracy_loss", limits.max_accuracy_loss, loss, met))
    return tuple(checks)
