"""What accuracies of few validation images are expected to be on others."""

import math
from collections.abc import Sequence

import numpy as np

from archpress.evaluation.trial import Trial

LEAST_COMPARED = 4  # a line through three says nothing of what lies off it
USUAL_SLOPE = 0.5  # of a line through errors and losses, in mean error over mean loss
NEAR = 5.0  # standard errors below the best: accuracies that noise alone does not bring


def expected_accuracies(trials: Sequence[Trial], images: int) -> list[float]:
    """Accuracies with less of the noise that few images bring, to choose by.

    A loss tells more of an image than right or wrong does. So a line through losses and accuracies
    says what to expect, and what of an accuracy is off the line is believed as far as it varies
    more than chance has it: hardly with a thousand images, nearly whole with a hundred thousand.
    Few trials say little of the slope either: it is drawn to that of errors which are proportional
    to losses, halved, the more the noisier the accuracies are.

    Args:
        trials: done, all under one recipe.
        images: that they were validated on.

    Returns:
        In their order; as measured where few trials are near the best, and for those that are not.

    Source:
        Fay and Herriot, *Estimates of income for small places* (1979), equal variances.
    """
    measured = np.array([trial.accuracy_or(0.0) for trial in trials])
    losses = np.array([trial.metrics.get("validation_loss", math.nan) for trial in trials])
    best = measured.max(initial=0.0)
    noise = best * (1 - best) / images
    near = measured >= best - NEAR * math.sqrt(noise)
    if near.sum() < LEAST_COMPARED or not np.isfinite(losses[near]).all():
        return list(map(float, measured))
    accuracies, gains = measured[near], losses[near].mean() - losses[near]
    usual = USUAL_SLOPE * (1 - accuracies.mean()) / max(losses[near].mean(), 1e-12)
    weight = noise / max(usual, 1e-12) ** 2
    slope = (gains @ accuracies + weight * usual) / max(gains @ gains + weight, 1e-12)
    slope = max(0.0, slope)
    line = accuracies.mean() + slope * gains
    off = accuracies - line
    varies = off @ off / (len(off) - 2)
    believed = max(0.0, varies - noise) / max(varies, 1e-12)
    measured[near] = line + believed * off
    return list(map(float, measured))


def noise_of_difference(accuracy: float, images: int) -> float:
    """Standard error of the difference of two such accuracies, each of so many images.

    Args:
        accuracy: near both; all or nothing right is taken for one image from it.
        images: that were looked at.
    """
    share = min(max(accuracy, 1 / images), 1 - 1 / images)
    return math.sqrt(2 * share * (1 - share) / images)
