"""Small real images, for runs that are brief."""

import pytest

from archpress.data import ImageData, load_data
from archpress.data.images import Split


def part(split, count):
    return Split(split.images[:count], split.labels[:count])


@pytest.fixture(scope="session")
def images():
    full = load_data("fashion-mnist-sample", max_train=300)
    test = part(full.read_test(), 100)
    return ImageData.of(
        "small",
        full.train,
        part(full.validation, 100),
        full.class_names,
        test_reader=lambda: test,
        test_identity="the first 100",
    )
