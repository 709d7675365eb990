import zipfile

import numpy as np
import pytest
import torch

from archpress.data import load_data
from archpress.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_train_and_test_arrays_become_the_splits(tmp_path):
    path = write(
        tmp_path / "mine.npz",
        x_train=IMAGES,
        y_train=LABELS,
        x_test=IMAGES[::-1],
        y_test=LABELS[::-1],
    )
    data = load_data(path)
    assert (data.name, data.input_shape, data.classes) == ("mine", (3, 6, 5), 3)
    assert (len(data.train), len(data.validation)) == (54, 6)
    test = data.read_test()
    assert np.array_equal(test.images.numpy(), IMAGES[::-1].transpose(0, 3, 1, 2))
    assert test.labels.tolist() == LABELS[::-1].tolist()


def test_a_path_may_be_text(tmp_path):
    path = write(tmp_path / "mine.npz", x=IMAGES, y=LABELS)
    assert load_data(str(path)).key == load_data(path).key


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels")])
def test_undivided_arrays_give_a_carved_test_split(tmp_path, keys):
    path = write(tmp_path / "mine.npz", **dict(zip(keys, (IMAGES, LABELS), strict=True)))
    data = load_data(path)
    parts = [data.train, data.validation, data.read_test()]
    assert [len(part) for part in parts] == [42, 6, 12]  # 60 x 0.2 = 12, then 48 x 0.1, by class
    pixels = torch.cat([part.images for part in parts]).numpy()
    assert len({image.tobytes() for image in pixels}) == 60
    assert torch.bincount(parts[2].labels).tolist() == [4, 4, 4]


def test_too_few_images_to_carve_from_leave_no_test_split(tmp_path):
    data = load_data(write(tmp_path / "mine.npz", x=IMAGES[:6], y=LABELS[:6]))
    assert (len(data.train), len(data.validation)) == (3, 3)
    assert data.test_reader is None


def test_the_carved_test_split_does_not_depend_on_the_seed(tmp_path):
    path = write(tmp_path / "mine.npz", x=IMAGES, y=LABELS)
    first, other = (load_data(path, seed=seed).read_test() for seed in (1, 2))
    assert torch.equal(first.images, other.images)


def test_a_published_spelling_with_its_own_validation_is_understood(tmp_path):
    path = write(
        tmp_path / "medical.npz",
        train_images=IMAGES,
        train_labels=LABELS[:, None],
        val_images=IMAGES[:9],
        val_labels=LABELS[:9, None],
        test_images=IMAGES[:6],
        test_labels=LABELS[:6, None],
    )
    data = load_data(path)
    assert (len(data.train), len(data.validation), len(data.read_test())) == (60, 9, 6)


@pytest.mark.parametrize("part", ["validation", "val", "valid"])
@pytest.mark.parametrize("train", [("x_train", "y_train"), ("x", "y")])
def test_validation_and_test_arrays_are_kept_however_they_are_spelled(tmp_path, part, train):
    arrays = dict(zip(train, (IMAGES, LABELS), strict=True))
    for name, count in ((part, 9), ("test", 6)):
        arrays |= {f"x_{name}": IMAGES[:count], f"y_{name}": LABELS[:count]}
    data = load_data(write(tmp_path / "mine.npz", **arrays))
    assert (len(data.train), len(data.validation), len(data.read_test())) == (60, 9, 6)


def test_without_test_arrays_there_is_no_test_split(tmp_path):
    data = load_data(write(tmp_path / "mine.npz", x_train=IMAGES, y_train=LABELS))
    with pytest.raises(DataError, match="have no test split"):
        data.read_test()


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES[:5, :4], LABELS[:5], "the test images are 3x4x5, but those for training are 3x6x5"),
        (IMAGES[:5, 0, 0, 0], LABELS[:5], "images must be N x H x W"),
        (IMAGES[:5] > 9, LABELS[:5], "images must be uint8 or floats"),
        (IMAGES[:0], LABELS[:0], "holds no images"),
        (IMAGES[:5], LABELS[:4], "5 images, but 4 labels"),
        (IMAGES[:5], LABELS[:5] + 1, r"label 3 of image 2 is not in 0\.\.2"),
        (IMAGES[:5], LABELS[:5] / 2, "one integer an image"),
        (IMAGES[:5], LABELS[:5].astype(object), "pickled objects are not read"),
        (IMAGES[:5].astype(object), LABELS[:5], "pickled objects are not read"),
    ],
)
def test_test_arrays_that_do_not_fit_are_refused_at_once(tmp_path, images, labels, sentence):
    arrays = {"x_test": images, "y_test": labels}
    path = write(tmp_path / "bad.npz", x_train=IMAGES, y_train=LABELS, **arrays)
    with pytest.raises(DataError, match=sentence) as caught:
        load_data(path)
    assert f"{path} (x_test, y_test)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x_test", "x_test.npy", "y_test", "y_test.npy"])
