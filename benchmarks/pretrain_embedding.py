"""Fit the embedding that ships with the package, on nets around many sources.

    python benchmarks/pretrain_embedding.py src/archpress/embedding/pretrained.safetensors

For each source, at each size of images and number of classes, neighbours of all sizes and samples
of the paper's sampler, as a run would draw them. No image is needed. About 40 minutes of one core.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import numpy as np

from archpress.architecture import Architecture
from archpress.architecture.zoo import named
from archpress.compression.fitted import draw_pool
from archpress.embedding import Embedding, FitSettings, fit_unlabelled, reconstruction
from archpress.errors import ArchitectureError
from archpress.space import SearchSpace, space_around

SOURCES = ("conv7", "vgg11", "plain6", "separable", "lenet5")
IMAGES = ((1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 128, 128))
CLASSES = (2, 10, 100)
PAPER_SHARE = 0.2
SEED = 0


def sources() -> list[Architecture]:
    """The nets around which is drawn."""
    found = []
    for name, shape, classes in product(SOURCES, IMAGES, CLASSES):
        try:
            found.append(named(name, shape, classes))
        except ArchitectureError:  # too many pools for small images
            continue
    return found


def widest(spaces: list[SearchSpace]) -> SearchSpace:
    """A space whose alphabet has what the spaces have; its limits and images do not matter."""
    kinds = dict.fromkeys(kind for space in spaces for kind in space.kinds)
    choices = {
        name: tuple(sorted({value for space in spaces for value in getattr(space, name)}))
        for name in ("kernels", "strides", "paddings")
    }
    most = max(space.most_layers for space in spaces)
    return SearchSpace((3, 32, 32), 10, tuple(kinds), most_layers=most, **choices)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the embedding that ships with the package.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--pool", type=int, default=1000, help="nets around each source")
    parser.add_argument("--steps", type=int, default=24_000)
    given = parser.parse_args()
    nets = sources()
    spaces = [space_around(net) for net in nets]
    embedding = Embedding(widest(spaces), seed=SEED)
    started = time.perf_counter()
    pool = [
        net
        for number, (source, space) in enumerate(zip(nets, spaces, strict=True))
        for net in draw_pool(source, space, PAPER_SHARE, (SEED, number), given.pool)
    ]
    print(f"{len(pool):,} nets around {len(nets)} sources, {time.perf_counter() - started:.0f} s")
    order = np.random.default_rng(SEED).permutation(len(pool))
    unseen, pool = [pool[i] for i in order[:500]], [pool[i] for i in order[500:]]

    def progress(done: int, total: int) -> None:
        if done % 500 == 0:
            print(f"{done}/{total} in {time.perf_counter() - started:.0f} s", flush=True)

    settings = FitSettings(steps=given.steps)
    losses = fit_unlabelled(embedding, pool, settings, np.random.default_rng(SEED), progress)
    embedding.save(given.file)
    restored = reconstruction(embedding, unseen, set(), np.random.default_rng(SEED))
    print(f"loss {np.mean(losses[-100:]):.3f}; {restored}; {given.file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
