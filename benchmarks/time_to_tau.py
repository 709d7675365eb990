"""Seconds of training until a surrogate ranks unseen nets equally well: a plain loop against ours.

    python benchmarks/time_to_tau.py RUN --out benchmarks/results/time_to_tau.json

CONV-7's neighbourhood within 93,000 parameters, packaged sample of Fashion-MNIST. The plain loop is
one net after the other with a `DataLoader`, contiguous images, torch's own threads, five epochs of
all training images as in the paper; ours are two workers under the recipe of a search's trials.
Both train the same nets, other ones each turn, and feed the same surrogate over the same embedding.
It is judged on nets of neither, by their accuracies after the final recipe on 4,200 images that did
not train them: Kendall's tau of its order, and the accuracy of the net that it puts first. Finished
stages are kept in the run folder. About 50 minutes on two cores.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypedDict

import numpy as np
import torch
from scipy.stats import kendalltau
from speed import train_plainly
from torch.utils.data import DataLoader, TensorDataset

from archpress.architecture import Architecture, named
from archpress.architecture.network import build
from archpress.compression.fitted import fitted_embedding
from archpress.compression.settings import settings_for
from archpress.data import ImageData, load_data
from archpress.embedding import Embedding, Labelled, Surrogate
from archpress.evaluation import Candidate, ProcessPool, Recipe, final, quick, torch_threads
from archpress.space import Limits, distinct, sample_neighbourhood, space_around

HELD_OUT, LEARNED = 30, 40  # nets, those learned from in each turn
LONG_IMAGES, SPARE = 7_800, 3_000  # of 10,800: trained on, and validated on beside 1,200
PLAIN_EPOCHS, PLAIN_BATCH, PLAIN_RATE = 5, 64, 0.05
SIZES = (5, 8, 10, 12, 16, 20, 25, 30, 40)  # trials learned from
ORDERS = 20  # random orders of the trials, over which is averaged


Curve = list[dict[str, float]]  # a row a number of trials: trials, seconds, tau, first


class Measured(TypedDict):
    """A stage: accuracies of its nets, in their order, and the seconds that all took together."""

    accuracies: list[float]
    seconds: float


def plain(nets: list[Architecture], data: ImageData) -> Measured:
    """The usual way, one net after the other."""
    pictures = (data.train.images.float() / 255 - 0.5) / 0.5
    loader = DataLoader(TensorDataset(pictures, data.train.labels), PLAIN_BATCH, shuffle=True)
    unseen = (data.validation.images.float() / 255 - 0.5) / 0.5
    accuracies: list[float] = []
    started = time.perf_counter()
    for net in nets:
        torch.manual_seed(0)
        network = build(net)
        train_plainly(network, loader, PLAIN_EPOCHS, PLAIN_RATE)
        with torch.no_grad():
            guessed = torch.cat([network(part).argmax(1) for part in torch.split(unseen, 256)])
        accuracies.append((guessed == data.validation.labels).float().mean().item())
        print(f"plain loop: {len(accuracies)}/{len(nets)}", flush=True)
    return {"accuracies": accuracies, "seconds": time.perf_counter() - started}


def by_workers(nets: list[Architecture], data: ImageData, recipe: Recipe) -> Measured:
    """Ours."""
    accuracies: dict[str, float] = {}
    with ProcessPool(data, recipe, workers=2, device="cpu") as pool:
        started = time.perf_counter()
        for trial in pool.evaluate([Candidate(net, "bench") for net in nets], seed=0):
            accuracies[trial.architecture.key] = trial.accuracy or 1 / data.classes
            print(f"{recipe.name}: {len(accuracies)}/{len(nets)}", flush=True)
        seconds = time.perf_counter() - started
    return {"accuracies": [accuracies[net.key] for net in nets], "seconds": seconds}


def kept(path: Path, make: Callable[[], Measured]) -> Measured:
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def curve(
    embedding: Embedding, nets: list[Architecture], found: Measured, held_out: Labelled
) -> Curve:
    """What the surrogate is worth by the number of trials, and the seconds that so many took."""
    truth, rows = np.array(held_out.accuracies), []
    each = found["seconds"] / len(nets)
    for size in SIZES:
        taus, firsts = [], []
        for order in range(ORDERS if size < len(nets) else 1):
            some = np.random.default_rng(order).permutation(len(nets))[:size]
            trials = Labelled([nets[i] for i in some], [found["accuracies"][i] for i in some])
            guess = Surrogate(embedding, trials).predict(held_out.architectures)
            taus.append(float(kendalltau(guess.mean, truth).statistic))
            firsts.append(truth[guess.mean.argmax()])
        rows.append(
            {
                "trials": size,
                "seconds": round(size * each, 1),
                "tau": round(float(np.mean(taus)), 3),
                "first": round(float(np.mean(firsts)), 4),
            }
        )
    return rows


def seconds_to(curve: Curve, what: str, level: float) -> float | None:
    """Least seconds after which the mean has been reached; linear between the rows."""
    for before, after in zip([None, *curve], curve, strict=False):
        if after[what] >= level:
            if before is None:
                return after["seconds"]
            share = (level - before[what]) / (after[what] - before[what])
            return before["seconds"] + share * (after["seconds"] - before["seconds"])
    return None


def compared(curves: dict[str, Curve], what: str) -> dict[str, float | None]:
    """The best that the plain loop comes to, the seconds of both to it, and how often ours fit."""
    level = max(row[what] for row in curves["plain loop"])
    seconds = {name: seconds_to(rows, what, level) for name, rows in curves.items()}
    plain_seconds, our_seconds = seconds["plain loop"], seconds["ours"]
    times = plain_seconds / our_seconds if plain_seconds and our_seconds else None
    return {what: level, **seconds, "times as fast": times}


def summary(turns: list[dict[str, dict[str, float | None]]], what: str) -> dict[str, object]:
    """Median and extremes of the turns; a turn in which ours did not come so far counts as 0."""
    times = [turn[what]["times as fast"] or 0.0 for turn in turns]
    return {"median": median(times), "lowest": min(times), "highest": max(times), "n": len(times)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to a surrogate that ranks equally well.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    given.run.mkdir(parents=True, exist_ok=True)
    data = load_data("fashion-mnist-sample")
    source = named("conv7")
    around = space_around(source, Limits(max_parameters=93_000))
    near = sample_neighbourhood(source, around, np.random.default_rng(3))
    nets = distinct(near, HELD_OUT + given.turns * LEARNED)
    held_out = nets[:HELD_OUT]
    brief = quick(epochs=3, train_images=2000, spare_images=SPARE)
    longest = replace(
        final(epochs=12, flip=True), train_images=LONG_IMAGES, spare_images=SPARE, evaluate_every=0
    )
    truth = kept(given.run / "truth.json", lambda: by_workers(held_out, data, longest))
    known = Labelled(held_out, truth["accuracies"])
    with torch_threads(1):
        embedding = fitted_embedding(source, settings_for("quick"), 0, given.run).embedding
    turns, curves = [], []
    for turn in range(given.turns):
        some = nets[HELD_OUT + turn * LEARNED :][:LEARNED]
        stages = {
            "plain loop": kept(given.run / f"plain_{turn}.json", partial(plain, some, data)),
            "ours": kept(given.run / f"ours_{turn}.json", partial(by_workers, some, data, brief)),
        }
        with torch_threads(1):
            curves.append(
                {name: curve(embedding, some, found, known) for name, found in stages.items()}
            )
        turns.append({what: compared(curves[-1], what) for what in ("tau", "first")})
        print(f"turn {turn + 1}/{given.turns}: {turns[-1]}", flush=True)
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "times as fast": {what: summary(turns, what) for what in ("tau", "first")},
        "turns": turns,
        "curves": curves,
    }
    given.out.write_text(json.dumps(content, indent=1) + "\n")
    print(content["times as fast"])


if __name__ == "__main__":
    main()
