"""`Conditions`: what is the same for all contestants."""

from dataclasses import dataclass
from pathlib import Path

from archpress.architecture import Architecture
from archpress.compression.settings import Settings
from archpress.data import ImageData
from archpress.space import Limits


@dataclass(frozen=True)
class Conditions:
    """What is the same for all contestants.

    Attributes:
        source: that is compressed.
        images: all of them; the test split is not for contestants.
        limits: the user's.
        settings: recipes, the batch, and how our embedding is fitted.
        folder: of the comparison.
        device: to train on, as torch knows it.
    """

    source: Architecture
    images: ImageData
    limits: Limits
    settings: Settings
    folder: Path
    device: str
