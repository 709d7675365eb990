"""The named sets: what they are, where they come from, and how each is read.

The official division is kept: validation is carved from the official training images only, and
the official test files are not opened before the test split is read.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from archpress.data import class_names
from archpress.data.arrays import split_from_arrays
from archpress.data.formats import cifar_split, idx_split, svhn_split
from archpress.data.images import InputShape, Split
from archpress.data.npz import npz_source
from archpress.data.places import VARIABLE, DataFiles, cache_folder, download, folders_of
from archpress.data.split import ImageSource, carve_test
from archpress.errors import DataError

SAMPLE_FOLDER = Path(__file__).parent / "sample"


@dataclass(frozen=True, slots=True)
class NamedSet:
    """One official set.

    Attributes:
        input_shape: (C, H, W).
        class_names: in the order of the labels.
        counts: official numbers of images for training and for testing.
        format: how the files are read.
        train_files: names of the official files, unzipped, in order.
        test_files: likewise; opened only to read the test split.
        downloads: each file to download, with its MD5 as its authors or torchvision give it.
        addresses: folders on the network that have them, the best first.
        nested: folders that an archive or torchvision makes for these files.
        first_labels: of the official training images; tells sets with equal file names apart.
    """

    input_shape: InputShape
    class_names: tuple[str, ...]
    counts: tuple[int, int]
    format: Literal["idx", "cifar10", "cifar100", "svhn"]
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    downloads: dict[str, str]
    addresses: tuple[str, ...]
    nested: tuple[str, ...] = ()
    first_labels: bytes = b""

    @property
    def archive(self) -> str | None:
        """Name of the archive that holds the files, if they come in one."""
        return next((file for file in self.downloads if file.endswith(".tar.gz")), None)


def _idx_files(part: str) -> tuple[str, ...]:
    return (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")


OFFICIAL: dict[str, NamedSet] = {
    "fashion-mnist": NamedSet(
        input_shape=(1, 28, 28),
        class_names=class_names.FASHION_MNIST,
        counts=(60_000, 10_000),
        format="idx",
        train_files=_idx_files("train"),
        test_files=_idx_files("t10k"),
        downloads={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        addresses=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        nested=("FashionMNIST/raw",),
        first_labels=bytes([9, 0, 0, 3, 0, 2, 7, 2, 5, 5]),
    ),
    "mnist": NamedSet(
        input_shape=(1, 28, 28),
        class_names=class_names.DIGITS,
        counts=(60_000, 10_000),
        format="idx",
        train_files=_idx_files("train"),
        test_files=_idx_files("t10k"),
        downloads={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        addresses=(  # the author's own page no longer serves the files to programs
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        nested=("MNIST/raw",),
        first_labels=bytes([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]),
    ),
    "cifar10": NamedSet(
        input_shape=(3, 32, 32),
        class_names=class_names.CIFAR10,
        counts=(50_000, 10_000),
        format="cifar10",
        train_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test_files=("test_batch.bin",),
        downloads={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        addresses=("https://www.cs.toronto.edu/~kriz/",),
        nested=("cifar-10-batches-bin",),
    ),
    "cifar100": NamedSet(
        input_shape=(3, 32, 32),
        class_names=class_names.CIFAR100,
        counts=(50_000, 10_000),
        format="cifar100",
        train_files=("train.bin",),
        test_files=("test.bin",),
        downloads={"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
        addresses=("https://www.cs.toronto.edu/~kriz/",),
        nested=("cifar-100-binary",),
    ),
    "svhn": NamedSet(
        input_shape=(3, 32, 32),
        class_names=class_names.DIGITS,
        counts=(73_257, 26_032),
        format="svhn",
        train_files=("train_32x32.mat",),
        test_files=("test_32x32.mat",),
        downloads={
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        },
        addresses=("http://ufldl.stanford.edu/housenumbers/",),
    ),
}
SAMPLE, DIGITS = "fashion-mnist-sample", "digits"
NAMES = (SAMPLE, DIGITS, *OFFICIAL)


@dataclass(frozen=True, slots=True)
class Listing:
    """A line about a named set.

    Attributes:
        name: what to give to `load_data`.
        present: whether it can be read without a download or an installation.
        where: the file or folder it was found in, or how to get it.
        input_shape: (C, H, W).
        classes: number of classes.
        train_images: for training and validation together.
        test_images: kept apart.
    """

    name: str
    present: bool
    where: str
    input_shape: InputShape
    classes: int
    train_images: int
    test_images: int


def list_named() -> list[Listing]:
    """All named sets, where each was found or how to get it; downloads nothing.

    Raises:
        DataError: the environment variable names no folder.
    """
    has_digits = _has_scikit_learn()
    digits = "scikit-learn" if has_digits else "pip install 'archpress[digits]'"
    listings = [
        Listing(SAMPLE, True, "in this package", (1, 28, 28), 10, 12_000, 2_000),
        Listing(DIGITS, has_digits, digits, (1, 8, 8), 10, 1_438, 359),
    ]
    for name, named in OFFICIAL.items():
        found = find(name)
        where = f"downloaded when first used, from {named.addresses[0]}"
        if found is not None:
            where = str(found.path if isinstance(found, DataFiles) else found)
        listings.append(
            Listing(
                name,
                found is not None,
                where,
                named.input_shape,
                len(named.class_names),
                *named.counts,
            )
        )
    return listings


def named_source(name: str) -> ImageSource:
    """A named set, downloaded if it is nowhere on this machine.

    Args:
        name: one of `NAMES`.

    Raises:
        DataError: it is not here and cannot be downloaded, or its files are damaged.
    """
    if name == SAMPLE:
        return _sample_source()
    if name == DIGITS:
        return _digits_source()
    found = find(name) or _fetch(name)
    named = OFFICIAL[name]
    if isinstance(found, Path):
        return npz_source(found, name=name, class_names=named.class_names)
    return ImageSource(
        name=name,
        train=_read(named, found, named.train_files),
        class_names=named.class_names,
        test_reader=partial(_read, named, found, named.test_files),
        test_identity=f"official test images of {name}",
    )


def find(name: str) -> DataFiles | Path | None:
    """The first place that has an official set: its files, its archive, or NAME.npz.

    Raises:
        DataError: the environment variable names no folder.
    """
    named = OFFICIAL[name]
    files = named.train_files + named.test_files
    for folder in folders_of(name, named.nested):
        places = [DataFiles(folder)]
        if named.archive is not None:
            places.append(DataFiles(folder / named.archive))
        for place in places:
            if place.holds(files) and not _is_another(name, place):
                return place
        if (npz := folder / f"{name}.npz").is_file():
            return npz
    return None


def _is_another(name: str, place: DataFiles) -> bool:
    """Whether the files belong to another set whose files have the same names."""
    if OFFICIAL[name].format != "idx":
        return False
    try:
        content = place.read(OFFICIAL[name].train_files[1])
    except DataError:
        return False  # damaged: whoever reads it says so
    first = content[8:18]  # after the header of the idx file
    return any(
        first == other.first_labels
        for other_name, other in OFFICIAL.items()
        if other_name != name and other.first_labels
    )


def _fetch(name: str) -> DataFiles:
    """Download an official set into the user's cache."""
    named, folder = OFFICIAL[name], cache_folder() / name
    for file, md5 in named.downloads.items():
        reasons = []
        for address in named.addresses:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                download(address, file, md5, folder)
                break
            except (OSError, ValueError) as error:
                reasons.append(f"{address}{file} ({type(error).__name__})")
        else:
            raise DataError(
                f"{name} is not on this machine and could not be downloaded from "
                f"{' or '.join(reasons)}; put {', '.join(named.downloads)} into {folder} or into "
                f"a folder {name} under the one that {VARIABLE} names"
            )
    return DataFiles(folder / named.archive) if named.archive else DataFiles(folder)


