"""Train every net of a small space once and write the table that `archpress table` searches.

    python examples/make_table.py examples/digits.csv
    archpress table examples/digits.csv --max-accuracy-loss 1 --lookups 10,20,40 --seeds 10

Four convolutions of 4, 8 or 16 channels on the 8 x 8 digits of scikit-learn (`archpress[digits]`):
81 nets, 12 epochs each, validated on 180 images.
"""

import csv
import sys
from itertools import product
from pathlib import Path

from archpress.architecture import Layer, chain
from archpress.data import load_data
from archpress.evaluation import Candidate, ProcessPool, quick

WIDTHS = (4, 8, 16)
EPOCHS = 12


def net(widths):
    layers = []
    for width in widths:
        layers += [Layer("conv", 3, width, 1, 1), Layer("batch_norm"), Layer("relu")]
    layers.insert(6, Layer("max_pool", 2, 0, 2))
    return chain((1, 8, 8), *layers, Layer("global_average_pool"), Layer("linear", channels=10))


def main(path: str) -> None:
    images = load_data("digits")
    nets = {net(widths): widths for widths in product(WIDTHS, repeat=4)}
    recipe = quick(epochs=EPOCHS, train_images=None, spare_images=0)
    with ProcessPool(images, recipe) as pool, Path(path).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["x0", "x1", "x2", "x3", "accuracy", "parameters"])
        trials = {t.architecture: t for t in pool.evaluate(list(map(Candidate, nets)), seed=0)}
        for one, widths in nets.items():
            table.writerow([*widths, round(100 * trials[one].accuracy, 3), one.parameters])


if __name__ == "__main__":
    main(*sys.argv[1:])
