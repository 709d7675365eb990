"""How many architectures a space holds: exactly, or by samples where other costs are limited.

What is counted are the chains of `chains`.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import KINDS
from archpress.errors import SpaceError
from archpress.space.chains import SHORTEST, ChainSampler, ChainState, NextLayer, Rng, Steps
from archpress.space.limits import Limits
from archpress.space.space import SearchSpace

MOST_WORK = 20_000_000  # additions of the exact count; about ten seconds
LEAST_EFFECTIVE = 20.0  # samples
PILOT = 200  # samples that choose the tilt
TILTS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)  # tried


def most_pools(side: int) -> int:
    """Most pools, one after the other, of which each makes an image of this side smaller.

    Raises:
        SpaceError: a side below 1 pixel.

    Source:
        Lemma 3.1: without padding a pool takes off one pixel or more.

    >>> most_pools(28)
    27
    """
    if side < 1:
        raise SpaceError(f"the side of an image must be at least 1 pixel, not {side}")
    return side - 1


def count(space: SearchSpace, max_parameters: int | None = None) -> list[int]:
    """Number of architectures by number of layers, exactly; other costs are not limited.

    Args:
        space: its choices; its limits are not looked at.
        max_parameters: only nets of at most so many; None: all.

    Returns:
        Item `n` is the number of architectures of `n` layers, up to `space.most_layers`.

    Raises:
        SpaceError: with the limit there is too much to add; see `approximate_log10`.

    Source:
        Theorem 3.2: the number is finite.
    """
    steps = Steps(space)
    return _count_all(steps) if max_parameters is None else _count_within(steps, max_parameters)


def _count_all(steps: Steps) -> list[int]:
    """Without a limit channels do not matter to what may follow, so their choices multiply."""
    ways: dict[ChainState, int] = {steps.start: 1}
    found = [0] * SHORTEST
    for _ in range(SHORTEST, steps.space.most_layers + 1):
        following: dict[ChainState, int] = defaultdict(int)
        for place, number in ways.items():
            for (there, chooses_width), layers in steps.ways_from(place).items():
                following[there] += number * layers * (len(steps.widths) if chooses_width else 1)
        ways = following
        found.append(sum(number for place, number in ways.items() if place.has_conv))
    return found


def _count_within(steps: Steps, most: int) -> list[int]:
    """By place, channels and parameters spent so far, the number of ways to come to them."""
    ways: dict[tuple[ChainState, int], dict[int, int]] = {
        (steps.start, steps.space.input_shape[0]): {0: 1}
    }
    found, work = [0] * SHORTEST, 0
    for _ in range(SHORTEST, steps.space.most_layers + 1):
        following: dict[tuple[ChainState, int], dict[int, int]] = defaultdict(dict)
        for (place, channels), spent in ways.items():
            for step, width, cost in _affordable(steps, place, channels, most - min(spent)):
                reached = following[step.place_after(place), width]
                for parameters, number in spent.items():
                    total = parameters + cost
                    if total <= most:
                        reached[total] = reached.get(total, 0) + number
                work += len(spent)
                if work > MOST_WORK:
                    raise SpaceError(
                        f"the exact number of nets of at most {most:,} parameters takes too long "
                        "in this space: lower the limit or the number of layers, or approximate it"
                    )
        ways = following
        found.append(_with_head(steps, ways, most))
    return found


def _affordable(
    steps: Steps, place: ChainState, channels: int, left: int
) -> Iterator[tuple[NextLayer, int, int]]:
    """Next layers, each with its output's channels and its parameters, if these are left."""
    for step in steps.after(place.sides):
        cost = KINDS[step.layer.kind].parameters(step.layer, (channels, *place.sides))
        if not step.widths:
            if cost <= left:
                yield step, channels, cost
            continue
        for width in step.widths:  # a layer's parameters are so many for each of its channels
            if width * cost > left:
                break
            yield step, width, width * cost


def _with_head(steps: Steps, ways: dict[tuple[ChainState, int], dict[int, int]], most: int) -> int:
    """How many of the ways can end here."""
    total = 0
    for (place, channels), spent in ways.items():
        if place.has_conv:
            head = KINDS["linear"].parameters(steps.head, (channels, *place.sides))
            total += sum(number for used, number in spent.items() if used + head <= most)
    return total


@dataclass(frozen=True, slots=True)
class Estimate:
    """Number of architectures that keep limits, as told by samples.

    Attributes:
        log10: of the number; minus infinity where no sample kept the limits.
        error: standard error of `log10`.
        samples: drawn.
        effective: how many samples of equal weight would tell as much; with a few, a few rare nets
            of great weight are likely to be missing, and the number is larger than told.
    """

    log10: float
    error: float
    samples: int
    effective: float

    @property
    def is_lower_bound(self) -> bool:
        """Whether too few samples count to tell more."""
        return self.effective < LEAST_EFFECTIVE


def estimate(space: SearchSpace, limits: Limits, rng: Rng, samples: int = 2000) -> Estimate:
    """The number of architectures within limits on any costs, by weighted samples.

    Chains are drawn with a tilt to few channels, such that a fair share of them keeps the limits,
    and weighed back. Tight limits need more samples than there is time for, which it tells; for
    parameters alone `approximate_log10` is better.

    Args:
        space: its choices; of its limits that on activations counts.
        limits: on costs.
        rng: of the samples.
        samples: to draw.
    """
    sampler = _tilted(space, limits, rng)
    kept = _log_weights(sampler, space, limits, samples, rng)
    if not len(kept):
        return Estimate(-math.inf, math.inf, samples, 0.0)
    weights = np.zeros(samples)
    weights[: len(kept)] = np.exp(kept - kept.max())
    mean = float(weights.mean())
    log10 = (sampler.log_total + float(kept.max()) + math.log(mean)) / math.log(10)
    error = float(weights.std()) / math.sqrt(samples) / mean / math.log(10)
    return Estimate(log10, error, samples, _worth(kept))


def _tilted(space: SearchSpace, limits: Limits, rng: Rng) -> ChainSampler:
    """The one of least tilt whose samples are worth about as much as those of the best tilt.

    Steeper ones never draw some nets that count, and do not show it.
    """
    steps = Steps(space)
    samplers = [ChainSampler(space, tilt, steps=steps) for tilt in TILTS]
    worth = [_worth(_log_weights(one, space, limits, PILOT, rng)) for one in samplers]
    return next(one for one, w in zip(samplers, worth, strict=True) if w >= max(worth) / 2)


def _worth(log_weights: NDArray[np.float64]) -> float:
    """How many samples of equal weight tell as much."""
    if not len(log_weights):
        return 0.0
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def _log_weights(
    sampler: ChainSampler, space: SearchSpace, limits: Limits, samples: int, rng: Rng
) -> NDArray[np.float64]:
    """Of the samples that keep the limits."""
    most = space.most_activations
    return np.array(
        [
            weight
            for net, weight in sampler.draw(samples, rng)
            if limits.allow(net) and (most is None or net.activations <= most)
        ]
    )
