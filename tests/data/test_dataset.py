import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from archpress.data import from_dataset
from archpress.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
LABELS = [0, 1] * 20


class Items:
    """A dataset that counts how often it is asked."""

    def __init__(self, images, labels=LABELS):
        self.images, self.labels, self.asked = images, labels, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked += 1
        return self.images[index], self.labels[index]


KINDS = {
    "byte tensors": torch.from_numpy(PIXELS),
    "float tensors": torch.from_numpy(PIXELS).float() / 255,
    "arrays C H W": PIXELS,
    "arrays H W C": PIXELS.transpose(0, 2, 3, 1),
    "PIL images": [Image.fromarray(image) for image in PIXELS.transpose(0, 2, 3, 1)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_gives_the_same_data(kind):
    data = from_dataset(Items(KINDS[kind]), name="mine")
    assert (data.input_shape, data.classes) == ((3, 6, 5), 2)
    assert data.key == from_dataset(Items(PIXELS), name="mine").key
    both = torch.cat([data.train.images, data.validation.images]).numpy()
    assert sorted(map(bytes, both)) == sorted(map(bytes, PIXELS))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_grey_images_of_wide_numbers_keep_their_values_where_these_are_bytes(kind):
    wide = [Image.fromarray(image[0].astype(kind)) for image in PIXELS]
    grey = [Image.fromarray(image[0]) for image in PIXELS]
    assert from_dataset(Items(wide), name="mine").key == from_dataset(Items(grey), name="mine").key


@pytest.mark.parametrize("values", [(0.0, 0.5), (-1.0, 1.0), (0.0, 70_000.0)])
def test_grey_images_of_other_numbers_are_refused(values):
    image = Image.fromarray(np.array([values], dtype=np.float32))
    with pytest.raises(DataError, match=r"item 0: an image of mode F .* give it 8 bits a pixel"):
        from_dataset(Items([image] * 40), name="mine")


def test_images_of_a_kind_that_numpy_does_not_have_are_taken():
    images = torch.ones(40, 3, 6, 5, dtype=torch.bfloat16)
    assert (from_dataset(Items(images), name="mine").train.images == 255).all()


def test_a_dataset_of_torch_is_taken():
    dataset = TensorDataset(torch.from_numpy(PIXELS), torch.tensor(LABELS))
    assert len(from_dataset(dataset, name="mine").train) == 36


def test_grey_pil_images_have_one_channel_and_may_be_resized():
    images = [Image.fromarray(image[0]) for image in PIXELS]
    assert from_dataset(Items(images), name="mine").input_shape == (1, 6, 5)
    resized = from_dataset(Items(images), Items(images), name="mine", input_shape=(3, 8, 8))
    assert resized.input_shape == resized.read_test().shape == (3, 8, 8)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_pil_image_taken_sideways_is_turned_upright_and_keeps_its_size(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:, :16] = 255  # the left half, which is the upper one of the upright photo
    Image.fromarray(pixels).save(tmp_path / f"photo{suffix}", exif=exif)
    photos = [Image.open(tmp_path / f"photo{suffix}")] * 40
    train = from_dataset(Items(photos), name="mine").train
    assert train.shape == (3, 32, 16)
    assert int(train.images[:, :, :12].min()) > 200
    assert int(train.images[:, :, 20:].max()) < 50


def test_the_test_dataset_is_not_touched_before_it_is_asked_for():
    test = Items(PIXELS[:10])
    data = from_dataset(Items(PIXELS), test, name="mine")
    assert test.asked == 0
    assert np.array_equal(data.read_test().images.numpy(), PIXELS[:10])


def test_a_given_validation_dataset_is_kept():
    data = from_dataset(Items(PIXELS), validation=Items(PIXELS[:4]), name="mine")
    assert (len(data.train), len(data.validation)) == (40, 4)


def test_class_names_are_those_given_or_those_of_the_dataset_or_numbers():
    dataset = Items(PIXELS)
    assert from_dataset(dataset, name="mine").class_names == ("0", "1")
    dataset.classes = ["cat", "dog"]
    assert from_dataset(dataset, name="mine").class_names == ("cat", "dog")
    assert from_dataset(dataset, name="mine", class_names=("a", "b")).class_names == ("a", "b")
    dataset.classes = 2
    assert from_dataset(dataset, name="mine").class_names == ("0", "1")


def test_data_can_be_pickled_with_their_test_dataset():
    test = TensorDataset(torch.from_numpy(PIXELS[:6]), torch.tensor(LABELS[:6]))
    data = pickle.loads(pickle.dumps(from_dataset(Items(PIXELS), test, name="mine")))
    assert len(data.read_test()) == 6


def test_a_test_dataset_that_cannot_be_pickled_stays_behind():
    test = Items(PIXELS[:6])
    test.transform = lambda image: image
    data = from_dataset(Items(PIXELS), test, name="mine")
    copy = pickle.loads(pickle.dumps(data))
    assert copy.key == data.key
    assert len(data.read_test()) == 6
    with pytest.raises(DataError, match="read only in the process that loaded it"):
        copy.read_test()


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        ((PIXELS - 128.0) / 60, LABELS, "item 0: values of float64 images must be in 0..1"),
        ([*PIXELS[:39], PIXELS[0, :, :5]], LABELS, "item 39: the image is 3x5x5, not 3x6x5"),
        (["text"] * 40, LABELS, "item 0: the image must be a tensor, an array or a PIL image"),
        (PIXELS, [0.5] * 40, "item 0: the label must be an integer, not 0.5"),
        (PIXELS, [2**70] * 40, "item 0: the label must be an integer, not 1180591620717411303424"),
        (PIXELS, [0, 2] * 20, "class 1 .1. has 0 training images"),
        (PIXELS, [0, -1] * 20, "label -1 of image 1"),
        ([], [], "the dataset is empty"),
    ],
)
def test_items_that_do_not_fit_are_refused(images, labels, sentence):
    with pytest.raises(DataError, match=sentence):
        from_dataset(Items(images, labels), name="mine")


def test_items_that_are_no_pairs_are_refused():
    with pytest.raises(DataError, match=r"must be an \(image, label\) pair, not ndarray"):
        from_dataset(PIXELS, name="mine")
