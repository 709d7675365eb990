from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest

from archpress.architecture import named
from archpress.errors import SpaceError
from archpress.space import Limits, Neighbourhood, Row, RowSpace, space_around

CONV7, RESNET = named("conv7"), named("resnet20")


def rows(sizes=(4, 3, 5)):
    all_choices = product(*(range(size) for size in sizes))
    return [Row(choices, 100 + 50 * sum(choices)) for choices in all_choices]


def table(limits=None):
    found = rows()
    return RowSpace(found, found[-1], limits or Limits())


SPACES = {
    "conv7": lambda: Neighbourhood(CONV7, space_around(CONV7, Limits(max_parameters=20_000))),
    "resnet20": lambda: Neighbourhood(RESNET, space_around(RESNET, Limits(max_macs=5_000_000))),
    "table": table,
    "limited table": lambda: table(Limits(max_parameters=300)),
}


@pytest.fixture(params=list(SPACES))
def space(request):
    return SPACES[request.param]()


def test_samples_are_in_the_space_and_differ(space):
    found = list(islice(space.sample(np.random.default_rng(0)), 40))
    assert [space.why_not(one) for one in found] == [None] * 40
    assert len({one.key for one in found}) > 10


def test_edits_are_in_the_space_and_mostly_change_something(space):
    rng = np.random.default_rng(0)
    start = next(space.sample(rng))
    found = [space.edit(start, rng, edits=1 + i % 3) for i in range(30)]
    assert [space.why_not(one) for one in found] == [None] * 30
    assert sum(one.key != start.key for one in found) > 15


def test_any_turn_of_the_dials_is_in_the_space(space):
    rng = np.random.default_rng(0)
    dials = space.dials()
    assert len({dial.name for dial in dials}) == len(dials)
    turned = [
        space.turn({dial.name: int(rng.integers(dial.low, dial.high + 1)) for dial in dials})
        for _ in range(30)
    ]
    assert [space.why_not(one) for one in turned] == [None] * 30
    assert len({one.key for one in turned}) > 5


def test_the_same_seed_gives_the_same_designs(space):
    first, second = (
        [one.key for one in islice(space.sample(np.random.default_rng(3)), 5)] for _ in range(2)
    )
    assert first == second


def test_everything_is_in_the_space(space):
    everything = space.everything()
    if everything is not None:
        assert all(space.why_not(one) is None for one in everything)


def test_the_widest_dials_of_a_net_are_the_net_itself():
    space = Neighbourhood(CONV7, replace(space_around(CONV7), most_activations=None))
    kernels = [kernel for kernel in space.search_space.kernels if kernel % 2]
    values = {"average": 0}
    for index, layer in enumerate(CONV7.layers):
        values[f"width{index}"] = 12
        values[f"kernel{index}"] = kernels.index(layer.kernel) if layer.kernel % 2 else 0
    turned = space.turn(values)
    widths = [layer.channels for layer in turned.layers if layer.kind == "conv"]
    assert widths == [layer.channels for layer in CONV7.layers if layer.kind == "conv"]


def test_a_join_reads_what_it_read_where_a_dial_leaves_a_layer_out():
    space = Neighbourhood(RESNET, replace(space_around(RESNET), most_activations=None))
    values = {dial.name: dial.high for dial in space.dials()}
    turned = space.turn(values | {"width6": 0})  # the second convolution of the first block
    kinds = [layer.kind for layer in turned.layers[:8]]
    assert kinds == ["conv", "batch_norm", "relu", "conv", "batch_norm", "relu", "add", "conv"]
    assert turned.input_indices(6) == (5, 2)
    assert turned.input_indices(12) == (11, 6)  # the next block's join, behind its two convolutions


def test_the_settings_of_a_row_turn_into_it():
    space = table()
    for row in rows():
        names = [dial.name for dial in space.dials()]
        assert space.turn(dict(zip(names, space.settings(row), strict=True))) == row


def test_a_row_that_a_table_lacks_becomes_its_neighbour():
    space = RowSpace([Row((0, 0), 10), Row((0, 3), 20), Row((5, 5), 90)], Row((5, 5), 90))
    assert space.turn({"x0": 1, "x1": 3}) == Row((0, 3), 20)
    assert space.why_not(Row((1, 3), 20)) == "1-3 is not in the table"


def test_a_table_refuses_what_is_no_table():
    row = Row((0, 0), 10)
    for bad in ([row, Row((1,), 10)], [row, Row((0, 0), 20)]):
        with pytest.raises(SpaceError):
            RowSpace(bad, row)
    with pytest.raises(SpaceError, match="the source 1-1 is not in the table"):
        RowSpace([row], Row((1, 1), 10))
