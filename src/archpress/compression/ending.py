"""After a search: the best finalist is trained with all seeds, in the ways that may help it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archpress.architecture import Architecture
from archpress.baselines.hand_made import hand_made_finalists
from archpress.compression.finals import MOST_TEACHERS, Entrant, FinalTrainer, distilling
from archpress.compression.search import SearchResult, Task, objective_of
from archpress.compression.settings import Settings
from archpress.compression.start import begun_with
from archpress.compression.timing import quick_enough
from archpress.errors import EvaluationError, SpaceError
from archpress.search.objective import Objective
from archpress.space import Limits, Neighbourhood


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
    trainer: FinalTrainer, task: Task, found: SearchResult, limits: Limits, source: Entrant
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
    if not found.best:
        failed = sum(not trial.done for trial in found.trials)
        raise EvaluationError(
            f"{failed} of {len(found.trials)} trials failed, and no other net could be a result: "
            "`archpress trials` tells why"
        )
    hand_made = _hand_made(task, objective, best=found.best[0])
    finalists = _finalists(trainer, task, found, limits, objective, hand_made, source)
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
    compressed = trainer.best_way(trained, objective)
    if not objective.shrinks and task.space.allows(source.architecture, objective.limits):
        compressed = min(
            [compressed, source],
            key=lambda one: objective.loss(one.architecture, trainer.validation(one).mean),
        )
    is_plain = compressed.architecture.key in {net.key for net in hand_made}
    return Ending(source, compressed, references[0] if references else None, is_plain)


def _finalists(
    trainer: FinalTrainer,
    task: Task,
    found: SearchResult,
    limits: Limits,
    objective: Objective,
    hand_made: Sequence[Architecture],
    source: Entrant,
) -> list[Architecture]:
    """The best that were found, and what was trained to the end before."""
    known = [net for net in trainer.known(task.settings.final, 0) if net != source.architecture]
    known = [net for net in known if task.space.allows(net, objective.limits)]
    nets = [*found.best, *known]
    if limits.limits_latency:
        nets = quick_enough(nets, hand_made, task.space, limits, task.timing)
    settled = {net.key for net in known} - {net.key for net in found.best}
    settled |= {net.key for net in hand_made}
    rivals = {net.key: net for net in nets if net.key not in settled}
    best = _through_semifinal([*rivals.values()], trainer, task.settings, objective)
    return [*best, *(net for net in nets if net in known)]


def _through_semifinal(
    nets: list[Architecture], trainer: FinalTrainer, settings: Settings, objective: Objective
) -> list[Architecture]:
    """The nets that a short final training finds best: trials are too brief to tell them apart."""
    if len(nets) <= settings.finalists:
        return nets
    entrants = [Entrant(net, settings.semifinal, (0,), "net") for net in nets]
    try:
        trained = trainer.train(entrants, "training semifinalists")
    except EvaluationError:  # which was told: hand-made nets may do better
        return nets[: settings.finalists]
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


def _hand_made(task: Task, objective: Objective, *, best: Architecture) -> list[Architecture]:
    """Plain nets under the same limits, or of the size of the best found where size is the aim."""
    space = task.space
    if objective.shrinks:
        allowed = replace(space.limits, max_parameters=max(best.parameters, 1))
        try:
            space = space.with_limits(allowed)
        except SpaceError:
            return []
    return hand_made_finalists(Neighbourhood(task.source, space))
