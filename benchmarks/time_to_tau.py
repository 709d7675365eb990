"""Seconds of training until a surrogate ranks unseen nets equally well: a plain loop against ours.

    python benchmarks/time_to_tau.py RUN --out benchmarks/results/time_to_tau.json

CONV-7's neighbourhood within 93,000 parameters, packaged sample of Fashion-MNIST. The plain loop is
one net after the other with a `DataLoader`, contiguous images, torch's own threads, five epochs of
all training images as in the paper; ours are two workers under the recipe of a search's trials.
Both feed the same surrogate over the same embedding. It is judged by Kendall's tau on nets of
neither, against their accuracies after the final recipe, on 4,200 images that did not train them.
Finished stages are kept in the run folder. About 25 minutes on two cores.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
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

HELD_OUT, PLAIN, OURS = 30, 40, 120  # nets; the first ones of ours are those of the plain loop
LONG_IMAGES, SPARE = 7_800, 3_000  # of 10,800: trained on, and validated on beside 1,200
PLAIN_EPOCHS, PLAIN_BATCH, PLAIN_RATE = 5, 64, 0.05
SIZES = (5, 8, 10, 12, 16, 20, 25, 30, 40, 50, 60, 80, 100, 120)  # trials learned from
ORDERS = 20  # random orders of the trials, over which tau is averaged


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
) -> list[dict[str, float]]:
    """Tau by the number of trials, and the seconds that so many took."""
    truth, rows = np.array(held_out.accuracies), []
    each = found["seconds"] / len(found["accuracies"])
    for size in [size for size in SIZES if size <= len(nets)]:
        taus = []
        for order in range(ORDERS if size < len(nets) else 1):
            some = np.random.default_rng(order).permutation(len(nets))[:size]
            trials = Labelled([nets[i] for i in some], [found["accuracies"][i] for i in some])
            guess = Surrogate(embedding, trials).predict(held_out.architectures)
            taus.append(float(kendalltau(guess.mean, truth).statistic))
        rows.append(
            {
                "trials": size,
                "seconds": round(size * each, 1),
                "tau": round(float(np.mean(taus)), 3),
                "tau, sd over orders": round(float(np.std(taus)), 3),
            }
        )
        print(rows[-1], flush=True)
    return rows


def seconds_to(rows: list[dict[str, float]], tau: float) -> float | None:
    """Least seconds from which on the mean tau has been reached; linear between the rows."""
    for before, after in zip([None, *rows], rows, strict=False):
        if after["tau"] >= tau:
            if before is None:
                return after["seconds"]
            share = (tau - before["tau"]) / (after["tau"] - before["tau"])
            return before["seconds"] + share * (after["seconds"] - before["seconds"])
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to a surrogate that ranks equally well.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.run.mkdir(parents=True, exist_ok=True)
    data = load_data("fashion-mnist-sample")
    source = named("conv7")
    around = space_around(source, Limits(max_parameters=93_000))
    near = sample_neighbourhood(source, around, np.random.default_rng(3))
    nets = distinct(near, HELD_OUT + OURS)
    held_out, ours = nets[:HELD_OUT], nets[HELD_OUT:]
    brief = quick(epochs=3, train_images=2000, spare_images=SPARE)
    longest = replace(
        final(epochs=12, flip=True), train_images=LONG_IMAGES, spare_images=SPARE, evaluate_every=0
    )
    stages = {
        "plain loop": kept(given.run / "plain.json", lambda: plain(ours[:PLAIN], data)),
        "ours": kept(given.run / "ours.json", lambda: by_workers(ours, data, brief)),
    }
    truth = kept(given.run / "truth.json", lambda: by_workers(held_out, data, longest))
    with torch_threads(1):
        embedding = fitted_embedding(source, settings_for("quick"), 0, given.run).embedding
        known = Labelled(held_out, truth["accuracies"])
        curves = {
            name: curve(embedding, ours[: len(found["accuracies"])], found, known)
            for name, found in stages.items()
        }
    reached = max(row["tau"] for row in curves["plain loop"])
    seconds = {name: seconds_to(rows, reached) for name, rows in curves.items()}
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "tau": reached,
        "seconds to it": {name: taken and round(taken, 1) for name, taken in seconds.items()},
        "curves": curves,
    }
    given.out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"tau {reached}: {content['seconds to it']}")


if __name__ == "__main__":
    main()
