import numpy as np
import pytest
import torch

from archpress.data.arrays import check_shape, images_tensor, labels_tensor
from archpress.errors import DataError

PLANES = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 7), dtype=np.uint8)  # N C H W


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PLANES, PLANES),
        (PLANES.transpose(0, 2, 3, 1), PLANES),
        (PLANES[:, 0], PLANES[:, :1]),
        (PLANES[:, :1], PLANES[:, :1]),
        (PLANES[:, :1].transpose(0, 2, 3, 1), PLANES[:, :1]),
    ],
    ids=["N C H W", "N H W C", "N H W", "N 1 H W", "N H W 1"],
)
def test_every_layout_becomes_channels_first(array, expected):
    tensor = images_tensor(array, "doc")
    assert tensor.dtype == torch.uint8
    assert np.array_equal(tensor.numpy(), expected)
    assert tensor.is_contiguous()


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_other_numbers_of_channels_are_the_axis_that_is_narrower_than_the_sides(channels):
    planes = np.arange(2 * channels * 6 * 7, dtype=np.uint8).reshape(2, channels, 6, 7)
    for array in (planes, planes.transpose(0, 2, 3, 1)):
        assert np.array_equal(images_tensor(array, "doc").numpy(), planes)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_become_256_levels(dtype):
    levels = (np.arange(256) / 255).astype(dtype).reshape(1, 16, 16)
    assert images_tensor(levels, "doc").flatten().tolist() == list(range(256))


def test_wide_integers_from_0_to_255_are_taken_as_they_are():
    assert torch.equal(images_tensor(PLANES.astype(np.int64), "doc"), images_tensor(PLANES, "doc"))


def test_images_that_cannot_be_written_to_are_copied():
    frozen = np.frombuffer(bytes(32), dtype=np.uint8).reshape(2, 4, 4)
    images_tensor(frozen, "doc").fill_(7)
    assert not frozen.any()


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((2, 5, 6, 5), np.uint8), r"narrower than height and width, not \(2, 5, 6, 5\)"),
        (
            np.zeros((2, 3, 6, 3), np.uint8),
            r"one axis C that is 1 or 3 wide or .* not \(2, 3, 6, 3\)",
        ),
        (np.zeros((2, 5), np.uint8), r"not \(2, 5\)"),
        (np.zeros((0, 5, 5), np.uint8), "holds no images"),
        (np.full((2, 5, 5), 1.5), r"must be in 0..1, but are in 1.5..1.5"),
        (np.full((2, 5, 5), -0.1), r"must be in 0..1"),
        (np.full((2, 5, 5), np.nan), r"must be in 0..1"),
        (np.full((2, 5, 5), 256), r"must be in 0..255"),
        (np.full((2, 5, 5), -1), r"must be in 0..255"),
        (np.zeros((2, 5, 5), bool), "uint8 or floats"),
        (np.full((2, 5, 5), "a"), "uint8 or floats"),
    ],
)
def test_what_are_no_images_is_refused(array, sentence):
    with pytest.raises(DataError, match=f"^doc: .*{sentence}"):
        images_tensor(array, "doc")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, ">u2"])
def test_labels_of_any_integer_kind_become_int64(dtype):
    for shape in ((3,), (3, 1)):
        labels = labels_tensor(np.array([2, 0, 1], dtype=dtype).reshape(shape), 3, "doc")
        assert labels.dtype == torch.int64
        assert labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.zeros(3), "one integer an image, not float64"),
        (np.zeros((4, 10), np.int64), r"one integer an image, not int64 of shape \(4, 10\)"),
        (np.array(["a"] * 4), "one integer an image"),
        (np.zeros(3, np.int64), "4 images, but 3 labels"),
    ],
)
def test_what_are_no_labels_is_refused(labels, sentence):
    with pytest.raises(DataError, match=sentence):
        labels_tensor(labels, 4, "doc")


def test_another_shape_than_asked_for_is_refused():
    check_shape((1, 28, 28), None, "doc")
    check_shape((1, 28, 28), (1, 28, 28), "doc")
    with pytest.raises(DataError, match="the images are 1x28x28, not 3x32x32"):
        check_shape((1, 28, 28), (3, 32, 32), "doc")
