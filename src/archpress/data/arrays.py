"""From arrays as people keep them to the tensors of a split: one rule for layouts and ranges."""

import numpy as np
import torch
from torch import Tensor

from archpress.architecture.shape_rules import format_shape
from archpress.data.images import InputShape, Split
from archpress.errors import DataError

CHANNELS = (1, 3)


def images_tensor(array: np.ndarray, where: str) -> Tensor:
    """Images as `N x C x H x W`, uint8.

    Args:
        array: `N x H x W`, `N x H x W x C` or `N x C x H x W`, where C is the axis that is 1 or
            3 wide; integers in 0..255, or floats in [0, 1], which are rounded to 256 levels.
        where: begins the sentence of an error.

    Raises:
        DataError: the shape, the kind of numbers or their range is another.

    Example:
        >>> images_tensor(np.ones((5, 8, 9, 3)), "doc").shape
        torch.Size([5, 3, 8, 9])
    """
    images_shape(array, where)
    planes = _channels_first(array, where)
    return torch.from_numpy(np.require(_as_bytes(planes, where), requirements=["C", "W"]))


def images_shape(array: np.ndarray, where: str) -> InputShape:
    """Shape (C, H, W) of one image, by the shape and the kind of numbers alone.

    Args:
        array: as `images_tensor` takes it; its values are not looked at.
        where: begins the sentence of an error.

    Raises:
        DataError: the array is empty, or its shape or kind of numbers is another.
    """
    if not array.size:
        raise DataError(f"{where}: holds no images (its shape is {array.shape})")
    _, channels, height, width = _channels_first(array, where).shape
    if array.dtype.kind not in "iuf":
        raise DataError(f"{where}: images must be uint8 or floats in [0, 1], not {array.dtype}")
    return (channels, height, width)


def labels_tensor(array: np.ndarray, count: int, where: str) -> Tensor:
    """Labels as `N`, int64.

    Args:
        array: `N` or `N x 1` integers.
        count: number of images, N.
        where: begins the sentence of an error.

    Raises:
        DataError: the labels are not as many integers as there are images.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # N x 1 -> N
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"{where}: labels must be one integer an image, "
            f"not {array.dtype} of shape {array.shape}"
        )
    if len(array) != count:
        raise DataError(f"{where}: {count} images, but {len(array)} labels")
    return torch.from_numpy(array.astype(np.int64))


def split_from_arrays(images: np.ndarray, labels: np.ndarray, where: str) -> Split:
    """A split from arrays; see `images_tensor` and `labels_tensor`."""
    tensor = images_tensor(images, where)
    return Split(tensor, labels_tensor(labels, len(tensor), where))


def check_shape(found: InputShape, wanted: InputShape | None, where: str) -> None:
    """Refuse images of another shape than asked for, if any was asked for.

    Raises:
        DataError: naming both shapes.
    """
    if wanted is not None and found != tuple(wanted):
        raise DataError(
            f"{where}: the images are {format_shape(found)}, not {format_shape(wanted)}; "
            "only images in a folder are resized"
        )


def _channels_first(array: np.ndarray, where: str) -> np.ndarray:
    """`N x C x H x W`, whichever of the three layouts came in."""
    if array.ndim == 3:
        return array[:, None]  # N H W -> N C H W
    first = array.ndim == 4 and array.shape[1] in CHANNELS
    last = array.ndim == 4 and array.shape[3] in CHANNELS
    if array.ndim == 4 and not first and not last:  # of many channels, but fewer than pixels
        first = array.shape[1] < min(array.shape[2:])
        last = array.shape[3] < min(array.shape[1:3])
    if first == last:
        raise DataError(
            f"{where}: images must be N x H x W, N x H x W x C or N x C x H x W with one axis C "
            f"that is 1 or 3 wide or else narrower than height and width, not {array.shape}"
        )
    return array if first else array.transpose(0, 3, 1, 2)  # N H W C -> N C H W


def _as_bytes(array: np.ndarray, where: str) -> np.ndarray:
    """The same grey levels as uint8."""
    if array.dtype == np.uint8:
        return array
    low, high = array.min(), array.max()
    top = 1 if array.dtype.kind == "f" else 255
    if not (low >= 0 and high <= top):  # written so that NaN is refused too
        raise DataError(
            f"{where}: values of {array.dtype} images must be in 0..{top}, but are in "
            f"{low:g}..{high:g}; give them as they were before any normalisation"
        )
    return np.rint(array * 255).astype(np.uint8) if top == 1 else array.astype(np.uint8)
