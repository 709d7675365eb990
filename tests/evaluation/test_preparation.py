from dataclasses import replace

import pytest
import torch
from torch import Generator

from archpress.data import ImageData, Split
from archpress.evaluation import Normalisation, Recipe
from archpress.evaluation.preparation import augment, balanced_first, prepare, used_images


def test_normalised_training_images_have_mean_0_and_deviation_1(data):
    images = Normalisation.of(data, Recipe("r", 1)).apply(data.train.images)
    assert images.mean().item() == pytest.approx(0, abs=1e-4)
    assert images.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert images.dtype == torch.float32


def test_half_normalisation_maps_bytes_to_minus_1_to_1(data):
    half = Normalisation.of(data, Recipe("r", 1, normalisation="half"))
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)
    assert half.apply(images).flatten().tolist() == pytest.approx([-1, 1])


def test_normalising_leaves_the_bytes_alone_and_gives_channels_last():
    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    before = images.clone()
    result = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)).apply(images)
    assert torch.equal(images, before)
    assert result.is_contiguous(memory_format=torch.channels_last)
    expected = (images[2, 1, 3, 0].item() / 255 - 0.4) / 0.3  # image 2, channel 1
    assert result[2, 1, 3, 0].item() == pytest.approx(expected, abs=1e-6)


def test_a_part_of_the_training_images_is_balanced_and_the_first_of_each_class():
    labels = torch.tensor([0] * 10 + [1] * 3 + [2] * 10)
    chosen = balanced_first(labels, 9)
    assert chosen.tolist() == [0, 1, 2, 10, 11, 12, 13, 14, 15]
    # Class 1 has only 3, so the others fill up: 12 = 5 + 3 + 4, the earlier class first.
    assert balanced_first(labels, 12).tolist() == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16]


def test_a_recipe_without_a_limit_uses_all_training_images(data):
    assert len(used_images(data, Recipe("r", 1))) == len(data.train)
    assert len(used_images(data, Recipe("r", 1, train_images=10**6))) == len(data.train)
    assert len(used_images(data, Recipe("r", 1, train_images=40))) == 40


def test_data_are_prepared_once_for_a_normalisation(data):
    cpu = torch.device("cpu")
    first = prepare(data, Recipe("a", 1), cpu)
    assert prepare(data, Recipe("b", 5, learning_rate=0.5), cpu) is first
    assert prepare(data, Recipe("b", 1, train_images=40), cpu) is not first
    assert len(first.validation_labels) == len(data.validation)


def test_spare_images_are_validated_on_and_never_trained_on(data):
    cpu = torch.device("cpu")
    recipe = Recipe("r", 1, train_images=40, spare_images=20)
    prepared = prepare(data, recipe, cpu)
    plain = prepare(data, replace(recipe, spare_images=0), cpu)
    assert len(plain.validation_labels) == 100
    assert len(prepared.validation_labels) == 120
    assert torch.equal(prepared.validation_images[:100], plain.validation_images)
    trained_on = {tuple(image.flatten().tolist()) for image in prepared.images}
    spare = {tuple(image.flatten().tolist()) for image in prepared.validation_images[100:]}
    assert len(spare) == 20
    assert not spare & trained_on
    assert torch.bincount(prepared.validation_labels[100:]).tolist() == [5, 5, 5, 5]


def test_where_all_training_images_are_used_none_is_spare(data):
    recipe = Recipe("r", 1, spare_images=20)
    assert len(prepare(data, recipe, torch.device("cpu")).validation_labels) == 100


def test_other_data_under_the_same_recipe_are_prepared_anew(data):
    half = Split(data.train.images[:90], data.train.labels[:90])
    other = ImageData.of("half", half, data.validation, data.class_names)
    cpu = torch.device("cpu")
    assert len(prepare(data, Recipe("a", 1), cpu).labels) == len(data.train)
    assert len(prepare(other, Recipe("a", 1), cpu).labels) == 90


def test_only_the_chosen_images_are_mirrored():
    images = torch.arange(12.0).view(2, 1, 2, 3)
    result = augment(images, torch.tensor([False, True]), 0, Generator())
    assert torch.equal(result[0], images[0])
    assert result[1, 0].tolist() == [[8, 7, 6], [11, 10, 9]]


def test_every_crop_is_a_window_of_the_padded_image_and_all_shifts_occur():
    images = (torch.arange(200 * 2 * 5 * 4).view(200, 2, 5, 4) + 1.0).contiguous(
        memory_format=torch.channels_last
    )
    result = augment(images, None, 1, Generator().manual_seed(0))
    assert result.shape == images.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    seen = set()
    for number in range(200):
        windows = {
            (top, left): padded[number, :, top : top + 5, left : left + 4]
            for top in range(3)
            for left in range(3)
        }
        fits = [at for at, window in windows.items() if torch.equal(window, result[number])]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 9


def test_augmentation_is_decided_by_its_generator():
    images = torch.rand(20, 1, 6, 6)
    first, second, third = (
        augment(images, None, 2, Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
