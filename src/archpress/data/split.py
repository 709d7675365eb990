"""From what a loader found to the data of a job: checks, and validation carved from train."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from archpress.architecture.shape_rules import format_shape
from archpress.data.images import ImageData, Split, TestReader, check_range
from archpress.data.sampling import generator, held_out
from archpress.errors import DataError

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2  # of data that come without a test split
TEST_SEED = 0  # fixed: a run with another seed must not train on the test images of this one


@dataclass(frozen=True, eq=False, slots=True)
class ImageSource:
    """What a loader found, before validation is carved from `train`.

    Attributes:
        name: for people.
        train: all images that may be learned from.
        class_names: K names, in the order of the labels.
        validation: where the data come with their own; else it is carved from `train`.
        test_reader: reads the test split, if there is one.
        test_identity: tells one test split from another without opening it.
    """

    name: str
    train: Split
    class_names: tuple[str, ...]
    validation: Split | None = None
    test_reader: TestReader | None = None
    test_identity: str = ""


def divide(
    source: ImageSource,
    *,
    seed: int,
    validation_fraction: float = VALIDATION_FRACTION,
    max_train: int | None = None,
) -> ImageData:
    """Check a source and divide it.

    Args:
        source: what a loader found.
        seed: decides which images are for validation, and which are left by `max_train`.
        validation_fraction: share of each class, in (0, 1); unused where the data come with
            their own validation split.
        max_train: at most so many training images, class-balanced; all when None.

    Raises:
        DataError: labels are not 0..K-1 with at least two images each, splits do not fit each
            other, or an argument is out of range.
    """
    if seed < 0:
        raise DataError(f"the seed of a split must not be negative, but is {seed}")
    if not 0 < validation_fraction < 1:
        raise DataError(
            f"the validation fraction must be between 0 and 1, but is {validation_fraction}"
        )
    check_classes(source.train.labels, source.class_names, source.name)
    train, validation = source.train, source.validation
    if validation is None:
        stay, held = held_out(
            train.labels.numpy(), validation_fraction, generator(seed, "validation")
        )
        train, validation = train.take(stay), train.take(held)
    else:
        _check_validation(source.train, validation, len(source.class_names), source.name)
    data = ImageData.of(
        source.name,
        train,
        validation,
        source.class_names,
        test_reader=source.test_reader,
        test_identity=source.test_identity,
        split_seed=seed,
    )
    return data if max_train is None else data.subset(max_train, seed)


def carve_test(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices to learn from and indices of a test split, for data that come without one.

    Always the same for the same labels, whatever the seed of the run. Two images of each class
    stay to learn from.

    Args:
        labels: `N`, each in 0..K-1.
    """
    return held_out(labels, TEST_FRACTION, generator(TEST_SEED, "test"), keep=2)


def check_classes(labels: Tensor, class_names: tuple[str, ...], where: str) -> None:
    """Refuse labels that are not 0..K-1 with at least two images each.

    Args:
        labels: `N`, int64, of the images to learn from.
        class_names: K names.
        where: begins the sentence of the error.

    Raises:
        DataError: naming the label or the class.
    """
    classes = len(class_names)
    check_range(labels, classes, where)
    if classes < 2:
        raise DataError(f"{where}: needs at least two classes, but has {classes}")
    counts = torch.bincount(labels, minlength=classes)
    few = torch.nonzero(counts < 2)
    if len(few):
        label = int(few[0])
        raise DataError(
            f"{where}: class {label} ({class_names[label]}) has {int(counts[label])} training "
            f"images; each of the classes 0..{classes - 1} needs at least 2"
        )


def numbered_names(labels: Tensor) -> tuple[str, ...]:
    """Names for classes known by number alone: "0" up to the greatest label."""
    if not len(labels):
        return ()
    # More classes than images means a gap, which check_classes names; no need for more names.
    return tuple(str(label) for label in range(min(max(int(labels.max()), 0), len(labels)) + 1))


def _check_validation(train: Split, validation: Split, classes: int, name: str) -> None:
    if not len(validation):
        raise DataError(f"the validation split of {name!r} is empty")
    if validation.shape != train.shape:
        raise DataError(
            f"the validation images of {name!r} are {format_shape(validation.shape)}, "
            f"but those for training are {format_shape(train.shape)}"
        )
    check_range(validation.labels, classes, f"the validation split of {name!r}")
