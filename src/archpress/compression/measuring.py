"""What a run ends with: the test images are read once, nets are timed, limits are checked."""

from dataclasses import asdict
from pathlib import Path

from archpress.architecture import Architecture
from archpress.compression.ending import Ending
from archpress.compression.facts import data_facts, recipe_facts, surrogate_facts
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.compression.result import LimitCheck, Measured, Result, versions
from archpress.compression.search import SearchResult, Task
from archpress.compression.sentence import tell
from archpress.compression.timing import latencies, latency_check, latency_record
from archpress.data import ImageData, Split
from archpress.errors import DataError
from archpress.evaluation import Latency
from archpress.search import Objective
from archpress.space import COSTS, Limits
from archpress.space.limits import ROUNDING


def measure(
    trainer: FinalTrainer,
    task: Task,
    found: SearchResult,
    ending: Ending,
    limits: Limits,
    name: str,
) -> Result:
    """Read the test split, once, and put everything together; the stages' seconds are yet to come.

    The compressed network is in the run folder by then.

    Args:
        trainer: with the weights.
        task: that was searched for, and how nets are timed.
        found: by the search.
        ending: whose nets are measured.
        limits: the user's.
        name: of the source, for people.

    Raises:
        DataError: the test images cannot be read.
    """
    data, timing = trainer.data, task.timing
    trainer.progress.stage("measuring on the test images", 1)
    split = test_split(data, task.folder)

    def measured(entrant: Entrant, called: str, latency: Latency) -> Measured:
        net = entrant.architecture
        return Measured(
            called,
            net.parameters,
            net.macs,
            net.peak_memory,
            len(net.layers),
            asdict(latency),
            trainer.validation(entrant),
            trainer.test(entrant, split) if split is not None else None,
            distilled=entrant.recipe.distillation > 0,
            given=entrant.given.about if entrant.given else None,
        )

    entrants = [(ending.source, name), (ending.compressed, f"compressed {name}")]
    if ending.reference:
        entrants.append((ending.reference, "plain hand-made net"))
    networks = [trainer.network(entrant, entrant.seeds[0]) for entrant, _ in entrants]
    times = latencies(networks, task.source.input_shape, timing)
    source, compressed, *rest = (
        measured(entrant, called, time)
        for (entrant, called), time in zip(entrants, times, strict=True)
    )
    reference = rest[0] if rest else None
    checks = (
        *check_limits(limits, ending.compressed.architecture, source, compressed),
        *latency_check(
            limits,
            timing,
            (ending.source.architecture, ending.compressed.architecture),
            (source.latency["median_seconds"], compressed.latency["median_seconds"]),
        ),
    )
    trials = {key: found.counts[key] for key in ("trained", "reused", "failed")}
    return Result(
        met=all(check.met for check in checks),
        sentence=tell(
            checks,
            source,
            compressed,
            is_plain=ending.is_plain,
            is_source=ending.compressed.architecture.key == ending.source.architecture.key,
            trials=trials,
            validation=data.validation,
        ),
        limits=checks,
        source=source,
        compressed=compressed,
        reference=reference,
        compression=source.parameters / compressed.parameters,
        trials=trials,
        seconds={},
        recipes=recipe_facts(task.settings, Objective(limits), ending.compressed.recipe),
        data=data_facts(data, (split is not None and len(split)) or 0),
        surrogate=surrogate_facts(found),
        trust=asdict(found.trust),
        latency=latency_record(timing),
        versions=versions(),
        seed=task.seed,
        folder=task.folder,
    )


def test_split(data: ImageData, folder: Path) -> Split | None:
    """The test images, where there are any, for a network that was written before.

    Args:
        data: of the run.
        folder: where the network is, for people.

    Raises:
        DataError: they cannot be read; the work is not lost.
    """
    if data.test_reader is None:
        return None
    try:
        return data.read_test()
    except DataError as error:
        raise DataError(f"{error}; the trained network is in {folder} all the same") from error


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
        met = accuracy >= limits.min_accuracy - ROUNDING
        checks.append(LimitCheck("min_accuracy", limits.min_accuracy, accuracy, met))
    if limits.max_accuracy_loss is not None:
        loss = source.validation_accuracy.mean - accuracy
        met = loss <= limits.max_accuracy_loss + ROUNDING
        checks.append(LimitCheck("max_accuracy_loss", limits.max_accuracy_loss, loss, met))
    return tuple(checks)