def test_test_members_that_are_no_arrays_are_refused_at_once(tmp_path, name):
    arrays = {"x_test": IMAGES[:5], "y_test": LABELS[:5]}
    del arrays[name[:6]]
    path = write(tmp_path / "bad.npz", x_train=IMAGES, y_train=LABELS, **arrays)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, "hello")
    with pytest.raises(DataError, match=f"{name[:6]} is no array as numpy.savez writes it"):
        load_data(path)


def test_the_pixels_of_the_test_images_are_not_read_before_they_are_asked_for(tmp_path):
    arrays = {"x_test": IMAGES[::-1], "y_test": LABELS}
    path = write(tmp_path / "mine.npz", x_train=IMAGES, y_train=LABELS, **arrays)
    content, last = path.read_bytes(), IMAGES[0].tobytes()
    path.write_bytes(bytes(len(last)).join(content.rsplit(last, 1)))
    data = load_data(path)
    with pytest.raises(DataError, match="truncated or damaged"):
        data.read_test()


def test_damaged_test_arrays_do_not_show_before_they_are_read(tmp_path):
    path = write(
        tmp_path / "mine.npz",
        x_train=IMAGES,
        y_train=LABELS,
        x_test=np.full((5, 6, 5, 3), -1),
        y_test=LABELS[:5],
    )
    data = load_data(path)
    with pytest.raises(DataError, match=r"must be in 0\.\.255"):
        data.read_test()


def test_the_key_changes_with_the_test_arrays_though_they_are_not_read(tmp_path):
    keys = set()
    for level in (0, 1):
        arrays = {"x_train": IMAGES, "y_train": LABELS, "y_test": LABELS[:5]}
        path = write(tmp_path / "a.npz", x_test=np.full((5, 6, 5, 3), level, np.uint8), **arrays)
        keys.add(load_data(path).key)
    assert len(keys) == 2


def test_the_key_does_not_depend_on_the_name_or_the_layout(tmp_path):
    first = write(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS)
    second = write(tmp_path / "b.npz", x_train=IMAGES.transpose(0, 3, 1, 2), y_train=LABELS)
    assert load_data(first).key == load_data(second).key


def test_pickled_objects_are_refused(tmp_path):
    images = np.array([{"run": "me"}] * 4, dtype=object)
    path = write(tmp_path / "bad.npz", x_train=images, y_train=np.array([0, 0, 1, 1]))
    with pytest.raises(DataError, match="pickled objects are not read"):
        load_data(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = write(tmp_path / "bad.npz", x_train=IMAGES, y_train=LABELS)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"bad\.npz: not an \.npz file, or a truncated one"):
        load_data(path)


def test_a_flipped_byte_is_noticed(tmp_path):
    path = write(tmp_path / "bad.npz", x_train=IMAGES, y_train=LABELS)
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated or damaged"):
        load_data(path)


def test_what_is_no_npz_file_is_refused(tmp_path):
    path = tmp_path / "bad.npz"
    path.write_text("hello")
    with pytest.raises(DataError, match=r"not an \.npz file"):
        load_data(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x_train.npy", "hello")
        file.writestr("y_train.npy", "hello")
    with pytest.raises(DataError, match=r"bad\.npz"):
        load_data(path)


def test_a_file_that_is_locked_is_refused(tmp_path):
    path = tmp_path / "locked.npz"
    np.savez(path, x=np.zeros((4, 8, 8), np.uint8), y=np.arange(4) % 2)
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + flags] |= 1  # encrypted
            at = content.find(mark, at + 4)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"locked\.npz: truncated or damaged \(.*encrypted"):
        load_data(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.npz: there is no such file"):
        load_data(tmp_path / "gone.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": IMAGES}, "needs the arrays x_train and y_train .* but holds a$"),
        ({"x_train": IMAGES}, "x_train lacks y_train"),
        ({"x_train": IMAGES, "y_train": LABELS[:-1]}, "60 images, but 59 labels"),
        ({"x_train": IMAGES, "y_train": LABELS - 1}, "label -1 of image 0 is not in 0..1"),
        ({"x_train": IMAGES, "y_train": LABELS * 2}, "class 1 .1. has 0 training images"),
        ({"x_train": IMAGES, "y_train": LABELS + 10**9}, "is not in 0..60"),
        ({"x_train": IMAGES, "y_train": np.arange(60)}, "class 0 .0. has 1 training images"),
        ({"x_train": IMAGES, "y_train": LABELS * 0}, "at least two classes"),
        ({"x_train": IMAGES, "y_train": LABELS * 1.0}, "one integer an image"),
        ({"x_train": IMAGES / 100, "y_train": LABELS}, "must be in 0..1"),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "holds no images"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_sentence(tmp_path, arrays, sentence):
    path = write(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=sentence) as caught:
        load_data(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_shape_than_asked_for_is_refused(tmp_path):
    path = write(tmp_path / "mine.npz", x_train=IMAGES, y_train=LABELS)
    assert load_data(path, input_shape=(3, 6, 5)).input_shape == (3, 6, 5)
    with pytest.raises(DataError, match="the images are 3x6x5, not 3x32x32"):
        load_data(path, input_shape=(3, 32, 32))
