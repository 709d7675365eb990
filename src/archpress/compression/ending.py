"""After a search: the best finalist is trained with all seeds, in the ways that may help it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archpress.architecture import Architecture
from archpress.compression.finals import FinalTrainer, Plan
from archpress.compression.first import hand_made_nets
from archpress.compression.search import Search, Task, objective_of
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
    """

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


def finish(
    trainer: FinalTrainer, task: Task, found: Search, limits: Limits, source: Plan
) -> Ending:
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
    return Ending(source, best(chosen), reference)


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
