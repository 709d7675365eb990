"""What `result.json` of a run folder holds, checked as it is read."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from archpress.compression.result import FORMAT_VERSION
from archpress.errors import StoreError
from archpress.run_files import RESULT_FILE


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SpreadRecord(_Record):
    """A mean over n trainings, as fractions; a std of 0 says nothing where n is 1."""

    mean: float
    std: float | None = None
    n: int


class LatencyRecord(_Record):
    """Time of one forward pass of `batch` images."""

    median_seconds: float
    iqr_seconds: float
    runs: int
    batch: int
    threads: int
    device: str


class GivenRecord(_Record):
    """Of a net that came with its weights: their digest, and how its images are normalised."""

    weights: str
    normalisation: str
    tried: dict[str, float] = {}


class NetRecord(_Record):
    """One trained net: exact costs, measured time, measured accuracies (fractions)."""

    name: str
    parameters: int
    macs: int  # one image
    peak_memory: int  # bytes of activations, one float32 image
    layers: int
    latency: LatencyRecord | None = None
    validation_accuracy: SpreadRecord | None = None
    test_accuracy: SpreadRecord | None = None
    distilled: bool = False
    given: GivenRecord | None = None


class LimitRecord(_Record):
    """A limit and what became of it; accuracies are fractions, memory is bytes."""

    name: str
    limit: float
    value: float | None = None
    met: bool


class TrialCounts(_Record):
    """How many trials were trained here, taken from the store, and failed."""

    trained: int = 0
    reused: int = 0
    failed: int = 0


class DataRecord(_Record):
    """The images: counts of each split."""

    name: str
    key: str
    train: int
    validation: int
    test: int | None = None
    classes: int
    input_shape: tuple[int, int, int]


class SurrogateRecord(_Record):
    """How well the embedding model did on architectures that it was not fitted on."""

    kendall: float | None = None
    kendall_parameters: float | None = None
    kendall_macs: float | None = None
    n: int | None = None
    within_half: float | None = None
    within_most: float | None = None
    exact_share: float | None = None
    kind_share: float | None = None
    channel_error_octaves: float | None = None
    valid_share: float | None = None
    novel_share: float | None = None


class RoundRecord(_Record):
    """One round's candidates: mean accuracies before and after their training, and the error."""

    number: int
    n: int
    predicted: float
    measured: float
    error: float


class PathRecord(_Record):
    """How well the embedding knows what it decodes to, so many steps down a descent."""

    step: int
    n: int
    octaves: float
    moved: float


class TrustRecord(_Record):
    """What was guessed against what was measured afterwards."""

    rounds: tuple[RoundRecord, ...] = ()
    cycle: float | None = None
    path: tuple[PathRecord, ...] = ()


class TimesRecord(_Record):
    """Nets timed whole, each beside what a model of the device makes of it that the others fitted.

    `error` is the mean relative error, nine of ten predictions are `within` the other; `points` are
    pairs of predicted and measured milliseconds.
    """

    conditions: str = ""
    error: float | None = None
    within: float | None = None
    kendall: float | None = None
    n: int = 0
    points: tuple[tuple[float, float], ...] = ()


class ResultRecord(_Record):
    """All of `result.json`."""

    format: Literal["archpress-result"]
    version: int
    met: bool
    sentence: str
    limits: tuple[LimitRecord, ...] = ()
    source: NetRecord
    compressed: NetRecord | None = None
    reference: NetRecord | None = None
    compression: float | None = None
    trials: TrialCounts = TrialCounts()
    seconds: dict[str, float] = {}
    recipes: dict[str, dict[str, Any]] = {}
    data: DataRecord
    surrogate: SurrogateRecord | None = None
    trust: TrustRecord = TrustRecord()
    latency: TimesRecord = TimesRecord()
    versions: dict[str, str] = {}
    seed: int | None = None


def read_result(run: Path) -> ResultRecord:
    """The result of a run folder.

    Raises:
        StoreError: there is no result yet, it is no JSON, a field is missing or out of range, or
            it was written by a newer version.
    """
    path = run / RESULT_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(
            f"{run} holds no {RESULT_FILE}, so there is nothing to report: the run is not finished"
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}") from None
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise StoreError(
            f"{path} has format version {version}; this archpress reads up to {FORMAT_VERSION}, "
            "a newer one is needed"
        )
    try:
        return ResultRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise StoreError(f"{path}: {place}: {first['msg']} (found {first['input']!r})") from None
