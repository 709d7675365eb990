"""Ours against another arm, seed by seed, and what that comes to in one sentence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import t as student
from scipy.stats import wilcoxon

from archpress.comparison.contestants import OURS
from archpress.comparison.curves import Goal
from archpress.compression.result import Spread

LEAST_FOR_WILCOXON = 6  # pairs; with fewer no outcome can reach 5 %


@dataclass(frozen=True, slots=True)
class Paired:
    """Differences of ours minus another arm, over the seeds that both finished.

    Attributes:
        arm: the other.
        n: pairs.
        mean: of the differences, a fraction or times.
        standard_error: of the mean; None for one pair.
        t_test: two-sided p-value of the paired t-test; None for one pair, or where all differences
            are equal.
        wilcoxon: two-sided p-value of the signed-rank test; None below six pairs that differ.
    """

    arm: str
    n: int
    mean: float
    standard_error: float | None
    t_test: float | None
    wilcoxon: float | None


def paired(arm: str, ours: Mapping[int, float], other: Mapping[int, float]) -> Paired | None:
    """Compare seed by seed; None where no seed is in both.

    Args:
        arm: name of the other.
        ours: seed -> what was reached.
        other: likewise.
    """
    both = sorted(ours.keys() & other.keys())
    differences = [round(ours[seed] - other[seed], 9) for seed in both]  # equal ones are ties
    if not differences:
        return None
    spread = Spread.of(differences)
    if spread.n == 1:
        return Paired(arm, 1, spread.mean, None, None, None)
    error = spread.std / math.sqrt(spread.n)
    p_value = None
    if error > 1e-12:  # else rounding alone
        p_value = float(2 * student.sf(abs(spread.mean) / error, spread.n - 1))
    return Paired(arm, spread.n, spread.mean, error, p_value, _signed_ranks(differences))


def _signed_ranks(differences: list[float]) -> float | None:
    apart = [one for one in differences if one != 0]
    if len(apart) < LEAST_FOR_WILCOXON:
        return None
    tied = len({abs(one) for one in apart}) < len(apart)
    return float(wilcoxon(apart, method="approx" if tied else "exact").pvalue)


def tell(
    pair: Paired,
    others: int,
    goal: Goal,
    images: str,
    *,
    ours: str = OURS,
) -> str:
    """Whether ours is above the best of the others, in one sentence.

    Args:
        pair: against the best of the others.
        others: how many they are.
        goal: what is compared.
        images: that the final accuracies are of.
        ours: name of the arm that is ours.
    """

    def say(value: float) -> str:
        return f"{abs(value) * (100 if goal == 'accuracy' else 1):.2f}"

    what = f"points of {images} accuracy" if goal == "accuracy" else "times in compression"
    rival = f"{pair.arm}, the best of {others} others" if others > 1 else pair.arm
    if pair.standard_error is None:
        spread = "on one seed, which says nothing of the spread"
        size = ""
    else:
        error = say(pair.standard_error)
        spread = f"(paired difference over {pair.n} seeds, standard error {error})"
        is_clear = abs(pair.mean) > 2 * pair.standard_error
        size = "more than two standard errors" if is_clear else "no more than two standard errors"
    if round(pair.mean, 6) > 0:
        tail = f": a difference of {size}" if size else ""
        return f"{ours} is {say(pair.mean)} {what} above {rival} {spread}{tail}."
    below = f"{say(pair.mean)} {what} below" if round(pair.mean, 6) else "as good"
    tail = f", {size}" if size and round(pair.mean, 6) else ""
    return f"{ours} is not above {rival}: it is {below} {spread}{tail}."
