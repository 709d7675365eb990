"""Small real images, for runs that are brief."""

import pytest

from archpress.compression import timing
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


@pytest.fixture(autouse=True)
def brief_timing(request, monkeypatch):
    """Timing nets as well as users want takes half of a run as brief as those of tests."""
    if request.node.path.stem not in ("test_timing", "test_cli_profile"):
        for how in ("BRIEFLY", "CAREFULLY", "FINALLY"):
            monkeypatch.setattr(timing, how, (0.001, 1))
