from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from archpress.architecture import KINDS, Layer, chain
from archpress.errors import SpaceError
from archpress.space import Limits, PaperSampler, SearchSpace, distinct, paper_space

SPACE = paper_space((3, 16, 16), 10)


@pytest.fixture(scope="module")
def sampler():
    sampler = PaperSampler(
        SPACE.with_limits(Limits(max_parameters=50_000)), np.random.default_rng(0)
    )
    next(iter(sampler))
    return sampler


def test_the_rejection_table_names_the_papers_reasons_and_adds_up_to_one(sampler):
    table = sampler.rejection_table()
    assert sum(table.values()) == pytest.approx(1)
    assert set(table) == {
        "accepted",
        "no convolution",
        "output too small to proceed",
        "too large in memory or compute",
    }
    assert sampler.drawn >= 1_000
    assert table["accepted"] == (sampler.drawn - sampler.rejected.total()) / sampler.drawn


def test_a_sampler_that_has_drawn_much_is_asked_again(sampler):
    sampler.drawn += 100_000
    assert next(iter(sampler)).parameters <= 50_000


def test_the_table_of_a_fresh_sampler_is_empty():
    assert PaperSampler(SPACE, np.random.default_rng(0)).rejection_table() == {"accepted": 0.0}


def test_samples_are_in_the_space_and_end_in_a_linear_layer():
    for net in islice(PaperSampler(SPACE, np.random.default_rng(1)), 40):
        assert SPACE.why_not(net) is None
        assert any(layer.kind == "conv" for layer in net.layers)


def test_limits_reject():
    space = SPACE.with_limits(Limits(max_parameters=50_000))
    sampler = PaperSampler(space, np.random.default_rng(1))
    assert all(net.parameters <= 50_000 for net in islice(sampler, 10))
    assert sampler.rejected["too large in memory or compute"] > 0


def test_kinds_that_join_are_left_out():
    space = SearchSpace((1, 8, 8), 3, ("conv", "add", "concat", "linear"))
    kinds = {layer.kind for net in islice(PaperSampler(space, np.random.default_rng(0)), 50)
             for layer in net.layers}  # fmt: skip
    assert kinds == {"conv", "linear"}


def test_a_seed_decides_the_samples():
    def drawn(seed):
        return list(islice(PaperSampler(SPACE, np.random.default_rng(seed)), 20))

    assert drawn(4) == drawn(4)
    assert drawn(4) != drawn(5)


def test_a_space_that_the_sampler_cannot_find_is_refused_with_its_rejections(monkeypatch):
    monkeypatch.setattr("archpress.space.sampling.MOST_REJECTED", 3_000)
    conv = SearchSpace((1, 40, 40), 3, ("conv", "linear"), (40,), (1,), (0,), 1, 1, most_layers=40)
    narrow = replace(conv, limits=Limits(max_parameters=1_700), least_channels=1, most_channels=512)
    with pytest.raises(SpaceError, match=r"finds no net in this space: \{.*'output too small"):
        next(iter(PaperSampler(narrow, np.random.default_rng(0))))


# --- distinct ---


def nets(*widths: int):
    return [chain((1, 4, 4), Layer("conv", 3, w, 1), Layer("linear", channels=2)) for w in widths]


def test_distinct_keeps_the_first_of_each_key_in_order():
    a, b, c = nets(1, 2, 3)
    idle = chain((1, 4, 4), a.layers[0], Layer("dropout", rate=0.0), a.layers[1])
    assert distinct([a, idle, b, a, b, c], 10) == [a, b, c]
    assert distinct([a, b, c], 2) == [a, b]
    assert distinct([a, b, c], 0) == []
    assert distinct([a, b, c], 2, known=[a.key]) == [b, c]


def test_distinct_stops_where_nothing_new_comes():
    def endless():
        while True:
            yield from nets(1, 2)

    assert distinct(endless(), 10) == nets(1, 2)


def test_distinct_samples_do_not_repeat():
    tiny = SearchSpace((1, 4, 4), 2, KINDS_OF_TWO, (1,), (1,), (0,), 1, 3, most_layers=3)
    found = distinct(PaperSampler(tiny, np.random.default_rng(0)), 1_000)
    assert len({net.key for net in found}) == len(found)
    # conv of 1 to 3 channels; with a second conv, or a linear layer, before the head: 3 + 9 + 9
    assert len(found) == 21


KINDS_OF_TWO = ("conv", "linear")
assert set(KINDS_OF_TWO) <= set(KINDS)
