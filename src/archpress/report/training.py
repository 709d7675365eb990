"""`Training`: the command that trains a net of a run to the end."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archpress.data import NAMES
from archpress.report.record import ResultRecord


@dataclass(frozen=True, slots=True)
class Training:
    """What a final training of a run takes.

    Attributes:
        data: name of the images, for people.
        epochs: of the final recipe; None: as the command has them.
        precision: what it computes in.
        augment: how images are varied; None: as the command has it.
        label_smoothing: of the final recipe.
        seed: of the run, by which its images were divided.
    """

    data: str
    epochs: int | None
    precision: str = "float32"
    augment: str | None = None
    label_smoothing: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, result: ResultRecord) -> "Training":
        """That of a run which has ended."""
        return cls.under(result.recipes.get("final", {}), result.data.name, result.seed or 0)

    @classmethod
    def under(cls, recipe: Mapping[str, Any], data: str, seed: int) -> "Training":
        """That of a final recipe, as files have it; what is left out is as the command has it.

        Args:
            recipe: fields of `Recipe`.
            data: name of the images, for people.
            seed: of the run.
        """
        epochs = recipe.get("epochs")
        varied = (("mirror", "flip"), ("shift", "crop"))
        ways = [name for name, field in varied if recipe.get(field)]
        return cls(
            data,
            epochs if isinstance(epochs, int) else None,
            recipe.get("precision", "float32"),
            "-".join(ways) or "none" if recipe else None,
            recipe.get("label_smoothing", 0.0),
            seed,
        )

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
        how = "" if self.augment is None else f" --augment {self.augment}"
        how += f" --label-smoothing {self.label_smoothing:g}" if self.label_smoothing else ""
        how += "" if self.precision == "float32" else f" --precision {self.precision}"
        how += f" --seed {self.seed}" if self.seed else ""
        return f"archpress train {net} --data {data}{how_long}{how} --out trained-{name}"
