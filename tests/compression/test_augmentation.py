"""How the images of final trainings are varied."""

from dataclasses import replace

import pytest
import torch

from archpress.architecture import named
from archpress.compression.augmentation import choose_augmentation
from archpress.compression.finals import FinalTrainer
from archpress.compression.settings import settings_of
from archpress.data import ImageData, Split, load_data
from archpress.errors import EvaluationError
from archpress.evaluation import AUGMENTATIONS, ProcessPool, augmented, final
from archpress.search.progress import Silent
from archpress.space import Limits, space_around
from archpress.store import Store


def sided(count: int) -> Split:
    """Images of two classes: bright on the left, or on the right."""
    labels = torch.arange(count) % 2
    images = torch.randint(0, 60, (count, 1, 8, 8), generator=torch.Generator().manual_seed(count))
    for image, label in zip(images, labels, strict=True):
        image[:, :, 4 * label : 4 * label + 4] += 150
    return Split(images.to(torch.uint8), labels)


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def test_images_that_cannot_be_mirrored_are_not(tmp_path):
    data = ImageData.of("sided", sided(200), sided(100), ("left", "right"))
    said, recipe = Said(), final(epochs=4)
    source = named("tiny", (1, 8, 8), 2)
    space = space_around(source, Limits(max_parameters=3000))
    with (
        ProcessPool(data, recipe, workers=1, device="cpu") as pool,
        Store(tmp_path / "trials.db") as store,
    ):
        trainer = FinalTrainer(data, pool, store, tmp_path, said)
        tried = "mirror", "none"
        chosen = choose_augmentation(trainer, tried, recipe, source, space)
        trained = store.count()
        again = choose_augmentation(trainer, tried, recipe, source, space)
        assert trained == store.count() == 2
        one = choose_augmentation(trainer, ("mirror",), recipe, source, space)
    assert chosen == again == one == recipe
    assert said.lines[0].startswith("Augmentation of final trainings: none (a small net has mirror")


def test_what_each_word_does():
    varied = {name: augmented(final(), name, (3, 32, 32)) for name in AUGMENTATIONS}
    assert {name: (one.flip, one.crop) for name, one in varied.items()} == {
        "none": (False, 0),
        "shift": (False, 3),
        "mirror": (True, 0),
        "mirror-shift": (True, 3),
    }
    assert augmented(final(), "shift", (1, 8, 200)).crop == 1
    with pytest.raises(EvaluationError, match="known are none, shift, mirror, mirror-shift"):
        augmented(final(), "rotate", (3, 32, 32))


@pytest.mark.parametrize(
    ("name", "effort", "tried"),
    [
        ("photos", "standard", AUGMENTATIONS),
        ("photos", "quick", ()),
        ("cifar10", "thorough", ("mirror", "mirror-shift")),
        ("digits", "standard", ("none", "shift")),
    ],
)
def test_what_is_tried_hangs_on_the_images(name, effort, tried):
    images = replace(load_data("digits"), name=name)
    assert settings_of(images, effort).augmentations == tried
