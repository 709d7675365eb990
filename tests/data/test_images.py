import hashlib
import multiprocessing
import pickle
from functools import partial

import numpy as np
import pytest
import torch

from archpress.data import ImageData, Split, load_data, require_shape
from archpress.data.images import channel_statistics
from archpress.errors import DataError


def split_of(count=20, classes=2, channels=1, seed=0):
    images = torch.randint(
        0,
        256,
        (count, channels, 4, 4),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(seed),
    )
    return Split(images, torch.arange(count) % classes)


def data_of(**changes):
    values = {
        "name": "made",
        "train": split_of(),
        "validation": split_of(4, seed=1),
        "class_names": ("a", "b"),
        "test_reader": partial(split_of, 6, seed=2),
        "test_identity": "t",
    }
    values |= changes
    return ImageData.of(**values)


def add_one(split, position):
    images = split.images.clone()
    images.view(-1)[position] += 1
    return Split(images, split.labels)


def test_a_split_refuses_images_that_are_not_bytes():
    with pytest.raises(DataError, match=r"uint8 `N x C x H x W`, not torch.float32 \(2, 1, 4, 4\)"):
        Split(torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]))


def test_a_split_refuses_another_number_of_labels():
    with pytest.raises(DataError, match="labels of 2 images"):
        Split(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 0]))


def test_mean_and_std_are_those_of_the_train_images_in_0_to_1():
    data = data_of(train=split_of(50, channels=3), validation=split_of(4, channels=3, seed=1))
    scaled = data.train.images.double() / 255
    assert data.mean == pytest.approx(scaled.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert data.std == pytest.approx(scaled.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-12)


def test_a_constant_channel_has_a_std_that_can_be_divided_by():
    mean, std = channel_statistics(torch.full((3, 1, 4, 4), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2,))
    assert std == (1 / 255,)


def test_the_key_is_16_hex_digits_and_the_same_for_the_same_contents():
    assert data_of().key == data_of(name="renamed", class_names=("x", "y")).key
    assert len(data_of().key) == 16
    assert int(data_of().key, 16) >= 0


@pytest.mark.parametrize(
    "changes",
    [
        {"train": add_one(split_of(), 0)},
        {"train": add_one(split_of(), -1)},
        {"train": Split(split_of().images, split_of().labels.flip(0))},
        {"train": split_of().take(np.arange(20)[::-1])},
        {"validation": add_one(split_of(4, seed=1), 7)},
        {"test_identity": "another"},
    ],
    ids=["first byte", "last byte", "labels", "order", "validation", "test"],
)
def test_the_key_changes_when_the_contents_do(changes):
    assert data_of(**changes).key != data_of().key


def test_the_key_is_the_same_on_every_machine():
    split = Split(torch.arange(32, dtype=torch.uint8).reshape(2, 1, 4, 4), torch.tensor([0, 1]))
    part = b"(2, 1, 4, 4)" + bytes(range(32)) + bytes(8) + bytes([1]) + bytes(7)
    by_hand = hashlib.sha256(b"archpress image data 1" + part + part + b"t").hexdigest()[:16]
    assert data_of(train=split, validation=split).key == by_hand
    # Pinned too: with another key, what is stored about all data would be lost.
    assert by_hand == "1bc6e1d832679540"


def test_the_test_split_is_not_read_before_it_is_asked_for():
    opened = []

    def reader():
        opened.append(1)
        return split_of(6)

    data = data_of(test_reader=reader)
    data.subset(10)
    assert opened == []
    assert len(data.read_test()) == 6
    assert opened == [1]


def test_data_without_a_test_split_say_so():
    with pytest.raises(DataError, match="'made' have no test split"):
        data_of(test_reader=None).read_test()


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (split_of(6, channels=3), "test images of 'made' are 3x4x4, but those for training 1x4x4"),
        (split_of(6, classes=3), "label 2 of image 2 is not in 0..1"),
        (split_of(0), "test split of 'made' is empty"),
    ],
)
def test_a_test_split_that_does_not_fit_is_refused(test, sentence):
    with pytest.raises(DataError, match=sentence.replace("training", "training are")):
        data_of(test_reader=lambda: test).read_test()


def test_a_subset_is_class_balanced_and_keeps_the_rest():
    labels = torch.tensor([0] * 30 + [1] * 6)
    train = Split(torch.zeros(36, 1, 4, 4, dtype=torch.uint8), labels)
    whole = data_of(train=train)
    small = whole.subset(16)
    assert torch.bincount(small.train.labels).tolist() == [10, 6]
    assert small.validation is whole.validation
    assert small.key != whole.key
    assert len(small.read_test()) == 6


def test_a_subset_depends_on_its_seed_alone():
    assert data_of().subset(10, seed=3).key == data_of().subset(10, seed=3).key
    assert data_of().subset(10, seed=3).key != data_of().subset(10, seed=4).key
    whole = data_of()
    assert whole.subset(20) is whole


def test_a_subset_smaller_than_the_classes_is_refused():
    with pytest.raises(DataError, match="1 training images cannot hold the 2 classes"):
        data_of().subset(1)


def test_a_pickled_copy_is_the_same_data_with_its_test_split():
    data = data_of()
    copy = pickle.loads(pickle.dumps(data))
    assert copy.key == data.key
    assert torch.equal(copy.train.images, data.train.images)
    assert torch.equal(copy.read_test().images, data.read_test().images)


@pytest.mark.slow
def test_a_worker_process_gets_the_same_data():
    data = load_data("fashion-mnist-sample", max_train=100)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        # The worker works out the key of the smaller data from the images that it got.
        small = pool.apply(ImageData.subset, (data, 50))
    assert small.key == data.subset(50).key
    assert len(small.read_test()) == 2000


def test_data_that_a_network_takes_are_let_through():
    require_shape(data_of(), (1, 4, 4), 2)


@pytest.mark.parametrize(("shape", "classes"), [((3, 4, 4), 2), ((1, 4, 4), 10)])
def test_data_that_a_network_cannot_take_are_refused(shape, classes):
    with pytest.raises(DataError, match="but the data 'made' hold 1x4x4 images of 2 classes"):
        require_shape(data_of(), shape, classes)


def test_the_text_of_data_tells_its_sizes_not_its_pixels():
    text = repr(data_of())
    assert "20 train and 4 validation images of 1x4x4, 2 classes" in text
    assert "tensor" not in text
