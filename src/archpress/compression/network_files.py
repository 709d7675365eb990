"""The files of a finished network: what it is, its weights, and its code for PyTorch alone."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from archpress.architecture import Architecture
from archpress.architecture.blocks import as_built, as_written
from archpress.architecture.export import Preprocessing, to_source
from archpress.architecture.file_size import SEED_DIGITS, SPLIT_SEED
from archpress.architecture.network import Network, build, load_weights
from archpress.architecture.weight_files import write_weights
from archpress.data import ImageData
from archpress.errors import StoreError
from archpress.evaluation import Normalisation
from archpress.run_files import (
    CODE_FILE,
    COMPRESSED_FILE,
    REPORT_FILE,
    RESULT_FILE,
    TORCH_WEIGHTS_FILE,
    WEIGHTS_FILE,
)
from archpress.whole_files import whole_file, write_text


def write_network(
    folder: Path,
    architecture: Architecture,
    network: Network,
    data: ImageData,
    normalisation: Normalisation,
) -> None:
    """`compressed.json`, `network.py`, `weights.safetensors` and `weights.pt`.

    A result and a report that are there tell of the network before, and are taken away.

    Args:
        folder: of the run.
        architecture: of the network.
        network: trained.
        data: whose classes `network.py` tells. The weights' file tells the seed by which they were
            divided, so that nobody takes training images for validation images later.
        normalisation: of the images that the network reads, which `network.py` tells.
    """
    for name in (RESULT_FILE, REPORT_FILE):
        (folder / name).unlink(missing_ok=True)
    preprocessing = Preprocessing(normalisation.mean, normalisation.std, data.class_names)
    write_text(folder / COMPRESSED_FILE, architecture.to_json())
    write_text(folder / CODE_FILE, to_source(architecture, preprocessing))
    state = as_written(architecture, network.state_dict())
    seed = "" if data.split_seed is None else f"{data.split_seed:0{SEED_DIGITS}d}"
    about = {SPLIT_SEED: seed.ljust(SEED_DIGITS)}
    try:
        write_weights(state, folder / WEIGHTS_FILE, about)
        with whole_file(folder / TORCH_WEIGHTS_FILE) as unfinished:
            torch.save({name: value.contiguous() for name, value in state.items()}, unfinished)
    except (SafetensorError, RuntimeError) as error:  # a full disk, as both libraries tell it
        reason = str(error).splitlines()[0]
        raise StoreError(f"cannot write the weights into {folder}: {reason}") from None


def read_network(folder: Path) -> Network:
    """What `write_network` wrote, with its weights, in evaluation mode, on the CPU.

    Raises:
        StoreError: the weights cannot be read.
        ArchitectureError: the architecture cannot be, or they do not fit it.
    """
    architecture, path = Architecture.load(folder / COMPRESSED_FILE), folder / WEIGHTS_FILE
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"cannot read {path}: {error}") from None
    network = build(architecture)
    load_weights(network, as_built(architecture, weights), where=str(path))
    return network.eval()
