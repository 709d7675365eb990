"""How trials are judged, wherever that is shown. Needs no torch."""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate


def front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """The Pareto front: places of those more accurate than all that cost no more; cheapest first.

    >>> front([30, 10, 20], [0.9, 0.7, 0.6])
    [1, 0]
    """
    best, kept = float("-inf"), []
    for place in sorted(range(len(costs)), key=lambda at: (costs[at], -accuracies[at])):
        if accuracies[place] > best:
            best = accuracies[place]
            kept.append(place)
    return kept


def running_best(
    values: Iterable[float | None], better: Callable[[float, float], float] = max
) -> list[float | None]:
    """The best value up to each one, None left out; None while there is none.

    >>> running_best([None, 0.5, None, 0.4, 0.6])
    [None, 0.5, 0.5, 0.5, 0.6]
    """

    def step(best: float | None, value: float | None) -> float | None:
        if best is None or value is None:
            return best if value is None else value
        return better(best, value)

    return list(accumulate(values, step))
