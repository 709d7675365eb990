"""One door to all data: a name, an .npz file or a folder of images."""

from pathlib import Path

from archpress.data.arrays import check_shape
from archpress.data.folder import folder_source
from archpress.data.images import ImageData, InputShape
from archpress.data.named import NAMES, named_source
from archpress.data.npz import npz_source
from archpress.data.split import VALIDATION_FRACTION, ImageSource, divide
from archpress.errors import DataError
from archpress.paths import typed_path


def load_data(
    spec: str | Path,
    *,
    seed: int = 0,
    validation_fraction: float = VALIDATION_FRACTION,
    max_train: int | None = None,
    input_shape: InputShape | None = None,
) -> ImageData:
    """Images and labels for a job, with validation apart from train and test unopened.

    Args:
        spec: one of `NAMES` (a `Path` is never taken for a name), an .npz file, or a folder of
            images in folders that are named after their classes.
        seed: of the validation split and of the choice of `max_train`; the same on every machine.
        validation_fraction: share of each class, in (0, 1), carved from the training images
            where the data come without a validation split.
        max_train: at most so many training images, class-balanced.
        input_shape: (C, H, W) to which images of a folder are brought; other data must have it.

    Raises:
        DataError: there are no such data, they cannot be read, or an argument is out of range.

    Example:
        >>> load_data("fashion-mnist-sample", max_train=1000).train
        Split(1000 images of 1x28x28)
    """
    return divide(
        _source(spec, input_shape),
        seed=seed,
        validation_fraction=validation_fraction,
        max_train=max_train,
    )


def _source(spec: str | Path, input_shape: InputShape | None) -> ImageSource:
    if isinstance(spec, str) and spec in NAMES:
        source = named_source(spec)
        check_shape(source.train.shape, input_shape, spec)
        return source
    path = typed_path(spec)
    if path.is_dir():
        return folder_source(path, input_shape=input_shape)
    if path.suffix == ".npz":
        return npz_source(path, input_shape=input_shape)
    raise DataError(
        f"there are no data {str(spec)!r}: give one of {', '.join(NAMES)}, an .npz file or a "
        "folder of images"
    )
