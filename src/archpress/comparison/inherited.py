"""Final trainings that inherit from the trained source: its weights, slices, or its outputs.

The source is trained once, under the final recipe with seed 0, for all of them and all seeds.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from archpress.architecture import Architecture
from archpress.architecture.inheritance import inherit
from archpress.architecture.weight_files import write_weights
from archpress.comparison.conditions import Conditions
from archpress.comparison.final_training import (
    FinalStage,
    FinalTraining,
    Found,
    from_scratch,
    under_final_recipe,
)
from archpress.compression.finals import MOST_TEACHERS, Entrant, distilling
from archpress.compression.settings import Settings
from archpress.errors import EvaluationError, SpaceError
from archpress.evaluation import Recipe
from archpress.space import narrow_to_fit, space_around
from archpress.whole_files import write_text

if TYPE_CHECKING:
    from archpress.baselines.pruning import Importance

DISTILLATION = Settings.distillation  # of the baselines, whatever ours does


def no_search(conditions: Conditions) -> None:
    """There is nothing to search, but a cost must be limited for there to be a smaller net."""
    if not conditions.limits.any_cost:
        raise SpaceError(
            "pruning and distillation need a limit on a cost, such as max_parameters: "
            "leave them out, or give one"
        )


def prunes(conditions: Conditions) -> None:
    """There is nothing to search, Torch-Pruning is installed, and can cut the source."""
    no_search(conditions)
    if find_spec("torch_pruning") is None:
        raise EvaluationError("pruning needs Torch-Pruning: pip install 'archpress[baselines]'")
    layers = conditions.source.layers
    if any(layer.kind == "conv" and layer.option("groups") != 1 for layer in layers):
        raise SpaceError("pruning cannot cut convolutions in groups: leave it out for this source")


# --- pruning -----------------------------------------------------------------------------------


def pruned(importance: "Importance", stage: FinalStage, found: Found) -> FinalTraining:
    """The pruned source, which goes on from its weights under the final recipe."""
    from archpress.baselines.pruning import prune

    conditions, seed = stage.conditions, found.seed
    settings = conditions.settings

    def make() -> tuple[Architecture, Mapping[str, Tensor]]:
        source = stage.source()
        stage.trainer.progress.stage(f"seed {seed}, pruning by {importance}", 1)
        smaller = prune(
            stage.trainer.network(source, 0),
            conditions.source,
            conditions.images,
            conditions.limits,
            settings.trial,
            importance=importance,
            seed=seed,
            device=conditions.device,
        )
        return smaller.architecture, smaller.weights

    about = (f"pruned by {importance}", conditions.limits, settings.trial.key)
    start = _kept(stage, about, seed, make)
    recipe = replace(settings.final, name="final, pruned", start=start.name)
    return FinalTraining(
        Entrant(start.architecture, recipe, (seed,), "pruned source"), start.weights
    )


# --- distillation ------------------------------------------------------------------------------


def _student(conditions: Conditions) -> Architecture:
    """The source, narrowed to the limits."""
    space = space_around(conditions.source, conditions.limits)
    narrowed = narrow_to_fit(conditions.source, space)
    if narrowed is None:
        raise SpaceError("the source cannot be narrowed to the limits, so there is no student")
    return narrowed


def _distilling(
    conditions: Conditions, weight: float = DISTILLATION, others: Sequence[Entrant] = ()
) -> Recipe:
    return distilling(conditions.settings.final, weight, conditions.source.key, others)


def taught(stage: FinalStage, found: Found) -> FinalTraining | None:
    """The net that our search chose, as `compress` trains it.

    It is distilled from source and finalists, unless it is better without.
    """
    conditions, chosen = stage.conditions, found.chosen
    weight = conditions.settings.distillation
    if chosen is None or not weight:
        return from_scratch(stage, found)
    finalists = [
        under_final_recipe(stage, net, found.seed).entrant
        for net in found.finalists[:MOST_TEACHERS]
    ]
    recipe = _distilling(conditions, weight, finalists)
    teacher = stage.trainer.teach(stage.source(), recipe, finalists)
    student = Entrant(chosen, recipe, (found.seed,), "student")
    untaught = under_final_recipe(stage, chosen, found.seed)
    return FinalTraining(student, teacher=teacher, unless=untaught)


def distilled(stage: FinalStage, found: Found) -> FinalTraining:
    """The narrowed source from fresh weights."""
    conditions = stage.conditions
    recipe = _distilling(conditions)
    teacher = stage.trainer.teach(stage.source(), recipe)
    student = Entrant(_student(conditions), recipe, (found.seed,), "student")
    return FinalTraining(student, teacher=teacher)


def hinted(stage: FinalStage, found: Found) -> FinalTraining:
    """A student from weights that were made with hints."""
    from archpress.baselines.distillation import hint_weights

    conditions, seed = stage.conditions, found.seed
    student, recipe, source = _student(conditions), _distilling(conditions), stage.source()
    teacher = stage.trainer.teach(source, recipe)

    def make() -> tuple[Architecture, Mapping[str, Tensor]]:
        stage.trainer.progress.stage(f"seed {seed}, hints", 1)
        weights = hint_weights(
            stage.trainer.network(source, 0),
            conditions.source,
            student,
            conditions.images,
            recipe,
            seed=seed,
            device=conditions.device,
        )
        return student, weights

    start = _kept(stage, ("hints", student.key, recipe.key), seed, make)
    recipe = replace(recipe, name="final, after hints", start=start.name)
    return FinalTraining(Entrant(student, recipe, (seed,), "student"), start.weights, teacher)


def sliced(stage: FinalStage, found: Found) -> FinalTraining | None:
    """The chosen net, its weights those of the source where layers correspond."""
    chosen, seed = found.chosen, found.seed
    if chosen is None:
        return None

    def make() -> tuple[Architecture, Mapping[str, Tensor]]:
        source = stage.source()
        weights = stage.trainer.network(source, 0).state_dict()
        return chosen, inherit(chosen, stage.conditions.source, weights, seed=seed).weights

    start = _kept(stage, ("slices of the source", chosen.key), seed, make)
    recipe = replace(stage.conditions.settings.final, name="final, inherited", start=start.name)
    return FinalTraining(Entrant(chosen, recipe, (seed,), "heir"), start.weights)


# --- weights to start from ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a training begins.

    Attributes:
        name: for the recipe; other weights have another one.
        architecture: of the weights.
        weights: `.safetensors` file.
    """

    name: str
    architecture: Architecture
    weights: Path


def _kept(
    stage: FinalStage,
    about: tuple[object, ...],
    seed: int,
    make: Callable[[], tuple[Architecture, Mapping[str, Tensor]]],
) -> _Start:
    """What `make` gives, made once and kept beside the trained weights.

    Args:
        stage: whose source and images are part of what makes a start another one.
        about: the rest of it; the first is for people.
        seed: likewise.
        make: the net and its weights.
    """
    conditions = stage.conditions
    identity = (about, conditions.source.key, conditions.images.key, seed)
    text = repr((identity, conditions.settings.final.key))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = stage.trainer.folder / f"start-{digest}.safetensors"
    net = path.with_suffix(".json")  # written last: where it is, the weights are whole
    if not net.exists():
        architecture, weights = make()
        write_weights(weights, path)
        write_text(net, architecture.to_json())
    return _Start(f"{about[0]}, {digest}", Architecture.load(net), path)
