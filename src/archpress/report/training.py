"""The command that trains a net of a run to the end."""

import shlex

from archpress.data import NAMES
from archpress.report.record import ResultRecord


def needs_data(result: ResultRecord) -> bool:
    """Whether commands have a word in the place of images without a name."""
    return result.data.name not in NAMES


def train_command(result: ResultRecord, net: str, name: str) -> str:
    """The command, for the folder of the run.

    Args:
        result: of the run; its images and the epochs of its final recipe are used.
        net: as `archpress train` takes it.
        name: of what is trained, for its folder.
    """
    data = "DATA" if needs_data(result) else result.data.name
    epochs = result.recipes.get("final", {}).get("epochs")
    how_long = f" --epochs {epochs}" if isinstance(epochs, int) else ""
    return f"archpress train {net} --data {shlex.quote(data)}{how_long} --out trained-{name}"