def _read(named: NamedSet, place: DataFiles, files: tuple[str, ...]) -> Split:
    """One split of an official set from its files."""
    contents = place.read_all(files)
    where = f"{place.path} ({files[0]})"
    match named.format:
        case "idx":
            split = idx_split(contents[0], contents[1], where)
        case "cifar10":
            split = cifar_split(contents, 1, where)
        case "cifar100":
            split = cifar_split(contents, 2, where)
        case "svhn":
            split = svhn_split(contents[0], where)
    return split


def _sample_source() -> ImageSource:
    return ImageSource(
        name=SAMPLE,
        train=_read_sample("train"),
        class_names=class_names.FASHION_MNIST,
        test_reader=partial(_read_sample, "test"),
        test_identity=f"test images of {SAMPLE}",
    )


def _read_sample(part: Literal["train", "test"]) -> Split:
    """One split of the packaged sample, from its mosaic of images in the order of their classes."""
    from PIL import Image

    channels, height, width = OFFICIAL["fashion-mnist"].input_shape
    with Image.open(SAMPLE_FOLDER / f"{part}.png") as mosaic:
        pixels = np.asarray(mosaic)
    columns = pixels.shape[1] // width
    tiles = pixels.reshape(-1, height, columns, width).transpose(0, 2, 1, 3)
    images = np.ascontiguousarray(tiles).reshape(-1, channels, height, width)
    classes = len(class_names.FASHION_MNIST)
    labels = np.repeat(np.arange(classes), len(images) // classes)
    return Split(torch.from_numpy(images), torch.from_numpy(labels))


def _has_scikit_learn() -> bool:
    from importlib.util import find_spec

    return find_spec("sklearn") is not None


def _digits_source() -> ImageSource:
    whole = _read_digits()
    stay, held = carve_test(whole.labels.numpy())
    return ImageSource(
        name=DIGITS,
        train=whole.take(stay),
        class_names=class_names.DIGITS,
        test_reader=partial(_read_digits_test, held),
        test_identity=f"test images carved from {DIGITS}",
    )


def _read_digits_test(held: np.ndarray) -> Split:
    return _read_digits().take(held)


def _read_digits() -> Split:
    """All of scikit-learn's digits; their 17 grey levels are spread over 0..255."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "the data 'digits' come with scikit-learn, which is not installed: "
            "pip install 'archpress[digits]'"
        ) from error
    digits = load_digits()
    levels = math.ceil(digits.images.max())
    return split_from_arrays(digits.images / levels, digits.target.astype(np.int64), DIGITS)
