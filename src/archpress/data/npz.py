"""Images and labels in an .npz file."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile

from archpress.architecture.shape_rules import format_shape
from archpress.data.arrays import check_shape, images_shape, labels_tensor, split_from_arrays
from archpress.data.images import InputShape, Split, TestReader, check_range
from archpress.data.split import ImageSource, carve_test, check_classes, numbered_names
from archpress.errors import DataError


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the two arrays of a split."""

    images: str
    labels: str


def _spellings(*parts: str) -> tuple[Keys, ...]:
    pairs = [(f"x_{part}", f"y_{part}") for part in parts]
    pairs += [(f"{part}_images", f"{part}_labels") for part in parts]
    return tuple(Keys(*pair) for pair in pairs)


TRAIN = _spellings("train")
VALIDATION = _spellings("validation", "val", "valid")
TEST = _spellings("test")
UNDIVIDED = (Keys("x", "y"), Keys("images", "labels"))


def npz_source(
    path: Path,
    *,
    name: str | None = None,
    class_names: tuple[str, ...] | None = None,
    input_shape: InputShape | None = None,
) -> ImageSource:
    """Images and labels from an .npz file.

    The arrays are `x_train` and `y_train`, perhaps with `x_validation` (or `x_val`, `x_valid`)
    and `x_test` and their labels, or `train_images` and `train_labels` and so on; or the
    undivided `x` and `y`, or `images` and `labels`, from which a test split is carved unless
    there is one. Of the test images only the header is read until they are asked for. See
    `images_tensor` for layouts and ranges.

    Args:
        path: the file.
        name: for people; by default that of the file.
        class_names: by default the numbers of the classes.
        input_shape: refuse images of another shape.

    Raises:
        DataError: the file is truncated, holds pickled objects, lacks an array, or its labels
            are not 0..K-1 with at least two images each; or the test images have another shape.
    """
    name = name or path.stem
    with _opened(path) as file:
        train_keys = _present(file, TRAIN, path) or _present(file, UNDIVIDED, path)
        if train_keys is None:
            raise DataError(
                f"{path}: needs the arrays x_train and y_train (perhaps with x_test and y_test), "
                f"or x and y, but holds {', '.join(file.files) or 'nothing'}"
            )
        validation_keys = _present(file, VALIDATION, path)
        test_keys = _present(file, TEST, path)
        train = _read(file, train_keys, path)
        validation = _read(file, validation_keys, path) if validation_keys else None
        check_shape(train.shape, input_shape, str(path))
        names = class_names or numbered_names(train.labels)
        check_classes(train.labels, names, str(path))
        if test_keys:
            _check_test(file, test_keys, train.shape, len(names), path)
    reader: TestReader | None = None
    if train_keys in UNDIVIDED and not test_keys:
        stay, held = carve_test(train.labels.numpy())
        train, test_keys = train.take(stay), train_keys if len(held) else None
        reader = partial(_read_carved, path, train_keys, held) if len(held) else None
    elif test_keys:
        reader = partial(_read_part, path, test_keys)
    identity = _identity(path, test_keys) if test_keys else ""
    return ImageSource(name, train, names, validation, reader, identity)


@contextmanager
def _opened(path: Path) -> Iterator[NpzFile]:
    """An .npz file, whatever goes wrong in it told as a DataError."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: not an .npz file, or a truncated one")
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise DataError(f"{path}: truncated or damaged ({error})") from error


def _present(file: NpzFile, spellings: tuple[Keys, ...], path: Path) -> Keys | None:
    """The first spelling whose images are in the file.

    Raises:
        DataError: the labels to these images are missing.
    """
    for keys in spellings:
        if keys.images in file.files:
            if keys.labels not in file.files:
                raise DataError(f"{path}: {keys.images} lacks {keys.labels}")
            return keys
    return None


def _read(file: NpzFile, keys: Keys, path: Path) -> Split:
    where = f"{path} ({keys.images}, {keys.labels})"
    try:
        images, labels = file[keys.images], file[keys.labels]
    except ValueError as error:
        raise DataError(
            f"{where}: pickled objects are not read, for they can run code; "
            f"save plain arrays of numbers ({error})"
        ) from error
    if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
        raise DataError(f"{where}: are not arrays as numpy.savez writes them")
    return split_from_arrays(images, labels, where)


def _check_test(file: NpzFile, keys: Keys, shape: InputShape, classes: int, path: Path) -> None:
    """Refuse what reading the test split would, as far as its labels and the header tell."""
    where = f"{path} ({keys.images}, {keys.labels})"
    images = _unread(path, keys.images, where)
    found = images_shape(images, where)
    if found != shape:
        raise DataError(
            f"{where}: the test images are {format_shape(found)}, but those for training are "
            f"{format_shape(shape)}"
        )
    _unread(path, keys.labels, where)
    check_range(labels_tensor(file[keys.labels], len(images), where), classes, where)


def _unread(path: Path, key: str, where: str) -> np.ndarray:
    """Zeros in the shape and the kind of numbers of an array, from its header; takes no memory."""
    try:
        with zipfile.ZipFile(path) as file, file.open(f"{key}.npy") as content:
            is_first = npy.read_magic(content) == (1, 0)
            header = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
            shape, _, dtype = header(content)
        if not dtype.hasobject:
            return np.broadcast_to(np.zeros((), dtype), shape)
    except (KeyError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: {key} is no array as numpy.savez writes it ({error})") from error
    raise DataError(
        f"{where}: pickled objects are not read, for they can run code; "
        "save plain arrays of numbers"
    )


def _read_part(path: Path, keys: Keys) -> Split:
    with _opened(path) as file:
        return _read(file, keys, path)


def _read_carved(path: Path, keys: Keys, held: np.ndarray) -> Split:
    whole = _read_part(path, keys)
    if held.max(initial=-1) >= len(whole):
        raise DataError(f"{path}: has changed since it was loaded")
    return whole.take(held)


def _identity(path: Path, keys: Keys) -> str:
    """Checksums from the directory of the zip file, so the arrays themselves stay unread."""
    with zipfile.ZipFile(path) as file:
        members = [file.getinfo(f"{key}.npy") for key in (keys.images, keys.labels)]
    return " ".join(f"{member.CRC:08x}:{member.file_size}" for member in members)
