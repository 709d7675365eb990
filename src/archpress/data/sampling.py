"""Choosing images by seed, class by class; the same choice on every machine.

Only the raw words of PCG64 are used: numpy promises their stream, but not that of the methods of
`Generator`, from one version to the next.
"""

from typing import Literal, TypeAlias

import numpy as np

Purpose: TypeAlias = Literal["validation", "subset", "test"]

STREAMS: dict[Purpose, int] = {"validation": 0, "subset": 1, "test": 2}


def generator(seed: int, purpose: Purpose) -> np.random.Generator:
    """A random generator of its own for each seed and purpose."""
    return np.random.Generator(np.random.PCG64((seed, STREAMS[purpose])))


def held_out(
    labels: np.ndarray, fraction: float, rng: np.random.Generator, *, keep: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Part the images in two, with the same share of every class (stratified).

    Args:
        labels: `N`, each in 0..K-1.
        fraction: share of each class to hold out, in (0, 1), rounded, at least one image.
        rng: decides which, and the order of both parts.
        keep: images of each class that stay, even if none is held out then.

    Returns:
        Indices of the images that stay and of those held out, each in random order.

    Example:
        >>> stay, held = held_out(np.repeat([0, 1], [10, 20]), 0.2, generator(0, "validation"))
        >>> len(stay), len(held)
        (24, 6)
    """
    counts = np.bincount(labels)
    quota = np.minimum(np.maximum(np.rint(counts * fraction), 1), np.maximum(counts - keep, 0))
    draw = _draw(len(labels), rng)
    order = np.argsort(draw, kind="stable")
    is_held = _ranks(labels, draw)[order] < quota[labels[order]]
    return order[~is_held], order[is_held]


def balanced(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `count` images, equally many of each class or all that a class has.

    Args:
        labels: `N`, each in 0..K-1.
        count: at most N; what does not divide by K goes to classes at random.
        rng: decides which, and their order.

    Example:
        >>> np.bincount(np.repeat([0, 1], [2, 20])[balanced(
        ...     np.repeat([0, 1], [2, 20]), 10, generator(0, "subset"))]).tolist()
        [2, 8]
    """
    draw = _draw(len(labels), rng)
    chosen = np.lexsort((draw, _ranks(labels, draw)))[:count]
    return chosen[np.argsort(draw[chosen], kind="stable")]


def _draw(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` random 64-bit words."""
    return np.asarray(rng.bit_generator.random_raw(count), dtype=np.uint64)


def _ranks(labels: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """Place of each image within its class, 0 first, by the size of its draw."""
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    by_class = np.lexsort((draw, labels))
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[by_class] = np.arange(len(labels)) - np.repeat(starts, counts)
    return ranks
