"""Folders of images: CLASS/*.png, or train/CLASS/*.png with validation and test beside it."""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from archpress.architecture.shape_rules import format_shape
from archpress.data.images import InputShape, Split
from archpress.data.split import ImageSource, carve_test, check_classes
from archpress.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
MODES = {1: "L", 3: "RGB"}  # number of channels to pillow's mode
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
ORIENTATION = 0x0112  # the EXIF tag
VALIDATION_FOLDERS = ("validation", "val", "valid")


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of a split's images and their labels, in the order of the paths."""

    paths: tuple[Path, ...]
    labels: np.ndarray

    def take(self, indices: np.ndarray) -> "Files":
        """The files at `indices`."""
        return Files(tuple(self.paths[index] for index in indices), self.labels[indices])


def folder_source(path: Path, *, input_shape: InputShape | None = None) -> ImageSource:
    """Images in folders that are named after their classes.

    Either `path/CLASS/*` or `path/train/CLASS/*`, perhaps with `path/validation` (or `val`,
    `valid`) and `path/test` beside it. Without a `test` folder a test split is carved from the
    rest, unless no class has more than the two images that stay to learn from. Of the test images
    only the headers are read until they are asked for.

    Args:
        path: the folder.
        input_shape: (C, H, W) to which all images are brought: C is 1 for grey or 3 for colour;
            an image is scaled to cover H x W and cropped in its middle. By default the size of
            the images, which must be equal, and grey if all of them are.

    Raises:
        DataError: no images, an image that cannot be read, images of several sizes (also in the
            test split), or classes that differ between the splits.
    """
    divided = _is_divided(path)
    root = path / "train" if divided else path
    names = _class_names(root)
    train = _list_files(root, names)
    labels = torch.from_numpy(train.labels)
    check_classes(labels, names, str(root))
    validation = _beside(path, VALIDATION_FOLDERS, names) if divided else None
    test = _beside(path, ("test",), names) if divided else None
    if test is None:
        stay, held = carve_test(train.labels)
        train, test = train.take(stay), train.take(held) if len(held) else None
    known = train.paths + (validation.paths if validation else ())
    shape = _checked(input_shape) if input_shape else _common_shape(known)
    resize = input_shape is not None
    if test:
        _check_headers(test, shape, resize=resize)
    return ImageSource(
        name=path.resolve().name,
        train=read_files(train, shape),
        class_names=names,
        validation=read_files(validation, shape) if validation else None,
        test_reader=partial(read_files, test, shape, resize=resize) if test else None,
        test_identity=_identity(test, path) if test else "",
    )


def read_files(files: Files, shape: InputShape, *, resize: bool = True) -> Split:
    """Decode image files into a split.

    Args:
        files: paths and labels.
        shape: (C, H, W) of the result.
        resize: bring images of another size to it; else they are refused.

    Raises:
        DataError: an image cannot be read, or has another size; names the file.
    """
    try:
        images = np.empty((len(files.paths), *shape), dtype=np.uint8)
    except MemoryError:
        raise DataError(
            f"{len(files.paths):,} images of {format_shape(shape)} take "
            f"{len(files.paths) * math.prod(shape) / 1e9:,.0f} GB, more than there is memory for; "
            "give a smaller size to which all are brought"
        ) from None
    for index, path in enumerate(files.paths):
        try:
            with Image.open(path) as image:
                if not resize:
                    _check_size(path, oriented_size(image), shape)
                images[index] = to_planes(image, shape, str(path))
        except DataError:
            raise
        except Exception as error:  # pillow's decoders raise many types on a damaged file
            raise unreadable(path, error) from error
    return Split(torch.from_numpy(images), torch.from_numpy(files.labels.copy()))


def to_planes(image: Image.Image, shape: InputShape, where: str) -> np.ndarray:
    """An image as uint8 `C x H x W`: turned upright, in grey or colour, scaled and cropped.

    Args:
        image: of any mode.
        shape: (C, H, W) that is wanted.
        where: begins the sentence of an error.

    Raises:
        DataError: it has values that no 8 bits stand for.
    """
    channels, height, width = shape
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _eight_bits(upright, where)
    if upright.mode == "P":
        upright = upright.convert("RGBA")  # keeps palettes with transparency from a warning
    converted = upright.convert(MODES[channels])
    if converted.size != (width, height):
        converted = ImageOps.fit(converted, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(converted).reshape(height, width, channels)
    return pixels.transpose(2, 0, 1)  # H W C -> C H W


def is_grey(image: Image.Image) -> bool:
    """Whether an image has no colour channels."""
    return image.mode in GREY_MODES


def oriented_size(image: Image.Image) -> tuple[int, int]:
    """Width and height once the image is turned upright, without decoding it."""
    # Asking a PNG for EXIF data that it does not have would decode it.
    has_exif = image.format != "PNG" or "exif" in image.info
    turned = has_exif and image.getexif().get(ORIENTATION, 1) >= 5  # 5 to 8 lie on their side
    return (image.height, image.width) if turned else (image.width, image.height)


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for an image file that cannot be decoded."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path}: cannot be read as an image; truncated or damaged? ({reason})")


