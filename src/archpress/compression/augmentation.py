"""How the images of final trainings are varied: what validation prefers on a small net."""

from dataclasses import replace

from archpress.architecture import Architecture
from archpress.baselines.hand_made import hand_made_nets
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.compression.first import anchor_nets
from archpress.evaluation import Recipe, augmented
from archpress.space import SearchSpace


def choose_augmentation(
    trainer: FinalTrainer,
    augmentations: tuple[str, ...],
    recipe: Recipe,
    source: Architecture,
    space: SearchSpace,
) -> Recipe:
    """The recipe with the augmentation under which a net of the result's size is most accurate.

    Each is tried in one final training of the plain hand-made net, or of the narrowed source where
    none has the form. What gains nothing on the validation images is left out: in a tie the first
    is taken.

    Args:
        trainer: of final trainings.
        augmentations: to try; fewer than two: the recipe stays as it is.
        recipe: of final trainings.
        source: that is compressed.
        space: where the result will be.
    """
    small = _small_net(source, space)
    if len(augmentations) < 2 or small is None:
        return recipe
    recipes = {name: augmented(recipe, name, source.input_shape) for name in augmentations}
    entrants = {name: Entrant(small, one, (0,), "reference") for name, one in recipes.items()}
    trained = trainer.train(list(entrants.values()), "choosing the augmentation")
    accuracy = {
        name: trainer.validation(entrant).mean
        for name, entrant in entrants.items()
        if entrant in trained
    }
    best = max(accuracy, key=lambda name: accuracy[name])
    told = ", ".join(f"{name} {value:.2%}" for name, value in accuracy.items())
    trainer.progress.say(f"Augmentation of final trainings: {best} (a small net has {told})")
    return recipes[best]


def _small_net(source: Architecture, space: SearchSpace) -> Architecture | None:
    wide = replace(space, most_activations=None)
    nets = hand_made_nets(wide) or [one.architecture for one in anchor_nets(source, space)]
    return nets[0] if nets else None
