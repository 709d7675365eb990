"""Any dataset of Python: what has a length and gives (image, label) items, torch's among them."""

import operator
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from archpress.architecture.shape_rules import format_shape
from archpress.data.arrays import images_tensor
from archpress.data.folder import is_grey, oriented_size, to_planes
from archpress.data.images import ImageData, InputShape, Split
from archpress.data.split import VALIDATION_FRACTION, ImageSource, divide, numbered_names
from archpress.errors import DataError


class LabelledImages(Protocol):
    """What `from_dataset` reads; `torch.utils.data.Dataset` with a length is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...  # noqa: ANN401 - an (image, label) pair


def from_dataset(
    train: LabelledImages,
    test: LabelledImages | None = None,
    *,
    name: str,
    validation: LabelledImages | None = None,
    class_names: tuple[str, ...] | None = None,
    seed: int = 0,
    validation_fraction: float = VALIDATION_FRACTION,
    max_train: int | None = None,
    input_shape: InputShape | None = None,
) -> ImageData:
    """Image data from datasets of Python.

    Items are (image, label). An image is a tensor `C x H x W` or `H x W`, an array of these or
    `H x W x C`, or a PIL image; integers in 0..255 or floats in [0, 1], which are rounded to 256
    levels. So drop transforms that normalise or augment: training does both. Every item is read
    once, here; those of `test` when the test split is read.

    Args:
        train: the images to learn from; validation is carved from them unless it is given.
        test: kept apart.
        name: for people, and the identity of the test split in the key.
        validation: to compare networks by.
        class_names: K names; by default those in `train.classes`, else the numbers.
        seed: of the validation split.
        validation_fraction: share of each class, in (0, 1).
        max_train: at most so many training images, class-balanced.
        input_shape: (C, H, W) to which PIL images are brought; other images must have it.

    Raises:
        DataError: an item is something else, images differ in shape, or labels are not 0..K-1
            with at least two images each.

    Example:
        >>> items = [(torch.full((1, 8, 8), label / 2), label) for label in [0, 1] * 10]
        >>> from_dataset(items, name="two greys").train
        Split(18 images of 1x8x8)
    """
    split = read_dataset(train, input_shape, f"{name} (train)")
    own = getattr(train, "classes", ())  # a dataset of one's own may count them there
    own = own if isinstance(own, Sequence) and not isinstance(own, str) else ()
    names = class_names or tuple(own) or numbered_names(split.labels)
    source = ImageSource(
        name=name,
        train=split,
        class_names=tuple(str(class_name) for class_name in names),
        validation=(
            read_dataset(validation, input_shape, f"{name} (validation)")
            if validation is not None
            else None
        ),
        test_reader=(
            DatasetReader(test, split.shape, f"{name} (test)") if test is not None else None
        ),
        test_identity=f"{name}: {len(test)} test images" if test is not None else "",
    )
    return divide(source, seed=seed, validation_fraction=validation_fraction, max_train=max_train)


@dataclass(frozen=True, slots=True)
class DatasetReader:
    """Reads the test split from a dataset when it is called.

    A dataset that cannot be pickled (a lambda among its transforms, say) does not keep the image
    data from a worker process: there, only the test split cannot be read.
    """

    dataset: LabelledImages
    shape: InputShape
    where: str

    def __call__(self) -> Split:
        """The test split."""
        return read_dataset(self.dataset, self.shape, self.where)

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            content = pickle.dumps(self.dataset)
        except Exception:  # whatever a dataset's own members raise
            return (partial, (_left_behind, self.where))
        return (_unpickled, (content, self.shape, self.where))


def read_dataset(dataset: LabelledImages, shape: InputShape | None, where: str) -> Split:
    """All items of a dataset.

    Args:
        dataset: gives (image, label) items.
        shape: (C, H, W) to which PIL images are brought and which others must have; by default
            that of the first item.
        where: begins the sentence of an error.

    Raises:
        DataError: an item is something else or has another shape; names its index.
    """
    count = len(dataset)
    if not count:
        raise DataError(f"{where}: the dataset is empty")
    images: np.ndarray | None = None
    labels = np.empty(count, dtype=np.int64)
    for index in range(count):
        place = f"{where}, item {index}"
        image, labels[index] = _item(dataset[index], place)
        planes = _planes(image, shape, place)
        if images is None:
            images = np.empty((count, *planes.shape), dtype=np.uint8)
        wanted = shape or images.shape[1:]
        if planes.shape != tuple(wanted):
            raise DataError(
                f"{place}: the image is {format_shape(planes.shape)}, not {format_shape(wanted)}; "
                "all must have one shape"
            )
        images[index] = planes
    assert images is not None, "a dataset that is not empty gave no image"
    return Split(torch.from_numpy(images), torch.from_numpy(labels))


def _item(item: Any, place: str) -> tuple[Any, int]:  # noqa: ANN401 - a user's item
    """Image and label of an item."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise DataError(f"{place}: must be an (image, label) pair, not {type(item).__name__}")
    image, label = item
    try:
        return image, int(np.int64(operator.index(label)))
    except (TypeError, OverflowError) as error:
        raise DataError(f"{place}: the label must be an integer, not {label!r}") from error


def _planes(image: Any, shape: InputShape | None, place: str) -> np.ndarray:  # noqa: ANN401
    """An image of a user's as uint8 `C x H x W`."""
    match image:
        case Image.Image():
            width, height = oriented_size(image)
            return to_planes(image, shape or (1 if is_grey(image) else 3, height, width), place)
        case torch.Tensor():
            exact = image.float() if image.dtype is torch.bfloat16 else image  # unknown to numpy
            array = exact.detach().cpu().numpy()
        case np.ndarray():
            array = image
        case _:
            raise DataError(
                f"{place}: the image must be a tensor, an array or a PIL image, "
                f"not {type(image).__name__}"
            )
    return images_tensor(array[None], place)[0].numpy()  # 1 C H W -> C H W


def _unpickled(content: bytes, shape: InputShape, where: str) -> DatasetReader:
    return DatasetReader(pickle.loads(content), shape, where)


def _left_behind(where: str) -> Split:
    raise DataError(
        f"{where}: cannot be pickled, so the test split is read only in the process that loaded it"
    )
