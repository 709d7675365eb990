"""The official file formats of the named sets: idx, CIFAR's binary version, SVHN's .mat files."""

import io
import math

import numpy as np

from archpress.data.arrays import split_from_arrays
from archpress.data.images import Split
from archpress.errors import DataError

IDX_UNSIGNED_BYTES = 0x08
CIFAR_SHAPE = (3, 32, 32)


def read_idx(content: bytes, where: str) -> np.ndarray:
    """The array of an idx file of unsigned bytes.

    Args:
        content: two zero bytes, the type, the number of axes; each axis as a big-endian 32-bit
            integer; then the values, last axis fastest.
        where: begins the sentence of an error.

    Raises:
        DataError: not an idx file of unsigned bytes, or more or less values than it says.
    """
    start = 4 + 4 * content[3] if len(content) > 3 else 4
    if len(content) < start or content[:3] != bytes([0, 0, IDX_UNSIGNED_BYTES]):
        raise DataError(f"{where}: not an idx file of unsigned bytes, or a truncated one")
    shape = tuple(int(side) for side in np.frombuffer(content[4:start], dtype=">u4"))
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{where}: the idx file says {shape}, but holds {len(content) - start} values; "
            "it is truncated or damaged"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def idx_split(images: bytes, labels: bytes, where: str) -> Split:
    """A split from its two idx files, images `N x H x W` and labels `N`."""
    return split_from_arrays(read_idx(images, where), read_idx(labels, where), where)


def cifar_split(contents: list[bytes], label_bytes: int, where: str) -> Split:
    """A split from files of CIFAR's binary version.

    Args:
        contents: of each file, in order; records of the label, then 3072 bytes red, green, blue.
        label_bytes: 1 for CIFAR-10; 2 for CIFAR-100 (coarse, then fine). The last one counts.
        where: begins the sentence of an error.

    Raises:
        DataError: a file is not a whole number of records.
    """
    size = label_bytes + math.prod(CIFAR_SHAPE)
    for content in contents:
        if not content or len(content) % size:
            raise DataError(
                f"{where}: a file of {len(content)} bytes is not a whole number of records of "
                f"{size} bytes; it is truncated or damaged"
            )
    records = np.frombuffer(b"".join(contents), dtype=np.uint8).reshape(-1, size)
    images = records[:, label_bytes:].reshape(-1, *CIFAR_SHAPE)  # N 3072 -> N C H W
    return split_from_arrays(images, records[:, label_bytes - 1], where)


def svhn_split(content: bytes, where: str) -> Split:
    """A split from a file of SVHN's cropped digits.

    Args:
        content: a MATLAB 5 file with `X`, uint8 `H x W x C x N`, and `y`, `N x 1`, where 10 is
            the digit 0.
        where: begins the sentence of an error.

    Raises:
        DataError: not such a file, or a damaged one.
    """
    from scipy.io import loadmat

    try:
        contents = loadmat(io.BytesIO(content), variable_names=["X", "y"])
        images, labels = contents["X"], contents["y"]
    except Exception as error:  # the reader raises a dozen types on a damaged file
        raise DataError(
            f"{where}: cannot be read as a .mat file with X and y; it is truncated or damaged "
            f"({type(error).__name__})"
        ) from error
    if images.ndim != 4:
        raise DataError(f"{where}: X must be H x W x C x N, not {images.shape}")
    digits = np.where(labels == 10, 0, labels)
    return split_from_arrays(images.transpose(3, 2, 0, 1), digits, where)  # H W C N -> N C H W
