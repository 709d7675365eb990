"""Other ways to search, each an `Arm` that spends the same budget through the same door.

SEARCHES maps the name of each, as it is used in tables and on the command line, to what makes it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from archpress.baselines.evolution import evolution
from archpress.baselines.optuna import gaussian_process, nsga2, tpe
from archpress.baselines.random import random_search
from archpress.baselines.widths import uniform_narrowing
from archpress.search import Arm

SEARCHES: Mapping[str, Callable[[], Arm[Any]]] = MappingProxyType(
    {
        "random": random_search,
        "narrowing": uniform_narrowing,
        "evolution": evolution,
        "tpe": tpe,
        "nsga2": nsga2,
        "gp": gaussian_process,
    }
)

__all__ = [
    "SEARCHES",
    "evolution",
    "gaussian_process",
    "nsga2",
    "random_search",
    "tpe",
    "uniform_narrowing",
]
