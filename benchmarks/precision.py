"""What trainings in bfloat16 cost and bring: seconds, accuracies, and the order of the nets.

    python benchmarks/precision.py RUN --out benchmarks/results/precision.json

CONV-7's neighbourhood within 93,000 parameters, packaged sample of Fashion-MNIST, one thread. Each
net gets a brief trial in float32, with two seeds, and in bfloat16; some also final trainings, on
7,800 images. Two seeds in float32 say what a difference means. All are judged on 4,200 images
that did not train them. Finished trainings are kept in the run folder. Before that, an epoch of
2,048 images of some nets of the zoo in both, in turns, with the pass over 1,200 validation images.
"""

import argparse
import json
import os
import platform
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from archpress.architecture import Architecture, named
from archpress.data import load_data
from archpress.evaluation import (
    Candidate,
    Recipe,
    SerialEvaluator,
    choose_precision,
    final,
    quick,
    torch_threads,
    train,
)
from archpress.space import Limits, distinct, sample_neighbourhood, space_around
from archpress.store import Store, evaluate_once

SPARE = 3_000  # images that validate beside the validation split
TIMED = ("tiny", "plain6", "separable", "pyramid7", "resnet20", "conv7")
WAYS = (("float32", 0), ("float32", 1), ("bfloat16", 0))  # precision and seed


def trained(
    nets: list[Architecture], recipe: Recipe, run: Path
) -> dict[tuple[str, int], NDArray[np.float64]]:
    """Accuracy and seconds of each net, in their order, `N x 2`, by precision and seed."""
    data, found = load_data("fashion-mnist-sample"), {}
    with Store(run / "trials.db") as store:
        for precision, seed in WAYS:
            evaluator = SerialEvaluator(data, replace(recipe, precision=precision))
            candidates = [Candidate(net, "bench") for net in nets]
            outcomes = evaluate_once(evaluator, store, candidates, seed=seed)
            trials = {one.trial.architecture.key: one.trial for one in outcomes}
            found[precision, seed] = np.array(
                [
                    (trials[net.key].accuracy or 1 / data.classes, trials[net.key].seconds)
                    for net in nets
                ]
            )
            print(recipe.name, precision, seed, "done", flush=True)
    return found


def epochs(repeats: int) -> list[dict[str, str | float]]:
    """How many times as fast an epoch is in bfloat16; a row each net."""
    data, rows = load_data("fashion-mnist-sample"), []
    recipe = replace(final(epochs=1), train_images=2_048)
    for name in TIMED:
        net, ratios = named(name, data.input_shape), []
        for turn in range(-1, repeats):  # the first warms up
            order = ("float32", "bfloat16") if turn % 2 else ("bfloat16", "float32")
            seconds = {
                precision: train(net, data, replace(recipe, precision=precision), 0).seconds
                for precision in order
            }
            if turn >= 0:
                ratios.append(seconds["float32"] / seconds["bfloat16"])
        low, middle, high = (float(q) for q in np.quantile(ratios, (0, 0.5, 1)))
        rows.append(
            {
                "net": name,
                "M macs": round(net.macs / 1e6, 1),
                "times as fast": round(middle, 2),
                "lowest": round(low, 2),
                "highest": round(high, 2),
                "n": repeats,
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Trainings in bfloat16 beside float32.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--nets", type=int, default=40)
    parser.add_argument("--finals", type=int, default=12, help="of the nets")
    parser.add_argument("--repeats", type=int, default=5, help="of each epoch that is timed")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.run.mkdir(parents=True, exist_ok=True)
    source = named("conv7")
    space = space_around(source, Limits(max_parameters=93_000))
    near = sample_neighbourhood(source, space, np.random.default_rng(7))
    nets = list(distinct(near, given.nets))
    longest = replace(final(epochs=12, flip=True), train_images=7_800, spare_images=SPARE)
    works = (
        (quick(epochs=3, train_images=2000, spare_images=SPARE), nets),
        (replace(longest, evaluate_every=0), nets[: given.finals]),
    )
    timed, rows = epochs(given.repeats), []
    for recipe, some in works:
        with torch_threads(1):
            results = trained(some, recipe, given.run)
        base, seconds = results["float32", 0].T
        for way in WAYS[1:]:
            difference = 100 * (results[way][:, 0] - base)
            rows.append(
                {
                    "recipe": recipe.name,
                    "nets": len(some),
                    "against float32, seed 0": "{}, seed {}".format(*way),
                    "accuracy, mean": round(100 * float(results[way][:, 0].mean()), 2),
                    "difference, points": round(float(difference.mean()), 2),
                    "its standard error": round(
                        float(difference.std(ddof=1)) / len(some) ** 0.5, 2
                    ),
                    "standard deviation": round(float(difference.std(ddof=1)), 2),
                    "tau": round(float(kendalltau(base, results[way][:, 0]).statistic), 3),
                    "times as fast": round(float(seconds.sum() / results[way][:, 1].sum()), 2),
                }
            )
            print(rows[-1], flush=True)
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "matrix units for bfloat16": choose_precision("auto") == "bfloat16",
        "parameters": [net.parameters for net in nets],
        "macs": [net.macs for net in nets],
        "epochs": timed,
        "rows": rows,
    }
    given.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