def has_classes(path: Path) -> bool:
    """Whether images lie there in folders of classes, in `path/train` or in `path`."""
    if not path.is_dir():
        return False
    return any(map(_images, _folders(path / "train" if _is_divided(path) else path)))


def _is_divided(path: Path) -> bool:
    """Whether `train` is a split rather than a class of that name: it holds folders, no images."""
    train = path / "train"
    return train.is_dir() and bool(_folders(train)) and not _images(train)


def _folders(path: Path) -> list[Path]:
    return sorted(
        child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def _images(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.suffix.lower() in SUFFIXES and not child.name.startswith(".") and child.is_file()
    )


def _class_names(root: Path) -> tuple[str, ...]:
    names = tuple(folder.name for folder in _folders(root))
    if not names:
        raise DataError(
            f"{root}: holds no folders named after classes, with .png, .jpg, .webp or .bmp images"
        )
    for name in names:
        if name.encode("utf-8", "replace").decode() != name:
            raise DataError(
                f"{root}: the name of the class {name!r} is no UTF-8; rename the folder"
            )
    return names


def _list_files(root: Path, names: Sequence[str]) -> Files:
    """All images of a split; a class may have none."""
    paths, labels = [], []
    for label, name in enumerate(names):
        found = _images(root / name) if (root / name).is_dir() else []
        paths += found
        labels += [label] * len(found)
    return Files(tuple(paths), np.array(labels, dtype=np.int64))


def _beside(path: Path, spellings: tuple[str, ...], names: tuple[str, ...]) -> Files | None:
    """The files of the split beside `train`, if there is one."""
    root = next((path / name for name in spellings if (path / name).is_dir()), None)
    if root is None:
        return None
    unknown = sorted({folder.name for folder in _folders(root)} - set(names))
    if unknown:
        raise DataError(f"{root}: class {unknown[0]} is not among those in {path / 'train'}")
    files = _list_files(root, names)
    if not files.paths:
        raise DataError(f"{root}: holds no images")
    return files


def _checked(shape: InputShape) -> InputShape:
    if len(shape) != 3 or shape[0] not in MODES or min(shape) < 1:
        raise DataError(
            f"images are brought to 1xHxW or 3xHxW, not to {format_shape(tuple(shape))}"
        )
    return shape


def _common_shape(paths: Sequence[Path]) -> InputShape:
    """The shape that all images have, from their headers alone."""
    grey, first, size = True, paths[0], (0, 0)
    for path in paths:
        is_grey_too, found = _header(path)
        grey = grey and is_grey_too
        size = found if path is first else size
        if found != size:
            raise DataError(
                f"{path} is {found[0]}x{found[1]}, but {first} is {size[0]}x{size[1]}; "
                "give a size to which all are brought (input_shape)"
            )
    return (1 if grey else 3, size[1], size[0])


def _check_headers(files: Files, shape: InputShape, *, resize: bool) -> None:
    """Refuse what `read_files` would, as far as headers tell: no pixel is decoded."""
    for path in files.paths:
        _, size = _header(path)
        if not resize:
            _check_size(path, size, shape)


def _header(path: Path) -> tuple[bool, tuple[int, int]]:
    """Whether an image is grey, and its width and height once upright."""
    try:
        with Image.open(path) as image:
            return is_grey(image), oriented_size(image)
    except Exception as error:  # pillow's decoders raise many types on a damaged file
        raise unreadable(path, error) from error


def _check_size(path: Path, size: tuple[int, int], shape: InputShape) -> None:
    if size != (shape[2], shape[1]):
        raise DataError(
            f"{path}: is {size[0]}x{size[1]}, unlike the other images ({shape[2]}x{shape[1]}); "
            "give a size to which all are brought"
        )


def _eight_bits(image: Image.Image, where: str) -> Image.Image:
    """A grey image that pillow would clip: the 8 highest of 16 bits; wider numbers if they fit.

    Raises:
        DataError: numbers of 32 bits that are neither 0 to 255 nor 0 to 65,535, or fractions.
    """
    values = np.asarray(image)
    if not image.mode.startswith("I;16"):
        if values.min() < 0 or values.max() > 65_535 or (values != values.round()).any():
            raise DataError(
                f"{where}: an image of mode {image.mode} has values from {values.min():g} to "
                f"{values.max():g}; give it 8 bits a pixel"
            )
        if values.max() <= 255:
            return Image.fromarray(values.astype(np.uint8))
    return Image.fromarray(np.clip(values / 257, 0, 255).round().astype(np.uint8))


def _identity(files: Files, root: Path) -> str:
    """Digest of the names: the images stay unread, and one that is repaired is the same image."""
    names = (os.fsencode(path.relative_to(root).as_posix()) for path in files.paths)
    return hashlib.sha256(b"\n".join(names)).hexdigest()
