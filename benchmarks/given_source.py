"""What a source's given weights bring a small net: its outputs in the loss, slices of its weights.

    python benchmarks/given_source.py conv7.safetensors --epochs 4 --seeds 3

Trains small nets on the packaged sample of Fashion-MNIST by the final recipe, each from fresh
weights, distilled from CONV-7 and begun with slices of it. Accuracy on those official training
images that are not in the sample, so that neither validation nor test images are read. The weights
are those of any CONV-7, e.g. of `archpress train conv7 --data fashion-mnist-sample`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from archpress.architecture import named
from archpress.architecture.inheritance import inherit
from archpress.architecture.network import build, load_weights
from archpress.baselines.hand_made import hand_made_nets
from archpress.data import ImageData, Split, load_data
from archpress.evaluation import Normalisation, accuracy_of, final, teacher_logits_of, train
from archpress.space import Limits, narrow_to_fit, space_around

SIZES = (20_000, 93_000)
WEIGHT = 0.5  # of the source's outputs in the loss


def others(sample: ImageData) -> Split:
    """The official training images that are not in the sample."""
    whole = load_data("fashion-mnist")
    known = {image.numpy().tobytes() for part in (sample.train, sample.validation)
             for image in part.images}  # fmt: skip
    images = torch.cat([whole.train.images, whole.validation.images])
    labels = torch.cat([whole.train.labels, whole.validation.labels])
    is_new = [image.numpy().tobytes() not in known for image in images]
    return Split(images[torch.tensor(is_new)], labels[torch.tensor(is_new)])


def main() -> None:
    parser = argparse.ArgumentParser(description="Small nets with and without a given source.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="parameters")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sample = load_data("fashion-mnist-sample")
    unseen, source = others(sample), named("conv7")
    weights = load_file(given.weights)
    teacher = build(source)
    load_weights(teacher, weights, where=str(given.weights))
    recipe = final(epochs=given.epochs)
    normalisation = Normalisation.of(sample, recipe)
    logits = teacher_logits_of(teacher, sample, recipe)
    ways = {
        "alone": recipe,
        "distilled": replace(recipe, name="distilled", distillation=WEIGHT),
        "slices": replace(recipe, name="slices", start="slices"),
    }
    print(f"source: {accuracy_of(teacher, unseen, normalisation):.2%} of {len(unseen)} images")
    students = {}
    for size in given.sizes:
        space = space_around(source, Limits(max_parameters=size))
        narrowed = narrow_to_fit(source, space)
        students |= {("narrowed", size): narrowed, ("hand-made", size): hand_made_nets(space)[0]}
    rows = []
    for (name, _), net in students.items():
        found = {way: [] for way in ways}
        for seed in range(given.seeds):
            for way, how in ways.items():
                start = inherit(net, source, weights, seed=seed).weights
                result = train(
                    net,
                    sample,
                    how,
                    seed,
                    teacher_logits=logits if way == "distilled" else None,
                    initial=start if way == "slices" else None,
                )
                found[way].append(accuracy_of(result.network, unseen, normalisation))
        rows.append({"net": name, "parameters": net.parameters, **found})
        means = ", ".join(f"{way} {100 * np.mean(values):.2f}" for way, values in found.items())
        print(f"{name} {net.parameters:,}: {means}", flush=True)
    for way in ("distilled", "slices"):
        gains = np.array([100 * (np.array(row[way]) - row["alone"]) for row in rows])
        error = gains.std(ddof=1) / gains.size**0.5
        print(f"{way} less alone: {gains.mean():.2f} (standard error {error:.2f}, n={gains.size})")
    if given.out:
        given.out.write_text(json.dumps({"epochs": given.epochs, "nets": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
