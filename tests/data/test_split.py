import numpy as np
import pytest
import torch

from archpress.data import Split
from archpress.data.sampling import balanced, generator, held_out
from archpress.data.split import ImageSource, carve_test, divide
from archpress.errors import DataError


def source_of(labels, classes=None, **changes):
    labels = torch.as_tensor(labels)
    # Each image holds its own number, so images can be told apart after the split.
    numbers = torch.arange(len(labels)).reshape(-1, 1, 1, 1)
    images = torch.cat([numbers // 256, numbers % 256], dim=3).to(torch.uint8)
    names = tuple("abcdefgh"[: classes or int(labels.max()) + 1])
    return ImageSource("made", Split(images, labels), names, **changes)


def numbers_of(split):
    flat = split.images.long().reshape(-1, 2)
    return (flat[:, 0] * 256 + flat[:, 1]).tolist()


LABELS = np.repeat([0, 1, 2], [300, 100, 20])


def test_validation_has_the_same_share_of_every_class():
    data = divide(source_of(LABELS), seed=0, validation_fraction=0.1)
    assert torch.bincount(data.validation.labels).tolist() == [30, 10, 2]
    assert torch.bincount(data.train.labels).tolist() == [270, 90, 18]


def test_no_image_is_lost_or_in_both_splits():
    data = divide(source_of(LABELS), seed=5)
    assert sorted(numbers_of(data.train) + numbers_of(data.validation)) == list(range(420))


def test_labels_stay_with_their_images():
    data = divide(source_of(LABELS), seed=5)
    assert data.train.labels.tolist() == LABELS[numbers_of(data.train)].tolist()


def test_a_small_class_still_gives_one_image_to_validation():
    data = divide(source_of([0] * 20 + [1] * 2), seed=0)
    assert torch.bincount(data.validation.labels).tolist() == [2, 1]


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    first, again, other = (divide(source_of(LABELS), seed=seed) for seed in (1, 1, 2))
    assert numbers_of(first.validation) == numbers_of(again.validation)
    assert first.key == again.key
    assert set(numbers_of(first.validation)) != set(numbers_of(other.validation))


def test_the_split_of_a_seed_never_changes():
    # The words of PCG64((0, 0)), in units of 1e18: 11.7 5.0 0.8 0.3 15.0 16.8 for class 0, then
    # 11.2 13.5 10.0 17.2 15.1 0.1 for class 1. The two smallest of each are held out (6 x 0.3).
    stay, held = held_out(np.repeat([0, 1], 6), 0.3, generator(0, "validation"))
    assert held.tolist() == [11, 3, 2, 8]
    assert stay.tolist() == [1, 6, 0, 7, 4, 10, 5, 9]


def test_train_images_come_in_random_order_of_classes():
    data = divide(source_of(LABELS), seed=0)
    assert (data.train.labels[:50] == 0).sum() < 50


def test_max_train_takes_equally_many_of_each_class_and_leaves_validation():
    whole = divide(source_of(LABELS), seed=0)
    small = divide(source_of(LABELS), seed=0, max_train=120)
    # Classes of 270, 90 and 18: all 18, then (120 - 18) / 2 = 51 of the others.
    assert torch.bincount(small.train.labels).tolist() == [51, 51, 18]
    assert numbers_of(small.validation) == numbers_of(whole.validation)
    assert set(numbers_of(small.train)) <= set(numbers_of(whole.train))


@pytest.mark.parametrize("count", [3, 4, 7, 60, 419, 420])
def test_a_balanced_choice_has_as_many_images_as_asked_each_once(count):
    chosen = balanced(LABELS, count, generator(0, "subset"))
    assert len(set(chosen.tolist())) == count
    counts = np.bincount(LABELS[chosen], minlength=3)
    full = counts == [300, 100, 20]
    assert counts[~full].max(initial=0) - counts[~full].min(initial=10**6) <= 1


def test_a_given_validation_split_is_kept():
    own = source_of([0, 1, 1]).train
    data = divide(source_of([0, 1] * 5, validation=own), seed=0)
    assert data.validation is own
    assert len(data.train) == 10


@pytest.mark.parametrize(
    ("validation", "sentence"),
    [
        (source_of([0, 2]).train, "label 2 of image 1 is not in 0..1"),
        (Split(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])), "are 3x4x4"),
        (Split(torch.zeros(0, 1, 1, 2, dtype=torch.uint8), torch.zeros(0).long()), "is empty"),
    ],
)
def test_a_given_validation_split_that_does_not_fit_is_refused(validation, sentence):
    with pytest.raises(DataError, match=sentence):
        divide(source_of([0, 1] * 5, validation=validation), seed=0)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 0, -1, 1, 1], "label -1 of image 2 is not in 0..1"),
        ([0, 0, 2, 2], r"class 1 \(b\) has 0 training images; each of the classes 0..2 needs"),
        ([0, 0, 1], r"class 1 \(b\) has 1 training images"),
        ([0, 0, 0], "needs at least two classes, but has 1"),
    ],
    ids=["negative", "gap", "single", "one class"],
)
def test_labels_that_cannot_be_learned_are_refused(labels, sentence):
    with pytest.raises(DataError, match=sentence):
        divide(source_of(labels), seed=0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"validation_fraction": 0.0}, "between 0 and 1, but is 0.0"),
        ({"validation_fraction": 1.0}, "between 0 and 1, but is 1.0"),
        ({"validation_fraction": float("nan")}, "between 0 and 1, but is nan"),
        ({"seed": -1}, "must not be negative, but is -1"),
        ({"max_train": 1}, "cannot hold the 3 classes"),
        ({"max_train": 0}, "cannot hold the 3 classes"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        divide(source_of(LABELS), **({"seed": 0} | arguments))


def test_a_carved_test_split_leaves_two_images_of_each_class():
    stay, held = carve_test(np.repeat([0, 1, 2], [20, 3, 2]))
    assert np.bincount(np.repeat([0, 1, 2], [20, 3, 2])[held], minlength=3).tolist() == [4, 1, 0]
    assert len(stay) + len(held) == 25
