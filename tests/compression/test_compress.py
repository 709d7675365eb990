"""What a compression says before anything is trained."""

import pytest

from archpress.architecture import Architecture, Layer, with_linear_head
from archpress.compression.compress import asks_nothing_of
from archpress.space import Form, Limits, space_around

# Averages after the linear layer, so the net where the search begins has fewer multiply-adds.
SOURCE = Architecture(
    (1, 8, 8),
    (
        Layer("conv", 3, 8, 1, 1),
        Layer("conv", 1, 4, 1),
        Layer("global_average_pool"),
        Layer("flatten"),
    ),
)


@pytest.mark.parametrize(
    ("limits", "form", "asks_nothing"),
    [
        (Limits(max_macs=SOURCE.macs), Form(), True),
        (Limits(max_macs=SOURCE.macs - 1), Form(), False),
        (Limits(max_macs=SOURCE.macs, max_accuracy_loss=0.1), Form(), False),
        (Limits(max_macs=SOURCE.macs), Form(round_channels=16), False),
    ],
)
def test_whether_the_source_would_do_is_known_of_the_source_itself(limits, form, asks_nothing):
    searched = with_linear_head(SOURCE)
    assert searched.macs < SOURCE.macs
    assert asks_nothing_of(SOURCE, limits, space_around(searched, limits, form)) is asks_nothing
