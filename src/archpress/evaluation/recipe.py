"""`Recipe`: how a network is trained, as a value; and the presets."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from archpress.errors import EvaluationError

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["one-cycle", "steps"]
NormalisationRule = Literal["data", "half"]

# Counted up whenever the training loop changes what a recipe gives, so that old trials in a store
# are not taken for new ones.
LOOP_VERSION = 1


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
    batch_norm_momentum: float = 0.1  # weight of a batch in the running statistics
    distillation: float = 0.0  # weight of the teacher's part of the loss, in [0, 1]
    temperature: float = 4.0  # softens teacher's and student's logits alike
    teacher: str = ""  # which teacher, e.g. its architecture's key: the result depends on it
    evaluate_every: int = 1  # epochs between points of the curve; 0: only the last. Not in the key

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field, good in self._ranges().items():
            if not good:
                raise EvaluationError(
                    f"recipe {self.name!r}: {field} cannot be {getattr(self, field)!r}"
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
            "train_images": self.train_images is None or self.train_images >= 2,
            "batch_norm_momentum": 0 < self.batch_norm_momentum <= 1,
            "distillation": 0 <= self.distillation <= 1,
            "temperature": self.temperature > 0,
            "evaluate_every": self.evaluate_every >= 0,
        }

    @property
    def key(self) -> str:
        """16 hex digits over every field that changes a result; the same on every machine."""
        fields = asdict(self)
        del fields["name"], fields["evaluate_every"]
        text = json.dumps([LOOP_VERSION, fields], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def rate_at(self, progress: float) -> float:
        """The learning rate at a point of the training.

        Args:
            progress: share of all steps that are done, in [0, 1).

        >>> recipe = Recipe("r", 10, learning_rate=1.0, warmup=0.2)
        >>> [round(recipe.rate_at(done), 3) for done in (0.0, 0.1, 0.2, 0.6, 0.99)]
        [0.04, 0.52, 1.0, 0.5, 0.012]
        """
        if self.schedule == "steps":
            passed = sum(progress * self.epochs >= milestone for milestone in self.milestones)
            return self.learning_rate * self.decay**passed
        if progress < self.warmup:
            return self.learning_rate * (0.04 + 0.96 * progress / self.warmup)
        return self.learning_rate * (1 - progress) / (1 - self.warmup)
