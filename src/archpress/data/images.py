"""The values of this room: a split, and the images and labels of one job.

Images stay uint8 until training: a quarter of the memory, exact, and one key on every machine.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from archpress.architecture.shape_rules import format_shape
from archpress.data.sampling import balanced, generator
from archpress.errors import DataError

InputShape: TypeAlias = tuple[int, int, int]

LEAST_STD = 1 / 255  # one grey level; keeps a constant channel from dividing by 0


@dataclass(frozen=True, eq=False, slots=True)
class Split:
    """Images with their labels.

    Attributes:
        images: `N x C x H x W`, uint8.
        labels: `N`, int64, each in 0..K-1.

    Example:
        >>> split = Split(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
        >>> len(split), split.shape
        (2, (1, 8, 8))
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise DataError(
                "the images of a split must be uint8 `N x C x H x W`, "
                f"not {self.images.dtype} {tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"the labels of {len(self.images)} images must be as many int64, "
                f"not {self.labels.dtype} {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({len(self)} images of {format_shape(self.shape)})"

    @property
    def shape(self) -> InputShape:
        """Shape of one image, (C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return (channels, height, width)

    @property
    def largest_share(self) -> float:
        """Of the images, in [0, 1]: what always naming the largest class is right on."""
        return float(torch.bincount(self.labels).max()) / len(self)

    def take(self, indices: np.ndarray) -> Self:
        """The images at `indices` (int64, any order), as a copy."""
        chosen = torch.from_numpy(np.ascontiguousarray(indices, dtype=np.int64))
        return type(self)(self.images[chosen], self.labels[chosen])


TestReader: TypeAlias = Callable[[], Split]


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class ImageData:
    """Everything a search reads of its data; the test split stays closed until it is asked for.

    Can be pickled to a worker process. Hand it over once a worker, not once a task: it carries
    the images.

    Attributes:
        name: for people; no part of the key.
        train: what networks are trained on.
        validation: what they are compared by; no image of it is in `train`.
        class_names: K names, in the order of the labels.
        mean: per channel of `train`, images scaled to [0, 1].
        std: likewise, population standard deviation, at least 1/255.
        key: 16 hex digits of the contents of train and validation, in their order, and of the
            identity of the test split. Equal on every machine.
        test_reader: reads the test split; none when there is no test split.
        test_identity: tells one test split from another without opening it.
        split_seed: by which validation was told apart from train; None where it is not known.
    """

    name: str
    train: Split
    validation: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    key: str
    test_reader: TestReader | None = None
    test_identity: str = ""
    split_seed: int | None = None

    @classmethod
    def of(
        cls,
        name: str,
        train: Split,
        validation: Split,
        class_names: tuple[str, ...],
        *,
        test_reader: TestReader | None = None,
        test_identity: str = "",
        split_seed: int | None = None,
    ) -> Self:
        """Image data with its mean, std and key worked out."""
        mean, std = channel_statistics(train.images)
        key = content_key(train, validation, test_identity)
        return cls(
            name,
            train,
            validation,
            class_names,
            mean,
            std,
            key,
            test_reader,
            test_identity,
            split_seed,
        )

    def __repr__(self) -> str:
        return (
            f"ImageData({self.name!r}, {len(self.train)} train and {len(self.validation)} "
            f"validation images of {format_shape(self.input_shape)}, {self.classes} classes, "
            f"key {self.key})"
        )

    @property
    def input_shape(self) -> InputShape:
        """Shape of one image, (C, H, W)."""
        return self.train.shape

    @property
    def classes(self) -> int:
        """Number of classes, K."""
        return len(self.class_names)

    def read_test(self) -> Split:
        """Open and read the test split; each call reads it anew.

        Raises:
            DataError: there is no test split, it cannot be read, or it does not fit `train`.
        """
        if self.test_reader is None:
            raise DataError(f"the data {self.name!r} have no test split")
        test = self.test_reader()
        if not len(test):
            raise DataError(f"the test split of {self.name!r} is empty")
        if test.shape != self.input_shape:
            raise DataError(
                f"the test images of {self.name!r} are {format_shape(test.shape)}, "
                f"but those for training are {format_shape(self.input_shape)}"
            )
        check_range(test.labels, self.classes, f"the test split of {self.name!r}")
        return test

    def subset(self, count: int, seed: int = 0) -> Self:
        """The same data with at most `count` training images, class-balanced.

        Every class gives equally many, or all it has; validation and test stay as they are.

        Args:
            count: at least K.
            seed: which images; the same on every machine.

        Raises:
            DataError: `count` is less than the number of classes.
        """
        if count < self.classes:
            raise DataError(
                f"{count} training images cannot hold the {self.classes} classes of "
                f"{self.name!r}; give at least {self.classes}"
            )
        if count >= len(self.train):
            return self
        chosen = balanced(self.train.labels.numpy(), count, generator(seed, "subset"))
        return type(self).of(
            self.name,
            self.train.take(chosen),
            self.validation,
            self.class_names,
            test_reader=self.test_reader,
            test_identity=self.test_identity,
            split_seed=self.split_seed,
        )


def require_shape(data: ImageData, input_shape: InputShape, classes: int) -> None:
    """Refuse data that a network cannot take.

    Args:
        data: the images.
        input_shape: (C, H, W) of the network.
        classes: number of its outputs, K.

    Raises:
        DataError: the images have another shape, or another number of classes.
    """
    if data.input_shape != tuple(input_shape) or data.classes != classes:
        raise DataError(
            f"the network takes {format_shape(input_shape)} images of {classes} classes, "
            f"but the data {data.name!r} hold {format_shape(data.input_shape)} images of "
            f"{data.classes} classes"
        )


def check_range(labels: Tensor, classes: int, where: str) -> None:
    """Refuse labels outside of 0..K-1.

    Raises:
        DataError: naming the first such label and its position.
    """
    wrong = torch.nonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        position = int(wrong[0])
        raise DataError(
            f"{where}: label {int(labels[position])} of image {position} is not in 0..{classes - 1}"
        )


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, images scaled to [0, 1].

    From whole numbers, so the same to the last bit on every machine.

    Args:
        images: `N x C x H x W`, uint8.
    """
    levels = torch.arange(256)
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.bincount(images[:, channel].reshape(-1), minlength=256)
        number, total, squares = (int((counts * levels**power).sum()) for power in (0, 1, 2))
        means.append(total / (255 * number))
        variance = (number * squares - total**2) / (255 * number) ** 2
        stds.append(max(variance**0.5, LEAST_STD))
    return tuple(means), tuple(stds)


def content_key(train: Split, validation: Split, test_identity: str) -> str:
    """16 hex digits that tell these data from others; see `ImageData.key`."""
    digest = hashlib.sha256(b"archpress image data 1")
    for split in (train, validation):
        digest.update(str(tuple(split.images.shape)).encode())
        digest.update(split.images.contiguous().numpy().data)
        digest.update(split.labels.contiguous().numpy().astype("<i8").data)
    digest.update(test_identity.encode())
    return digest.hexdigest()[:16]
