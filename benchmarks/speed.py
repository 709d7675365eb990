"""How fast the parts are: `make bench`, or one part after the other.

    python benchmarks/speed.py --out benchmarks/results/speed.jsonl
    python benchmarks/speed.py --out benchmarks/results/speed.jsonl --parts training,store

Each part is measured `--repeats` times and writes one line of JSON: the median and all values, with
the machine and the date. What is compared is measured in turns, in the same repeat. Accuracies of
the part `embedding` are drawn at random, for they decide nothing about how long a fit takes; all
trainings are on the packaged sample.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from archpress.architecture import named
from archpress.architecture.network import build
from archpress.data import ImageData, load_data
from archpress.embedding import (
    Embedding,
    FitSettings,
    Labelled,
    ModelSize,
    Surrogate,
    fit_unlabelled,
    refit,
)
from archpress.evaluation import Candidate, ProcessPool, Recipe, Trial
from archpress.evaluation.trial import TrialState
from archpress.search import DescentSettings, Objective, descend
from archpress.space import (
    Chains,
    Limits,
    PaperSampler,
    distinct,
    paper_space,
    sample_neighbourhood,
    space_around,
)
from archpress.store import Store, evaluate_once

Values = dict[str, float]
IMAGE = (1, 28, 28)
BATCH, EPOCHS, IMAGES, NETS = 64, 2, 2_000, 12  # of the trials that are timed
WALK = DescentSettings(starts=64, steps=100, every=100)  # decoded where they end
ALONG = replace(WALK, every=10)
FRONT = DescentSettings(starts=12, steps=40, every=20)  # as for the nets of a report's explorer


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def architectures() -> Values:
    """Architectures a minute on one core."""
    space, source = paper_space(IMAGE, 10), named("conv7")
    around = space_around(source, Limits(max_parameters=93_000))
    chains, rng = Chains(space), np.random.default_rng(0)

    def arrays() -> int:
        marks = []
        for _ in range(30):
            batch = chains.draw(8192, rng)
            costs = chains.costs(batch)
            keeps = costs.has_conv & costs.within(space.limits, space.most_activations)
            marks.append(batch[keeps].fingerprints())
        return len(np.unique(np.concatenate(marks), axis=0))

    started = time.perf_counter()
    found = arrays()
    values = {"sampled, checked, counted as arrays": found * 60 / (time.perf_counter() - started)}
    for name, endless in (
        ("sampled as values", PaperSampler(space, rng)),
        ("neighbours of CONV-7", sample_neighbourhood(source, around, rng)),
    ):
        nets: list[object] = []
        seconds = timed(lambda endless=endless, nets=nets: nets.extend(islice(endless, 1_000)))
        values[name] = 1_000 * 60 / seconds
    nets = list(islice(PaperSampler(space, rng), 1_000))
    values["simplified, with keys"] = 1_000 * 60 / timed(lambda: [net.key for net in nets])
    return values


def train_plainly(network: nn.Module, loader: DataLoader, epochs: int, rate: float) -> None:
    """The usual way: a constant learning rate with momentum."""
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum=0.9, nesterov=True)
    network.train()
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    network.eval()


def plain_loop(nets: list, data: ImageData, recipe: Recipe) -> None:
    """The usual way: a loader, contiguous images, the default threads, one net after the other."""
    count = recipe.train_images
    pictures = data.train.images[:count].float() / 255
    loader = DataLoader(
        TensorDataset(pictures, data.train.labels[:count]), recipe.batch_size, shuffle=True
    )
    for net in nets:
        network = build(net)
        train_plainly(network, loader, recipe.epochs, 0.01)
        with torch.no_grad():
            for images in torch.split(data.validation.images.float() / 255, 256):
                network(images)


def training() -> Values:
    """Seconds for the same trials, with workers that are up already."""
    data = load_data("fashion-mnist-sample")
    source = named("conv7")
    around = space_around(source, Limits(max_parameters=93_000))
    near = sample_neighbourhood(source, around, np.random.default_rng(1))
    nets = distinct(near, NETS)
    recipe = Recipe(
        *("speed", EPOCHS, BATCH),
        **{"optimizer": "sgd", "train_images": IMAGES, "evaluate_every": 0},
    )
    candidates = [Candidate(net, "bench") for net in nets]
    values = {"plain loop": timed(lambda: plain_loop(nets, data, recipe))}
    for workers in (1, 2):
        with ProcessPool(data, recipe, workers=workers, device="cpu") as pool:
            list(pool.evaluate(candidates[:workers], seed=9))
            seconds = timed(lambda pool=pool: list(pool.evaluate(candidates, seed=0)))
        values[f"{workers} workers"] = seconds
    values["plain loop / 2 workers"] = values["plain loop"] / values["2 workers"]
    values["1 worker / 2 workers"] = values["1 workers"] / values["2 workers"]
    return values


def embedding() -> Values:
    """Seconds of fits and descents, one thread."""
    torch.set_num_threads(1)
    source, rng = named("conv7"), np.random.default_rng(0)
    space = space_around(source)
    pool = distinct(sample_neighbourhood(source, space, rng, smallest=1 / 200), 16_000)
    pool += distinct(PaperSampler(space, rng), 4_000)
    trials = Labelled(pool[:1_500], rng.uniform(0.6, 0.9, 1_500).tolist())
    made = Embedding(space, ModelSize(), 0)

    def fit() -> None:
        fit_unlabelled(made, pool, FitSettings(), rng)
        refit(made, trials, pool[:512], FitSettings(), rng)

    values = {"fit, 1,500 trials and 20,000 unlabelled": timed(fit)}
    few = Labelled(pool[:100], rng.uniform(0.6, 0.9, 100).tolist())
    surrogate = Surrogate(made, few)

    def compress(parameters: int, walk: DescentSettings) -> None:
        made.space = space_around(source, Limits(max_parameters=parameters))
        met = descend(made, [source], Objective(made.space.limits), walk, rng)
        nets = list({net.key: net for net in met if made.space.contains(net)}.values())
        np.argmax(surrogate.predict(nets).mean)

    values["one compression from a fitted embedding"] = timed(lambda: compress(93_000, WALK))
    values["the same, decoded every 10 steps"] = timed(lambda: compress(93_000, ALONG))
    front = np.geomspace(10_000, 300_000, 20).astype(int).tolist()
    values["a front of 20 limits"] = timed(lambda: [compress(limit, FRONT) for limit in front])
    return values


class Noop:
    """An evaluator that does nothing."""

    data_key, recipe_key = "none", "none"

    def evaluate(self, candidates: list[Candidate], *, seed: int) -> Iterator[Trial]:  # noqa: D102
        for one in candidates:
            yield Trial(
                *(one.architecture, "none", "none", seed, TrialState.DONE, {"accuracy": 0.5}),
                origin=one.origin,
            )


def store() -> Values:
    """Trials a second, stored and found again; milliseconds a look-up."""
    sampler = PaperSampler(paper_space(IMAGE, 10), np.random.default_rng(0))
    candidates = [Candidate(net, "bench") for net in islice(sampler, 5_000)]
    _ = [one.architecture.key for one in candidates]
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder) / "trials.db") as opened,
    ):

        def run() -> None:
            for _ in evaluate_once(Noop(), opened, candidates, seed=0):
                pass

        values = {
            "stored a second": len(candidates) / timed(run),
            "found again a second": len(candidates) / timed(run),
        }
        known = [one.architecture.key for one in candidates[:500]]
        seconds = timed(lambda: [opened.find(key, "none", "none", 0) for key in known])
        values["milliseconds a look-up"] = 1e3 * seconds / len(known)
    return values


PARTS = {part.__name__: part for part in (architectures, training, embedding, store)}


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the parts are.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
    }
    for name in given.parts.split(","):
        found = [PARTS[name]() for _ in range(given.repeats)]
        for key in found[0]:
            values = [round(one[key], 4) for one in found]
            row = {"part": name, "what": key, "median": median(values), "values": values, **about}
            print(f"{name}: {key}: {median(values):,.4g} (n = {len(values)})", flush=True)
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
