"""After a search: the best finalist is trained with all seeds, in the ways that may help it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archpress.architecture import Architecture
from archpress.compression.finals import MOST_TEACHERS, Entrant, FinalTrainer, distilling
from archpress.compression.first import hand_made_finalists
from archpress.compression.search import Search, Task, objective_of
from archpress.compression.settings import Settings
from archpress.compression.start import begun_with
from archpress.compression.timing import quick_enough
from archpress.errors import SpaceError
from archpress.search.objective import Objective
from archpress.space import Limits


@dataclass(frozen=True, slots=True)
class Ending:
    """The nets that were trained to the end.

    Attributes:
        source: what was given.
        compressed: the result.
        reference: a plain hand-made net; None where none has the form or keeps the limits.
        is_plain: whether nothing that was found is better than a hand-made net.
    """

    source: Entrant
    compressed: Entrant
    reference: Entrant | None
    is_plain: bool


def finish(
    trainer: FinalTrainer, task: Task, found: Search, limits: Limits, source: Entrant
) -> Ending:
    """Train the finalists once; the best of them with all seeds, plain and distilled from them all.

    Plain hand-made nets are among the finalists: no search should end below them. So are nets that
    an earlier call trained to the end in this folder.
    """
    settings = task.settings
    objective = replace(
        objective_of(task, limits),
        least_accuracy=limits.least_accuracy(trainer.validation(source).mean),
    )
    if not found.finalists:
        raise SpaceError(f"all {len(found.trials)} trials failed: `archpress trials` tells why")
    hand_made = _hand_made(task, objective, found.finalists[0])
    known = [net for net in trainer.known(settings.final, 0) if net.key != source.architecture.key]
    known = [net for net in known if task.space.out_of_form(net) is None]
    finalists = found.finalists
    if task.timing and limits.limits_latency:
        beside = [*hand_made, *known]
        finalists = quick_enough(finalists, beside, task.space, limits, task.timing)
    finalists = _through_semifinal(finalists, trainer, settings, objective)
    finalists += [net for net in known if objective.limits.allow(net)]
    seeds = tuple(range(settings.seeds))
    references = [Entrant(net, settings.final, seeds, "reference") for net in hand_made[:1]]
    nets = {net.key: net for net in (*hand_made, *finalists)}
    entrants = [
        Entrant(net, settings.final, seeds[:1], "finalist")
        for net in list(nets.values())[len(references) :]
    ]
    trained = trainer.train([*entrants, *references], "training finalists")
    references = [entrant for entrant in references if entrant in trained]
    entrants = [replace(entrant, seeds=seeds[:1]) for entrant in trained]
    entrants = trainer.best_first(entrants, objective)
    trained = _in_all_ways(entrants, trainer, settings, source)
    compressed = _best(trained, trainer, objective)
    if not objective.shrinks and _is_allowed(source.architecture, task, objective):
        compressed = min([compressed, source], key=lambda one: _loss(one, trainer, objective))
    is_plain = compressed.architecture.key in {net.key for net in hand_made}
    return Ending(source, compressed, references[0] if references else None, is_plain)


def _through_semifinal(
    nets: list[Architecture], trainer: FinalTrainer, settings: Settings, objective: Objective
) -> list[Architecture]:
    """The nets that a short final training finds best: trials are too brief to tell them apart."""
    if len(nets) <= settings.finalists:
        return list(nets)
    entrants = [Entrant(net, settings.semifinal, (0,), "net") for net in nets]
    trained = trainer.train(entrants, "training semifinalists")
    best = trainer.best_first(trained, replace(objective, least_accuracy=0.0))
    return [entrant.architecture for entrant in best[: settings.finalists]]


def _in_all_ways(
    finalists: Sequence[Entrant], trainer: FinalTrainer, settings: Settings, source: Entrant
) -> list[Entrant]:
    """The first finalist with all seeds: alone, taught by all, and begun with the source."""
    ways = [replace(finalists[0], seeds=tuple(range(settings.seeds)), role="compressed")]
    teacher = None
    if settings.distillation:
        others = finalists[:MOST_TEACHERS]
        first = f"{source.teacher} {trainer.best_seed(source)}"
        distilled = distilling(settings.final, settings.distillation, first, others)
        teacher = trainer.teach(source, distilled, others)
        ways.append(replace(ways[0], recipe=distilled))
    if settings.inheritance:
        ways += [begun_with(source, entrant, trainer) for entrant in ways]
    return trainer.train(ways, "training the result", teacher=teacher)


def _best(trained: Sequence[Entrant], trainer: FinalTrainer, objective: Objective) -> Entrant:
    """Of one net: few images cannot tell a teacher's small gain, so more must speak against it."""

    def loss(entrant: Entrant) -> tuple[float, ...]:
        accuracy = trainer.validation(entrant).mean
        if entrant.recipe.distillation:
            accuracy += trainer.noise(accuracy)
        return *_loss(entrant, trainer, objective, accuracy), -accuracy

    return min(trained, key=loss)


def _loss(
    entrant: Entrant, trainer: FinalTrainer, objective: Objective, expected: float | None = None
) -> tuple[float, float]:
    accuracy = trainer.validation(entrant).mean
    return objective.loss(entrant.architecture, accuracy, expected)


def _is_allowed(source: Architecture, task: Task, objective: Objective) -> bool:
    """Whether the source itself keeps the limits, so that no result should be worse."""
    return objective.limits.allow(source) and task.space.out_of_form(source) is None


def _hand_made(task: Task, objective: Objective, found: Architecture) -> list[Architecture]:
    """Plain nets under the same limits, or of the found size where size is the aim."""
    space = task.space
    if objective.shrinks:
        allowed = replace(space.limits, max_parameters=max(found.parameters, 1))
        try:
            space = space.with_limits(allowed)
        except SpaceError:
            return []
    return hand_made_finalists(space)
