"""`Recipe`: how a network is trained, as a value; and the presets."""

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from archpress.data.images import InputShape
from archpress.errors import EvaluationError
from archpress.evaluation.precision import Precision

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["one-cycle", "steps"]
NormalisationRule = Literal["data", "half"]

# Counted up whenever the training loop changes what a recipe gives, so that old trials in a store
# are not taken for new ones.
LOOP_VERSION = 1
LATER_FIELDS = ("precision", "start")  # at their defaults a key is as before there was such a field

AUGMENTATIONS = ("none", "shift", "mirror", "mirror-shift")
SHIFT = 10  # an image is shifted by this part of its shorter side at most


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything beside the architecture, the data and the seed that decides a trained network.

    Raises:
        EvaluationError: a value out of its range; names the recipe, the field and the value.

    >>> from dataclasses import replace
    >>> replace(quick(), name="mine").key == quick().key, replace(quick(), epochs=4) == quick()
    (True, False)
    """

    name: str
    epochs: int  # passes over the training images that are used
    batch_size: int = 64  # images
    optimizer: Optimizer = "adamw"
    learning_rate: float = 0.01  # the peak for "one-cycle", the first rate for "steps"
    momentum: float = 0.9  # Nesterov's for SGD, the first beta for Adam
    weight_decay: float = 0.0  # on weights of two or more dimensions, not on biases and norms
    schedule: Schedule = "one-cycle"
    warmup: float = 0.2  # "one-cycle": share of the steps in which the rate rises
    milestones: tuple[int, ...] = ()  # "steps": epochs after which the rate is multiplied by decay
    decay: float = 0.1
    clip: float | None = 1.0  # largest norm of the gradient of all weights; None: any
    label_smoothing: float = 0.0  # share of the target that is spread over all classes
    flip: bool = False  # mirror each image with probability 1/2
    crop: int = 0  # pixels of padding of which a window of the old size is cut at random
    normalisation: NormalisationRule = "data"  # per-channel mean and std, or (x - 0.5) / 0.5
    train_images: int | None = None  # class-balanced first images of the training split; None: all
    spare_images: int = 0  # other training images to validate on, beside the validation split
    batch_norm_momentum: float = 0.1  # weight of a batch in the running statistics
    distillation: float = 0.0  # weight of the teacher's part of the loss, in [0, 1]
    temperature: float = 4.0  # softens teacher's and student's logits alike
    teacher: str = ""  # which teacher, e.g. its architecture's key: the result depends on it
    # Of the passes that train; weights are float32. Not in repr, by which old journals are found.
    precision: Precision = field(default="float32", repr=False)
    start: str = ""  # which weights it starts from, e.g. "pruned by l1"; "" is fresh ones
    evaluate_every: int = 1  # epochs between points of the curve; 0: only the last. Not in the key

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, good in self._ranges().items():
            if not good:
                raise EvaluationError(
                    f"recipe {self.name!r}: {name} cannot be {getattr(self, name)!r}"
                )

    def _ranges(self) -> dict[str, bool]:
        return {
            "epochs": self.epochs >= 1,
            "batch_size": self.batch_size >= 2,  # batch norm needs two
            "optimizer": self.optimizer in get_args(Optimizer),
            "learning_rate": self.learning_rate > 0,
            "momentum": 0 <= self.momentum < 1,
            "weight_decay": self.weight_decay >= 0,
            "schedule": self.schedule in get_args(Schedule),
            "warmup": 0 <= self.warmup < 1,
            "decay": self.decay > 0,
            "clip": self.clip is None or self.clip > 0,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "crop": self.crop >= 0,
            "normalisation": self.normalisation in get_args(NormalisationRule),
            "spare_images": self.spare_images >= 0,
            "train_images": self.train_images is None or self.train_images >= 2,
            "batch_norm_momentum": 0 < self.batch_norm_momentum <= 1,
            "distillation": 0 <= self.distillation <= 1,
            "temperature": self.temperature > 0,
            "precision": self.precision in get_args(Precision),
            "evaluate_every": self.evaluate_every >= 0,
        }

    @property
    def key(self) -> str:
        """16 hex digits over every field that changes a result; the same on every machine."""
        values = {}
        for one in fields(self):
            value = getattr(self, one.name)
            is_usual = one.name in LATER_FIELDS and value == one.default
            if one.name not in ("name", "evaluate_every") and not is_usual:
                values[one.name] = value
        text = json.dumps([LOOP_VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def shortened(self, share: float) -> "Recipe":
        """With a share of the epochs, one at least, over which the rate changes as it did.

        >>> short = Recipe("r", 40, schedule="steps", milestones=(20, 30)).shortened(0.25)
        >>> short.epochs, short.milestones
        (10, (5, 8))
        """
        epochs = max(1, round(share * self.epochs))
        milestones = tuple(round(one * epochs / self.epochs) for one in self.milestones)
        return replace(self, epochs=epochs, milestones=milestones)

    def rate_at(self, progress: float) -> float:
        """The learning rate at a point of the training.

        Args:
            progress: share of all steps that are done, in [0, 1).

        >>> recipe = Recipe("r", 10, learning_rate=1.0, warmup=0.2)
        >>> [round(recipe.rate_at(done), 3) for done in (0.0, 0.1, 0.2, 0.6, 0.98)]
        [0.04, 0.52, 1.0, 0.5, 0.025]
        """
        if self.schedule == "steps":
            passed = sum(progress * self.epochs >= milestone for milestone in self.milestones)
            return self.learning_rate * self.decay**passed
        if progress < self.warmup:
            return self.learning_rate * (0.04 + 0.96 * progress / self.warmup)
        return self.learning_rate * (1 - progress) / (1 - self.warmup)


def quick(
    *,
    epochs: int = 3,
    train_images: int | None = 5000,
    spare_images: int = 5000,
    flip: bool = False,
) -> Recipe:
    """The recipe of a search's trials: seconds on one core, enough to rank networks.

    Measured on 8 random nets of 0.2 to 2.5 M macs, half of them without batch norm, on 5,000 images
    of Fashion-MNIST for 3 epochs, validated on 6,000; mean accuracy, and Kendall's tau against the
    same nets after four times the training (2 shared cores, 2026-11-22; one seed, so half a point
    and 0.1 of tau mean little):

        SGD, peak 0.05                75.5 %   0.69
        SGD, peak 0.1                 78.8 %   0.71
        SGD, peak 0.2                 80.3 %   0.86
        SGD, peak 0.3                 80.2 %   0.79
        SGD, peak 0.2, batches of 32  81.0 %   0.93   taken; 1/8 more time
        AdamW, peak 0.005             77.4 %   0.93
        AdamW, peak 0.01              79.5 %   0.93
        AdamW, peak 0.02              79.0 %   0.86
        AdamW, 0.01, batches of 32    80.2 %   0.69

    Without clipping the gradient, SGD at 0.2 gave 52.9 %: three of the four nets without batch norm
    ended at chance, with it none did in any of the 152 trainings. Label smoothing 0.1 and a batch
    norm momentum of 0.3 changed the mean by 0.1 points. Seeds differ by 0.2 points in the mean.

    Args:
        epochs: passes over the images.
        train_images: class-balanced first images of the training split; None: all.
        spare_images: training images left over to validate on: with a thousand validation images
            alone the error of a measured accuracy is as large as what good nets differ by.
        flip: whether a mirrored image is still of its class (not so for digits).
    """
    return Recipe(
        "quick",
        epochs,
        batch_size=32,
        optimizer="sgd",
        learning_rate=0.2,
        weight_decay=5e-4,
        flip=flip,
        train_images=train_images,
        spare_images=spare_images,
        evaluate_every=0,
    )


def final(*, epochs: int = 30, flip: bool = False, crop: int = 0) -> Recipe:
    """The recipe of results: all training images, one long cycle.

    Measured as for `quick`, on two of its nets (with and without batch norm), 20,000 images and 6
    epochs in batches of 64: SGD at 0.2 89.9 and 89.5 %, at 0.1 90.5 and 88.8 %; AdamW at 0.005 90.2
    and 88.5 %, at 0.01 90.3 and 89.2 %: all much the same. The gentler SGD is taken, as nets to be
    kept mostly have batch norm.

    Args:
        epochs: passes over the images.
        flip: whether a mirrored image is still of its class (not so for digits).
        crop: pixels by which images are shifted at most; 2 suits 28x28, 4 suits 32x32.
    """
    return Recipe(
        "final",
        epochs,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        flip=flip,
        crop=crop,
    )


def augmented(recipe: Recipe, augmentation: str, input_shape: InputShape) -> Recipe:
    """The recipe with its images varied in one of `AUGMENTATIONS`.

    Raises:
        EvaluationError: another word.

    >>> varied = augmented(final(), "mirror-shift", (3, 32, 32))
    >>> varied.flip, varied.crop
    (True, 3)
    """
    if augmentation not in AUGMENTATIONS:
        known = ", ".join(AUGMENTATIONS)
        raise EvaluationError(f"no augmentation is called {augmentation!r}; known are {known}")
    ways = augmentation.split("-")
    shift = max(1, min(input_shape[1:]) // SHIFT)
    return replace(recipe, flip="mirror" in ways, crop=shift if "shift" in ways else 0)


def paper(dataset: str) -> Recipe:
    """The final training of section 5.2.1; where the paper is silent, PyTorch's defaults.

    Args:
        dataset: "fashion-mnist", "cifar10", "cifar100" or "svhn"; "-" and "_" do not matter, nor
            does "-sample" at the end.

    Raises:
        EvaluationError: the paper has no recipe for this data set.

    >>> paper("cifar10").epochs, round(paper("cifar10").rate_at(0.6), 6), paper("svhn").crop
    (150, 0.0001, 0)
    """
    name = dataset.lower().replace("-", "").replace("_", "").removesuffix("sample")
    if name not in {"fashionmnist", "cifar10", "cifar100", "svhn"}:
        raise EvaluationError(
            f"the paper has no recipe for {dataset!r}; it has one for "
            "fashion-mnist, cifar10, cifar100, svhn"
        )
    gray, augmented = name == "fashionmnist", name.startswith("cifar")
    return Recipe(
        f"paper-{name}",
        epochs=50 if gray else 150,
        batch_size=64 if gray else 128,
        optimizer="adam",
        learning_rate=0.01 if gray else 0.001,
        schedule="steps",
        milestones=(30,) if gray else (80, 120),
        decay=0.1,
        clip=None,
        flip=augmented,
        crop=4 if augmented else 0,
        # Said of CIFAR and SVHN only ("mean subtraction (0.5, 0.5, 0.5)"); taken for all [guess].
        normalisation="half",
    )
