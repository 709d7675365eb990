"""Make the packaged sample of Fashion-MNIST from the official files.

    python benchmarks/make_sample.py src/archpress/data/sample

1,200 images of each class of the official training images and 200 of the official test images,
drawn without replacement with seed 0, in the official order within their class. Written as one
grey PNG mosaic a split, class after class, so the labels follow from the position.

PNG because it needs pillow alone, can be looked at, and is about as small as the alternatives. The
12,000 training images take 4.70 MB as PNG, 4.61 MB as xz, 4.62 MB as lossless WebP (one mosaic).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from archpress.data import Split, load_data
from archpress.data.named import named_source

SEED = 0
PER_CLASS = {"train": 1200, "test": 200}
COLUMNS = {"train": 50, "test": 50}  # divide the images of a class, so a class begins a row


def mosaic(split: Split, per_class: int, columns: int, rng: np.random.Generator) -> Image.Image:
    """Images of one split, class after class, `columns` a row."""
    labels = split.labels.numpy()
    chosen = [
        np.sort(rng.choice(np.flatnonzero(labels == label), per_class, replace=False))
        for label in range(int(labels.max()) + 1)
    ]
    images = split.images.numpy()[np.concatenate(chosen), 0]  # N H W
    count, height, width = images.shape
    tiles = images.reshape(count // columns, columns, height, width).transpose(0, 2, 1, 3)
    return Image.fromarray(tiles.reshape(-1, columns * width))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the packaged sample of Fashion-MNIST.")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    splits = {
        "train": named_source("fashion-mnist").train,  # as it lies in the file, undivided
        "test": load_data("fashion-mnist").read_test(),
    }
    rng = np.random.default_rng(SEED)
    for part, split in splits.items():
        path = directory / f"{part}.png"
        mosaic(split, PER_CLASS[part], COLUMNS[part], rng).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
