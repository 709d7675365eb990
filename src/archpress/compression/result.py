"""`Result`: what a compression gives back, as values and as `result.json`."""

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from archpress.architecture import Architecture
from archpress.architecture.network import Network
from archpress.compression.network_files import read_network
from archpress.compression.notebook import result_html
from archpress.errors import StoreError
from archpress.paths import typed_path
from archpress.run_files import COMPRESSED_FILE, RESULT_FILE
from archpress.version import __version__

FORMAT, FORMAT_VERSION = "archpress-result", 1


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation over n seeds; the deviation of one seed is 0."""

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value a seed."""
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        return cls(mean, math.sqrt(squares / max(len(values) - 1, 1)), len(values))

    def __str__(self) -> str:
        spread = f" ± {self.std:.2%}" if self.n > 1 else ""
        return f"{self.mean:.2%}{spread} (n={self.n})"


@dataclass(frozen=True, slots=True)
class AsGiven:
    """What is known of a net that came with its weights, and was not trained here.

    Attributes:
        weights: 16 hex digits that tell them from others.
        normalisation: of its images, by name or as mean/std.
        tried: accuracy on validation images, 1,000 at most, by normalisation; empty where the user
            said which it is.
    """

    weights: str
    normalisation: str
    tried: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """A net with what was measured of it.

    Attributes:
        name: of the net, for people.
        parameters, macs, peak_memory, layers: exact.
        latency: a `Latency` as plain values, on this device.
        validation_accuracy: over the seeds of the final training.
        test_accuracy: likewise; None where the data has no test split.
        distilled: whether the final training used outputs of the source and the finalists.
        given: of a net that was not trained here; its accuracies have n = 1.
    """

    name: str
    parameters: int
    macs: int
    peak_memory: int
    layers: int
    latency: dict[str, Any]
    validation_accuracy: Spread
    test_accuracy: Spread | None
    distilled: bool = False
    given: AsGiven | None = None

    def told(self, accuracy: Spread) -> str:
        """One of its accuracies, for people."""
        return f"{accuracy.mean:.2%}, as given, not trained here" if self.given else str(accuracy)


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """One limit: allowed, found, met."""

    name: str
    limit: float
    value: float
    met: bool


@dataclass(frozen=True)
class Result:
    """The outcome of a compression.

    Attributes:
        met: whether all limits are met.
        sentence: the outcome in words.
        limits: each limit with what was found.
        source, compressed: the nets; `reference` is a plain hand-made net of the same size, trained
            beside them, or None.
        compression: the source's parameters over the compressed net's.
        trials: how many were "trained", "reused" and "failed".
        seconds: of each stage.
        recipes: "trial", "final" and, where the settings have one, "semifinal", with their keys.
        data: name, key and counts of the images.
        surrogate: rank correlation, calibration and reconstruction; values may be None.
        trust: what was guessed against what was measured afterwards, by round and along descents.
        latency: conditions of the times, and each trained net timed beside what the others make of
            it: "points", pairs of predicted and measured milliseconds, with their "kendall".
        versions: of what it was made with.
        seed: of the run.
        folder: where it lies.
    """

    met: bool
    sentence: str
    limits: tuple[LimitCheck, ...]
    source: Measured
    compressed: Measured
    reference: Measured | None
    compression: float
    trials: dict[str, int]
    seconds: dict[str, float]
    recipes: dict[str, dict[str, Any]]
    data: dict[str, Any]
    surrogate: dict[str, float | None]
    trust: dict[str, Any]
    latency: dict[str, Any]
    versions: dict[str, str]
    seed: int
    folder: Path

    @property
    def architecture(self) -> Architecture:
        """The compressed architecture."""
        return Architecture.load(self.folder / COMPRESSED_FILE)

    def build(self) -> Network:
        """The compressed network with its trained weights, in evaluation mode.

        Raises:
            StoreError: the weights cannot be read.
            ArchitectureError: the architecture cannot be, or they do not fit it.
        """
        return read_network(self.folder)

    def _repr_html_(self) -> str:
        return result_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in `result.json`."""
        content = asdict(self)
        del content["folder"]
        return {"format": FORMAT, "version": FORMAT_VERSION, **content}

    @classmethod
    def load(cls, folder: Path | str) -> "Result":
        """The result in a run folder.

        Raises:
            StoreError: there is none, or it is not one that this version reads.
        """
        folder = typed_path(folder)
        path = folder / RESULT_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read the result {path}: {error}") from None
        try:
            if content.pop("format") == FORMAT and content.pop("version") <= FORMAT_VERSION:
                return cls(**_parsed(content), folder=folder)
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # as is told of any other version
        raise StoreError(f"{path} is no result that this version of archpress reads")


def _parsed(content: dict[str, Any]) -> dict[str, Any]:
    reference = content["reference"]
    return {
        "trust": {},
        "latency": {},
        **content,
        "source": _measured(content["source"]),
        "compressed": _measured(content["compressed"]),
        "reference": _measured(reference) if reference else None,
        "limits": tuple(LimitCheck(**row) for row in content["limits"]),
    }


def _measured(content: dict[str, Any]) -> Measured:
    test = content.pop("test_accuracy")
    validation = Spread(**content.pop("validation_accuracy"))
    given = content.pop("given", None)
    return Measured(
        **content,
        validation_accuracy=validation,
        test_accuracy=Spread(**test) if test else None,
        given=AsGiven(**given) if given else None,
    )


def versions() -> dict[str, str]:
    """Of what a result was made with."""
    packages = {name: version(name) for name in ("torch", "numpy", "scipy")}
    return {"archpress": __version__, "python": platform.python_version(), **packages}
