"""`Training`: the command that trains a net of a run to the end."""

import shlex
from dataclasses import dataclass

from archpress.data import NAMES
from archpress.report.record import ResultRecord


@dataclass(frozen=True, slots=True)
class Training:
    """What a final training of a run takes.

    Attributes:
        data: name of the images, for people.
        epochs: of the final recipe; None: as the command has them.
    """

    data: str
    epochs: int | None
    precision: str = "float32"

    @classmethod
    def of(cls, result: ResultRecord) -> "Training":
        """That of a run which has ended."""
        recipe = result.recipes.get("final", {})
        epochs = recipe.get("epochs")
        precision = recipe.get("precision", "float32")
        return cls(result.data.name, epochs if isinstance(epochs, int) else None, precision)

    @property
    def needs_data(self) -> bool:
        """Whether commands have a word in the place of images without a name."""
        return self.data not in NAMES

    def command(self, net: str, name: str) -> str:
        """The command, for the folder where the net is.

        Args:
            net: as `archpress train` takes it.
            name: of what is trained, for its folder.
        """
        data = "DATA" if self.needs_data else shlex.quote(self.data)
        how_long = "" if self.epochs is None else f" --epochs {self.epochs}"
        rounded = "" if self.precision == "float32" else f" --precision {self.precision}"
        return f"archpress train {net} --data {data}{how_long}{rounded} --out trained-{name}"
