"""Compress a net on images of your own, a folder with one folder of images a class, in seconds.

    python examples/own_images.py

Here the folder is made from the packaged sample of Fashion-MNIST; the rest is what one writes for
photographs. In earnest leave out `settings` and `workers`: here ten nets are tried, an epoch each.
"""

from pathlib import Path

from PIL import Image

import archpress as ap
from archpress.compression import with_counts

FOLDER = Path("runs/photos")


def write_folder(images: int = 600) -> None:
    sample = ap.load_data("fashion-mnist-sample", max_train=images)
    pairs = zip(sample.train.images, sample.train.labels, strict=True)
    for number, (pixels, label) in enumerate(pairs):
        place = FOLDER / sample.class_names[label].replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0].numpy()).save(place / f"{number:04}.png")


def main() -> None:
    write_folder()
    images = ap.load_data(FOLDER, input_shape=(1, 14, 14))  # each is brought to this size
    print(f"{images.classes} classes: {', '.join(images.class_names)}")
    print(f"{images.train} to learn from, {images.validation} to choose by")
    source = ap.named("tiny", images.input_shape, images.classes)
    result = ap.compress(
        source,
        images,
        ap.Limits(max_parameters=source.parameters // 2),
        run="runs/own-images",
        settings=with_counts(ap.settings_for("smoke"), rounds=0, seeds=1, epochs=8),
        workers=1,  # to start another takes longer than these trainings
        name="tiny",
    )
    print(result.sentence)


if __name__ == "__main__":
    main()
