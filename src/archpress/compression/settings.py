"""`Settings`: everything about a compression that is not the net, the images or the limits."""

import math
from dataclasses import dataclass, field, replace

from archpress.data import NAMES, ImageData
from archpress.data.named import SAMPLE
from archpress.embedding import FitSettings, ModelSize
from archpress.embedding.paper import PaperSettings
from archpress.errors import EvaluationError
from archpress.evaluation import AUGMENTATIONS, Precision, Recipe, averaged_key, final, quick
from archpress.search.descent import DescentSettings
from archpress.search.objective import Objective
from archpress.search.proposals import ProposalSettings

# Sets whose mirrored images are still of their class; digits are not.
MIRRORED = ("fashion-mnist", "fashion-mnist-sample", "cifar10", "cifar100")

SEMIFINAL = "semifinal"  # name of its recipe
SEMIFINAL_SHARE = 0.25  # of the epochs of a final training
SEMIFINAL_OVER_TRIAL = 2.0  # at least so many times the images of a trial, or it tells little more

_LEAST = (
    ("seeds", 1),
    ("initialisations", 1),
    ("first", 8),
    ("rounds", 0),
    ("batch", 1),
    ("semifinalists", 0),
    ("finalists", 1),
    ("pool", 100),
)


@dataclass(frozen=True)
class Settings:
    """How much work a compression is, and how it is done.

    Attributes:
        trial: recipe of the search's trials.
        final: recipe of source and results.
        effort: the word that these settings began with.
        seeds: final trainings of each net.
        initialisations: trainings of each net that are one trial, their mean.
        first: architectures that are trained before the first round.
        rounds: of propose, train, refit.
        batch: architectures a round.
        semifinalists: best nets of the search that get a short final training each, where an
            accuracy is the aim; 0: none do.
        finalists: best nets of those, or of the search, that get a final training each.
        pool: unlabelled architectures for the embedding.
        paper_share: share of the pool and of the first trials from the paper's sampler.
        fit: how the embedding is fitted.
        size: widths of the embedding model.
        proposals: how candidates are made.
        paper: how the paper's embedding is fitted, where that takes part in a comparison.
        distillation: weight in the final loss of what the source and the finalists give out, tried
            beside 0; 0: never.
        inheritance: whether the result is also trained from slices of the source's weights.
        augmentations: ways to vary the images of final trainings, of which `compress` takes the one
            that suits a small net; none: as `final` says.
        time_limit: seconds that a trial may take.
        memory_limit: bytes that a trial may add to its worker.
    """

    trial: Recipe
    final: Recipe
    effort: str = "standard"
    seeds: int = 3
    initialisations: int = 1
    first: int = 60
    rounds: int = 8
    batch: int = 8
    semifinalists: int = field(default=0, repr=False)
    finalists: int = 3
    pool: int = 4000
    paper_share: float = 0.2
    fit: FitSettings = field(default_factory=FitSettings)
    size: ModelSize = field(default_factory=ModelSize)
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    paper: PaperSettings = field(default_factory=PaperSettings)
    distillation: float = 0.5
    inheritance: bool = field(default=False, repr=False)
    augmentations: tuple[str, ...] = field(default=(), repr=False)
    time_limit: float | None = 1800.0
    memory_limit: int | None = None

    @property
    def semifinal(self) -> Recipe:
        """The recipe of the semifinal: the final one with a part of its epochs."""
        return replace(self.final.shortened(SEMIFINAL_SHARE), name=SEMIFINAL)

    def for_images(self, count: int) -> "Settings":
        """Without a semifinal that would tell hardly more than trials, or as much as finals.

        Args:
            count: of the training images.
        """
        trial, semifinal = (one.epochs * _used(one, count) for one in (self.trial, self.semifinal))
        is_between = self.semifinal.epochs < self.final.epochs
        if is_between and semifinal >= SEMIFINAL_OVER_TRIAL * trial:
            return self
        return replace(self, semifinalists=0)

    def has_semifinal(self, objective: Objective) -> bool:
        """Whether a short final training chooses the finalists: not where size is the aim."""
        return self.semifinalists > self.finalists and not objective.shrinks

    def best_of_search(self, objective: Objective) -> int:
        """How many nets of a search go on, to the semifinal or the final."""
        return self.semifinalists if self.has_semifinal(objective) else self.finalists

    @property
    def trial_key(self) -> str:
        """Of what the trials of a search are made with."""
        return averaged_key(self.trial, self.initialisations)

    def of_search(self) -> "Settings":
        """Without what does not change a search, but only the trainings after it."""
        return replace(
            self,
            final=self.trial,
            seeds=1,
            semifinalists=0,
            finalists=1,
            distillation=0.0,
            inheritance=False,
            augmentations=(),
        )

    def in_precision(self, precision: Precision) -> "Settings":
        """With trials and final trainings that compute in it."""
        return replace(
            self,
            trial=replace(self.trial, precision=precision),
            final=replace(self.final, precision=precision),
        )

    def __post_init__(self) -> None:
        """Check the counts."""
        for name, least in _LEAST:
            if getattr(self, name) < least:
                raise EvaluationError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 <= self.distillation <= 1:
            raise EvaluationError(f"distillation must be in [0, 1], not {self.distillation}")


