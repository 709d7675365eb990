"""Uniform narrowing: the source with all its channels scaled by one factor."""

import numpy as np

from archpress.architecture import Architecture
from archpress.evaluation import Candidate
from archpress.search import Arm, Asking, Problem
from archpress.space import (
    Neighbourhood,
    narrow_to_fit,
    repair,
    require_neighbourhood,
    scale_channels,
)

FINEST = 2**-8  # of the factor; half a channel of the widest layer where that has 128


def uniform_narrowing() -> Arm[Architecture]:
    """The source, all channels scaled by one factor; ends early.

    With a cost limit: the widest that keeps the limits, one design. With an accuracy limit alone:
    the narrowest that is accurate enough, by bisection over the factor, as far as the budget goes;
    it takes for granted that wider is more accurate.
    """
    return Arm("narrowing", _ask)


def _ask(problem: Problem[Architecture]) -> Asking[Architecture]:
    space = require_neighbourhood(problem.space, "narrowing")
    widest = _widest(space)
    (trial,) = yield [Candidate(widest, "narrowing")]
    if not problem.objective.shrinks or not problem.objective.feasible(
        widest, trial.accuracy or 0.0
    ):
        return
    low, high = 0.0, 1.0  # `high` is accurate enough, `low` is not or is nothing
    number = 0
    while high - low > FINEST:
        number += 1
        factors = np.linspace(high, low, problem.batch + 2)[1:-1]
        nets = [scale_channels(widest, float(factor), space.search_space) for factor in factors]
        trials = yield [Candidate(net, "narrowing", number) for net in nets]
        for factor, trial in zip(factors, trials, strict=True):
            if not problem.objective.feasible(trial.architecture, trial.accuracy or 0.0):
                low = float(factor)
                break
            high = float(factor)


def _widest(space: Neighbourhood) -> Architecture:
    """That keeps the limits; shorter where narrowing alone does not get there."""
    net = narrow_to_fit(space.source, space.search_space)
    if net is None or space.why_not(net) is not None:
        return repair(space.source.layers, space.search_space).architecture
    return net
