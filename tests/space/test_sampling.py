from collections import Counter
from itertools import islice

import numpy as np
import pytest
from scipy import stats

from archpress.architecture import KINDS, Layer, chain
from archpress.architecture.kinds import PAPER_KINDS
from archpress.errors import SpaceError
from archpress.space import Limits, PaperSampler, SearchSpace, distinct, paper_space

SPACE = paper_space((3, 16, 16), 10)
LEAST_PROBABILITY = 1e-4  # seeds are fixed, so this is no chance of failing but a bound on bias


class Recorder(PaperSampler):
    """Notes what is drawn, before any rejection."""

    def __init__(self, space, rng):
        super().__init__(space, rng)
        self.kinds, self.lengths, self.fields = Counter(), Counter(), Counter()

    def _draw(self):
        before = self.kinds.total()
        result = super()._draw()
        self.lengths[self.kinds.total() - before + 1] += 1  # and the linear head
        return result

    def _draw_layer(self):
        layer = super()._draw_layer()
        self.kinds[layer.kind] += 1
        if layer.kind == "conv":
            self.fields.update({("kernel", layer.kernel): 1, ("padding", layer.padding): 1})
        return layer


@pytest.fixture(scope="module")
def recorder():
    space = SPACE.with_limits(Limits(max_parameters=50_000))
    recorder = Recorder(space, np.random.default_rng(0))
    for _ in range(4_000):
        recorder._draw()
    return recorder


def probability_if_uniform(counts, choices) -> float:
    assert set(counts) <= set(choices)
    return stats.chisquare([counts[choice] for choice in choices]).pvalue


def test_lengths_are_uniform_before_rejection(recorder):
    assert probability_if_uniform(recorder.lengths, range(2, 51)) > LEAST_PROBABILITY


def test_kinds_are_uniform_before_rejection(recorder):
    assert probability_if_uniform(recorder.kinds, PAPER_KINDS) > LEAST_PROBABILITY


def test_kernels_and_paddings_are_uniform_before_rejection(recorder):
    for name, choices in (("kernel", SPACE.kernels), ("padding", SPACE.paddings)):
        counts = Counter({v: c for (field, v), c in recorder.fields.items() if field == name})
        assert probability_if_uniform(counts, choices) > LEAST_PROBABILITY


def test_the_rejection_table_names_the_papers_reasons_and_adds_up_to_one(recorder):
    table = recorder.rejection_table()
    assert sum(table.values()) == pytest.approx(1)
    assert set(table) == {
        "accepted",
        "no convolution",
        "output too small to proceed",
        "too large in memory or compute",
    }
    assert recorder.drawn == 4_000
    assert table["accepted"] == (4_000 - recorder.rejected.total()) / 4_000


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


@pytest.mark.slow
def test_a_space_that_the_sampler_cannot_find_is_refused_with_its_rejections(monkeypatch):
    sampler = PaperSampler(SPACE, np.random.default_rng(0))
    monkeypatch.setattr(PaperSampler, "_draw", lambda self: self.rejected.update(["unlucky"]))
    with pytest.raises(SpaceError, match=r"finds no net in this space: \{'unlucky': 100000\}"):
        next(iter(sampler))


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
