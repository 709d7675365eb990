"""The network of a finished `compress` or `train`, with what its images need."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from archpress.architecture import Architecture
from archpress.architecture.export import Preprocessing, read_preprocessing
from archpress.architecture.file_size import SPLIT_SEED
from archpress.architecture.network import Network
from archpress.compression.network_files import read_network
from archpress.errors import ArchitectureError, StoreError
from archpress.evaluation import Normalisation
from archpress.run_files import CODE_FILE, COMPRESSED_FILE, WEIGHTS_FILE
from archpress.version import __version__


@dataclass(frozen=True, eq=False, slots=True)
class TrainedNet:
    """A network with its weights.

    Attributes:
        network: in evaluation mode, on the CPU.
        preprocessing: of the images that it was trained on.
    """

    network: Network
    preprocessing: Preprocessing

    @property
    def architecture(self) -> Architecture:
        """Of the network."""
        return self.network.architecture

    @property
    def normalisation(self) -> Normalisation:
        """Of the images."""
        return Normalisation(self.preprocessing.mean, self.preprocessing.std)

    def about(self) -> dict[str, str]:
        """What a user of the network's file must know, as texts; lists are JSON."""
        return {
            "archpress_version": __version__,
            "input": "float32 images, B x C x H x W: (pixel / 255 - mean) / std, per channel",
            "output": "B x K logits, in the order of class_names",
            "input_shape": json.dumps(self.architecture.input_shape),
            "mean": json.dumps(self.preprocessing.mean),
            "std": json.dumps(self.preprocessing.std),
            "class_names": json.dumps(self.preprocessing.class_names, ensure_ascii=False),
        }


def read_trained(folder: Path) -> TrainedNet:
    """What a finished `compress` or `train` left in its folder.

    Raises:
        StoreError: a file is missing or cannot be read.
        ArchitectureError: the files do not fit together.
    """
    _check_files(folder)
    network = read_network(folder)
    try:
        preprocessing = read_preprocessing((folder / CODE_FILE).read_text(encoding="utf-8"))
    except (ArchitectureError, UnicodeDecodeError) as error:
        raise ArchitectureError(f"{folder / CODE_FILE}: {error}") from None
    channels = network.architecture.input_shape[0]
    if not len(preprocessing.mean) == len(preprocessing.std) == channels:
        raise ArchitectureError(
            f"{folder / CODE_FILE} has a mean and std of {len(preprocessing.mean)} and "
            f"{len(preprocessing.std)} channels, the network reads {channels}"
        )
    return TrainedNet(network, preprocessing)


def split_seed(folder: Path) -> int | None:
    """The seed by which the network's validation images were told apart; None where none is told.

    Raises:
        StoreError: a file is missing, or the weights cannot be read.
    """
    _check_files(folder)
    weights = folder / WEIGHTS_FILE
    try:
        with safe_open(weights, "pt") as file:
            seed = (file.metadata() or {}).get(SPLIT_SEED, "").strip()
            return int(seed) if seed else None
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(f"cannot read {weights}: {error}") from None


def _check_files(folder: Path) -> None:
    for name in (COMPRESSED_FILE, WEIGHTS_FILE, CODE_FILE):
        if not (folder / name).is_file():
            raise StoreError(f"{folder} holds no finished compress or train: it has no {name}")
