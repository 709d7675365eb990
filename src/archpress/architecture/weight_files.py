"""Weights as files of safetensors, whole or not there."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from archpress.whole_files import whole_file


def write_weights(
    weights: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write them from wherever they lie.

    Args:
        weights: by name.
        path: of the file.
        metadata: that it tells beside them.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    there = {name: value.cpu().contiguous() for name, value in weights.items()}
    with whole_file(path) as unfinished:
        save_file(there, unfinished, metadata)
