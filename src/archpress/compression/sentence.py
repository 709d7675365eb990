"""The outcome in one sentence that a person would say."""

import math
from collections.abc import Mapping, Sequence

from archpress.compression.result import LimitCheck, Measured, Spread
from archpress.data import Split

FASTER = 1.05  # ratios of latency below are within the noise of measuring
MANY_FAILED = 0.25  # share of the trials of a run above which a search had little to go by


def tell(
    checks: Sequence[LimitCheck],
    source: Measured,
    compressed: Measured,
    *,
    is_plain: bool = False,
    is_source: bool = False,
    trials: Mapping[str, int] | None = None,
    validation: Split | None = None,
) -> str:
    """One sentence: sizes, accuracies, and what was not met; another on what is odd about it.

    Args:
        checks: of all limits.
        source: as it was measured.
        compressed: likewise.
        is_plain: whether the result is a hand-made net; then a second sentence says so.
        is_source: whether it is the source itself, which may keep the limits; likewise.
        trials: of this run, as `Result.trials`; where many failed, a sentence says so.
        validation: the images; where always naming the largest class is as good as the result on
            them, within the error, a last sentence says so.
    """
    test = source.test_accuracy is not None and compressed.test_accuracy is not None
    before = source.test_accuracy or source.validation_accuracy
    after = compressed.test_accuracy or compressed.validation_accuracy
    ratio = source.parameters / compressed.parameters
    speed = source.latency["median_seconds"] / max(compressed.latency["median_seconds"], 1e-9)
    facts = (
        f"{source.name} became {ratio:.1f}x smaller ({source.parameters:,} to "
        f"{compressed.parameters:,} parameters) and "
        f"{f'{speed:.1f}x faster' if speed >= FASTER else 'not faster'}, {_change(before, after)} "
        f"on {'test' if test else 'validation'} images ({after} against {source.told(before)})"
    )
    missed = [check for check in checks if not check.met]
    odd = " It is a plain hand-made net: no net of the search was better." if is_plain else ""
    if is_source:
        odd = " It is the source itself, which keeps the limits: no net of the search was better."
    odd += _failures(trials or {})
    if validation is not None:
        odd += _chance(compressed.validation_accuracy.mean, validation)
    if not missed:
        return f"All limits met: {facts}.{odd}"
    named = ", ".join(f"{c.name} {_told(c, c.limit)} but {_told(c, c.value)}" for c in missed)
    return f"Not met: {named}; the closest: {facts}.{odd}"


def _chance(accuracy: float, validation: Split) -> str:
    largest = validation.largest_share
    error = math.sqrt(largest * (1 - largest) / len(validation))
    if accuracy > largest + 2 * error:
        return ""
    return (
        f" It has {accuracy:.1%} of the validation images right, and always naming the largest "
        f"class {largest:.1%}: it has learned nothing, or too little to be seen."
    )


def _failures(trials: Mapping[str, int]) -> str:
    failed, made = trials.get("failed", 0), trials.get("trained", 0) + trials.get("reused", 0)
    if failed <= MANY_FAILED * made:
        return ""
    return (
        f" {failed} of {made} trials failed, so the search had little to go by: `archpress trials` "
        "tells why."
    )


def _change(before: Spread, after: Spread) -> str:
    points = 100 * (after.mean - before.mean)
    return f"{abs(points):.2f} points {'more' if points >= 0 else 'less'} accurate"


def _told(check: LimitCheck, value: float) -> str:
    if check.name == "max_latency":
        return f"{value:.3g} ms"
    return f"{value:,.0f}" if value >= 1 else f"{value:.4f}"
