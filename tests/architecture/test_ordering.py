from itertools import permutations

import pytest

from archpress.architecture import (
    Architecture,
    Layer,
    chain,
    exchangeable,
    hamiltonian_path,
    named,
)

CONV, HEAD = Layer("conv", 3, 4, 1, 1), Layer("linear", channels=2)


def orders(net):
    """All topological orders, by trying everything."""
    read = [net.input_indices(index) for index in range(len(net.layers))]
    return [
        order
        for order in permutations(range(len(read)))
        if all(
            source < 0 or order.index(source) < order.index(index)
            for index, sources in enumerate(read)
            for source in sources
        )
    ]


PLAIN = chain((4, 6, 6), CONV, Layer("relu"), HEAD)
SKIP = Architecture((4, 6, 6), (CONV, Layer("relu"), Layer("add", inputs=(1, 3)), HEAD))
BRANCHES = Architecture(
    (4, 6, 6), (CONV, Layer("conv", 1, 4, 1, inputs=(2,)), Layer("add", inputs=(1, 2)), HEAD)
)


@pytest.mark.parametrize("net", [PLAIN, SKIP, BRANCHES])
def test_there_is_a_path_just_where_there_is_one_order(net):
    assert (hamiltonian_path(net) is not None) == (len(orders(net)) == 1)


def test_the_path_runs_from_the_input_through_all_layers():
    assert hamiltonian_path(SKIP) == (-1, 0, 1, 2, 3)


def test_layers_that_could_change_places_are_named():
    assert exchangeable(BRANCHES) == (0, 1)
    assert exchangeable(PLAIN) is None


def test_projection_shortcuts_leave_a_choice():
    """The paper says that ResNets have one order; so it is where no shortcut has a layer."""
    net = named("resnet20")
    first, second = exchangeable(net)
    assert net.layers[second].kind == "conv"
    assert first == second - 1