# A few hundred images an epoch are a few steps: an optimizer needs some hundreds to get anywhere.
LEAST_STEPS_TRIAL = 300
LEAST_STEPS_FINAL = 600

EFFORTS = ("smoke", "quick", "standard", "thorough")
LONG_EFFORTS = ("standard", "thorough")  # whose final trainings may gain from varied images


def settings_for(
    effort: str,
    *,
    mirrored: bool = False,
    train_images: int | None = None,
    given: bool = False,
) -> Settings:
    """Settings by one word, with enough epochs for a small set of images.

    Args:
        effort: "smoke" (a minute, for tests), "quick" (minutes, for small sets such as the
            packaged sample), "standard" (an hour or so), "thorough" (a night).
        mirrored: whether a mirrored image is still of its class.
        train_images: how many there are; None: enough.
        given: whether the source comes with its weights.

    Raises:
        EvaluationError: another word.
    """
    settings = _settings(effort, mirrored=mirrored)
    if given and effort == "quick":  # so short a training gains from it (docs/choices.md)
        settings = replace(settings, inheritance=True)
    if train_images is None or effort == "smoke":
        return settings
    return replace(
        settings,
        trial=_long_enough(settings.trial, train_images, LEAST_STEPS_TRIAL),
        final=_long_enough(settings.final, train_images, LEAST_STEPS_FINAL),
    )


def _long_enough(recipe: Recipe, images: int, least_steps: int) -> Recipe:
    """The recipe with as many epochs as it takes to make some steps on few images."""
    epochs = math.ceil(least_steps * recipe.batch_size / max(_used(recipe, images), 1))
    return recipe if epochs <= recipe.epochs else replace(recipe, epochs=epochs)


def _used(recipe: Recipe, images: int) -> int:
    return min(images, recipe.train_images or images)


def _settings(effort: str, *, mirrored: bool) -> Settings:
    match effort:
        case "smoke":
            return Settings(
                quick(epochs=1, train_images=400, flip=mirrored),
                final(epochs=1, flip=mirrored),
                effort,
                seeds=2,
                first=10,
                rounds=1,
                batch=3,
                finalists=1,
                pool=200,
                proposals=ProposalSettings(descent=DescentSettings(starts=6, steps=20)),
                fit=FitSettings(steps=30, refit_steps=10),
                paper=PaperSettings(iterations=3000),
            )
        case "quick":
            return Settings(
                quick(epochs=3, train_images=4000),  # too short to gain from mirrored images
                final(epochs=4),
                effort,
                seeds=2,
                first=30,
                rounds=3,
                batch=6,
                finalists=3,
                pool=1500,
                fit=FitSettings(steps=400, refit_steps=60),
                paper=PaperSettings(iterations=40_000),
            )
        case "standard":
            return Settings(quick(flip=mirrored), final(epochs=12, flip=mirrored), semifinalists=12)
        case "thorough":
            return Settings(
                quick(epochs=5, train_images=10_000, flip=mirrored),
                final(epochs=30, flip=mirrored),
                effort,
                seeds=5,
                first=120,
                rounds=20,
                batch=10,
                semifinalists=20,
                finalists=5,
                pool=12_000,
                fit=FitSettings(steps=3000),
            )
    raise EvaluationError(f"no effort is called {effort!r}; known are {', '.join(EFFORTS)}")


def settings_of(images: ImageData, effort: str | None = None, *, given: bool = False) -> Settings:
    """Settings that suit the images.

    Args:
        images: to compress for.
        effort: as of `settings_for`; None: the one that suits the images.
        given: whether the source comes with its weights.
    """
    settings = settings_for(
        effort or default_effort(images.name),
        mirrored=images.name in MIRRORED,
        train_images=len(images.train),
        given=given,
    )
    if settings.effort not in LONG_EFFORTS:
        return settings
    return replace(settings, augmentations=_augmentations(images.name))


def _augmentations(data_name: str) -> tuple[str, ...]:
    """Those that may help: whether mirrored images are of their class is known of named sets."""
    if data_name in MIRRORED:
        return "mirror", "mirror-shift"
    if data_name in NAMES:
        return "none", "shift"
    return AUGMENTATIONS


def default_effort(data_name: str) -> str:
    """The packaged sample is for a first look, so it gets "quick"; all else "standard"."""
    return "quick" if data_name == SAMPLE else "standard"


def with_counts(
    settings: Settings,
    *,
    first: int | None = None,
    rounds: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    distillation: float | None = None,
    inheritance: bool | None = None,
) -> Settings:
    """The settings with some counts replaced; None leaves one as it is.

    Args:
        settings: to start from.
        first: architectures trained before the first round.
        rounds: of propose, train, refit.
        seeds: final trainings of each net.
        epochs: of a final training.
        distillation: weight of the source's and finalists' outputs in the loss, in [0, 1].
        inheritance: whether the result is also trained from slices of the source's weights.

    Raises:
        EvaluationError: a value out of its range.
    """
    final_recipe = settings.final if epochs is None else replace(settings.final, epochs=epochs)
    return replace(
        settings,
        final=final_recipe,
        first=settings.first if first is None else first,
        rounds=settings.rounds if rounds is None else rounds,
        seeds=settings.seeds if seeds is None else seeds,
        distillation=settings.distillation if distillation is None else distillation,
        inheritance=settings.inheritance if inheritance is None else inheritance,
    )
