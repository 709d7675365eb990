import os

import numpy as np
import pytest
import torch
from PIL import Image

from archpress.data import load_data
from archpress.errors import DataError


def write_photos(root, counts, size=(8, 8), mode="RGB", suffix=".png", seed=0):
    """`counts`: class name to number of images."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
            pixels = rng.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index:03}{suffix}")
    return root


COUNTS = {"cat": 20, "dog": 10}


def test_folders_of_classes_become_a_train_validation_and_carved_test_split(tmp_path):
    data = load_data(write_photos(tmp_path / "photos", COUNTS, size=(8, 6)))
    assert (data.name, data.class_names) == ("photos", ("cat", "dog"))
    assert data.input_shape == (3, 6, 8)
    # Test: a fifth of 20 and 10; validation: a tenth of the remaining 16 and 8, at least one.
    assert torch.bincount(data.read_test().labels).tolist() == [4, 2]
    assert torch.bincount(data.validation.labels).tolist() == [2, 1]
    assert torch.bincount(data.train.labels).tolist() == [14, 7]


def test_every_image_is_in_one_split_with_its_own_label(tmp_path):
    root = write_photos(tmp_path, COUNTS)
    data = load_data(root)
    found = {}
    for part in (data.train, data.validation, data.read_test()):
        for image, label in zip(part.images, part.labels, strict=True):
            found[image.permute(1, 2, 0).numpy().tobytes()] = data.class_names[label]
    expected = {
        np.asarray(Image.open(path)).tobytes(): path.parent.name for path in root.glob("*/*.png")
    }
    assert found == expected


def test_folders_of_splits_are_kept(tmp_path):
    for name, count in (("train", 6), ("val", 3), ("test", 4)):
        write_photos(tmp_path / name, {"cat": count, "dog": count}, seed=count)
    data = load_data(tmp_path)
    assert (len(data.train), len(data.validation), len(data.read_test())) == (12, 6, 8)


def test_without_a_test_folder_the_test_split_is_carved_from_train(tmp_path):
    write_photos(tmp_path / "train", {"cat": 10, "dog": 10})
    write_photos(tmp_path / "validation", {"cat": 1, "dog": 1}, seed=1)
    data = load_data(tmp_path)
    assert (len(data.train), len(data.validation), len(data.read_test())) == (16, 2, 4)


def test_too_few_images_to_carve_from_leave_no_test_split(tmp_path):
    data = load_data(write_photos(tmp_path, {"cat": 2, "dog": 2}))
    assert (len(data.train), len(data.validation)) == (2, 2)
    assert data.test_reader is None


def test_a_class_may_be_called_train(tmp_path):
    data = load_data(write_photos(tmp_path, {"bus": 10, "train": 10}))
    assert data.class_names == ("bus", "train")


def test_the_test_images_are_not_decoded_before_they_are_asked_for(tmp_path):
    for name in ("train", "test"):
        write_photos(tmp_path / name, {"cat": 4, "dog": 4}, size=(32, 32))
    path = tmp_path / "test" / "cat" / "000.png"
    path.write_bytes(path.read_bytes()[:1000])  # the header is whole
    data = load_data(tmp_path)
    with pytest.raises(DataError, match=r"test/cat/000\.png: cannot be read as an image"):
        data.read_test()


@pytest.mark.parametrize("shape", [None, (3, 16, 16)])
def test_a_test_image_without_a_header_is_refused_at_once(tmp_path, shape):
    for name in ("train", "test"):
        write_photos(tmp_path / name, {"cat": 4, "dog": 4})
    (tmp_path / "test" / "cat" / "000.png").write_bytes(b"bad")
    with pytest.raises(DataError, match=r"test/cat/000\.png: cannot be read as an image"):
        load_data(tmp_path, input_shape=shape)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".PNG"])
def test_all_usual_formats_are_read(tmp_path, suffix):
    data = load_data(write_photos(tmp_path, {"cat": 4, "dog": 4}, suffix=suffix))
    assert data.input_shape == (3, 8, 8)


def test_grey_images_have_one_channel_and_a_colour_image_makes_it_three(tmp_path):
    write_photos(tmp_path, COUNTS, mode="L")
    assert load_data(tmp_path).input_shape == (1, 8, 8)
    assert load_data(tmp_path, input_shape=(3, 8, 8)).input_shape == (3, 8, 8)
    for name in COUNTS:
        write_photos(tmp_path, {name: 8}, mode="RGB")
    assert load_data(tmp_path).input_shape == (3, 8, 8)
    assert load_data(tmp_path, input_shape=(1, 8, 8)).input_shape == (1, 8, 8)


def test_images_of_several_sizes_need_a_size(tmp_path):
    write_photos(tmp_path, {"cat": 6}, size=(8, 8))
    write_photos(tmp_path, {"dog": 6}, size=(10, 8))
    with pytest.raises(DataError, match=r"is 10x8, but .* is 8x8; give a size"):
        load_data(tmp_path)
    data = load_data(tmp_path, input_shape=(3, 12, 16))
    assert data.input_shape == data.read_test().shape == (3, 12, 16)


def test_an_image_is_cropped_in_its_middle_not_squeezed(tmp_path):
    write_photos(tmp_path, {"cat": 4, "dog": 4})
    pixels = np.zeros((8, 24), dtype=np.uint8)
    pixels[:, 8:16] = 255  # the middle third
    for path in tmp_path.glob("*/*.png"):
        Image.fromarray(pixels).save(path)
    data = load_data(tmp_path, input_shape=(1, 8, 8))
    assert int(data.train.images.min()) == 255


def test_a_test_image_of_another_size_is_refused_at_once(tmp_path):
    write_photos(tmp_path / "train", {"cat": 4, "dog": 4}, size=(8, 8))
    write_photos(tmp_path / "test", {"cat": 4, "dog": 4}, size=(9, 8))
    with pytest.raises(DataError, match=r"test/cat/000\.png: is 9x8, unlike the other images"):
        load_data(tmp_path)
    assert load_data(tmp_path, input_shape=(3, 8, 8)).read_test().shape == (3, 8, 8)


def test_a_test_image_that_changed_since_it_was_loaded_is_refused(tmp_path):
    for name in ("train", "test"):
        write_photos(tmp_path / name, {"cat": 4, "dog": 4})
    data = load_data(tmp_path)
    write_photos(tmp_path / "test", {"dog": 1}, size=(9, 8))
    with pytest.raises(DataError, match=r"test/dog/000\.png: is 9x8, unlike the other images"):
        data.read_test()


def test_an_image_of_another_size_is_refused_in_whichever_split_it_falls(tmp_path):
    write_photos(tmp_path, {"cat": 10, "dog": 10})
    for path in tmp_path.glob("*/*.png"):
        pixels = path.read_bytes()
        Image.new("RGB", (9, 8)).save(path)
        with pytest.raises(DataError, match="9x8"):
            load_data(tmp_path)
        path.write_bytes(pixels)


def test_unusual_modes_are_read(tmp_path):
    write_photos(tmp_path, COUNTS)
    paletted = Image.new("P", (8, 8), 1)
    paletted.putpalette([0, 0, 0, 10, 20, 30])
    deep = Image.fromarray(np.full((8, 8), 257 * 100, dtype=np.uint16))
    for path in tmp_path.glob("*/*.png"):
        match int(path.stem) % 3:
            case 0:
                paletted.save(path, transparency=bytes([0, 128]))
            case 1:
                Image.new("RGBA", (8, 8), (10, 20, 30, 40)).save(path)
            case _:
                deep.save(path)
    data = load_data(tmp_path)
    pixels = data.train.images.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)
    assert pixels.tolist() == [[10, 20, 30], [100, 100, 100]]


def test_more_images_than_there_is_memory_for_are_refused(tmp_path):
    write_photos(tmp_path, COUNTS)
    with pytest.raises(DataError, match="more than there is memory for; give a smaller size"):
        load_data(tmp_path, input_shape=(3, 4_000_000, 4_000_000))


def test_names_of_files_need_not_be_utf8_but_those_of_classes(tmp_path):
    write_photos(tmp_path, COUNTS)
    first = tmp_path / "cat" / "000.png"
    first.rename(first.with_name(os.fsdecode(b"caf\xe9.png")))
    assert load_data(tmp_path).classes == 2
    (tmp_path / "cat").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    with pytest.raises(DataError, match="is no UTF-8"):
        load_data(tmp_path)


def test_a_test_image_that_was_repaired_leaves_the_trials(tmp_path):
    for name in ("train", "test"):
        write_photos(tmp_path / name, {"cat": 4, "dog": 4})
    path = tmp_path / "test" / "cat" / "000.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    damaged = load_data(tmp_path)
    with pytest.raises(DataError, match=r"cat/000\.png"):
        damaged.read_test()
    path.write_bytes(whole)
    assert load_data(tmp_path).key == damaged.key


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_photo_taken_sideways_is_turned_upright(tmp_path, suffix):
    write_photos(tmp_path, {"cat": 4, "dog": 4}, suffix=suffix)
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:, :16] = 255  # the left half, which is the upper one of the upright photo
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    for path in tmp_path.glob("*/*"):
        Image.fromarray(pixels).save(path, exif=exif)
    train = load_data(tmp_path).train
    assert train.shape == (3, 32, 16)
    assert int(train.images[:, :, :12].min()) > 200
    assert int(train.images[:, :, 20:].max()) < 50


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_truncated_image_is_named(tmp_path, suffix, share):
    write_photos(tmp_path, {"cat": 4, "dog": 4}, size=(32, 32), suffix=suffix)
    for path in tmp_path.glob("dog/*"):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
    for shape in (None, (3, 16, 16)):
        with pytest.raises(DataError, match=rf"dog/00\d\{suffix}: cannot be read") as caught:
            load_data(tmp_path, input_shape=shape)
        assert "\n" not in str(caught.value)


def test_other_and_hidden_files_are_passed_over(tmp_path):
    write_photos(tmp_path, COUNTS)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / "._000.png").write_text("no image")
    (tmp_path / ".thumbnails").mkdir()
    assert load_data(tmp_path).class_names == ("cat", "dog")


def test_the_key_changes_with_a_pixel_and_with_a_test_file(tmp_path):
    for name in ("train", "test"):
        write_photos(tmp_path / name, {"cat": 4, "dog": 4})
    first = load_data(tmp_path).key
    assert load_data(tmp_path).key == first
    Image.new("RGB", (8, 8)).save(tmp_path / "train" / "cat" / "000.png")
    second = load_data(tmp_path).key
    (tmp_path / "test" / "cat" / "000.png").unlink()
    assert len({first, second, load_data(tmp_path).key}) == 3


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no folders named after classes"):
        load_data(tmp_path)


def test_a_class_without_images_is_refused(tmp_path):
    write_photos(tmp_path, {"cat": 4, "dog": 0})
    with pytest.raises(DataError, match=r"class 1 \(dog\) has 0 training images"):
        load_data(tmp_path)


def test_a_class_that_is_not_in_train_is_refused(tmp_path):
    write_photos(tmp_path / "train", {"cat": 4, "dog": 4})
    write_photos(tmp_path / "val", {"cat": 4, "fox": 4})
    with pytest.raises(DataError, match="class fox is not among those in"):
        load_data(tmp_path)


@pytest.mark.parametrize("shape", [(2, 8, 8), (3, 0, 8), (8, 8)])
def test_a_shape_that_images_cannot_have_is_refused(tmp_path, shape):
    write_photos(tmp_path, COUNTS)
    with pytest.raises(DataError, match="images are brought to 1xHxW or 3xHxW"):
        load_data(tmp_path, input_shape=shape)
