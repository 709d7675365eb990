import numpy as np
import pytest
import torch

from archpress.architecture import named
from archpress.compression.fitted import draw_pool
from archpress.embedding import Embedding, ModelSize, begin_with_pretrained, reconstruction
from archpress.embedding.embedding import read_file
from archpress.embedding.pretrained import PRETRAINED
from archpress.errors import EmbeddingError
from archpress.space import space_around


def kinds_restored(embedding, source, count=60):
    nets = draw_pool(source, embedding.space, 0.2, (7, 7), count)
    return reconstruction(embedding, nets, set(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "shape", "classes"), [("conv7", (1, 28, 28), 10), ("plain6", (3, 48, 40), 7)]
)
def test_nets_that_it_has_not_seen_are_restored_without_a_fit(name, shape, classes):
    source = named(name, shape, classes)
    embedding = Embedding(space_around(source), seed=5)
    assert kinds_restored(embedding, source).kind_share < 0.5
    assert begin_with_pretrained(embedding)
    restored = kinds_restored(embedding, source)
    assert restored.kind_share > 0.98
    assert restored.channel_error_octaves < 0.25


def test_values_are_taken_over_by_what_they_mean_and_others_stay_fresh():
    file = read_file(PRETRAINED)
    space = space_around(named("resnet56"))  # more slots
    embedding = Embedding(space, seed=1)
    fresh = Embedding(space, seed=1).model.state_dict()
    begin_with_pretrained(embedding)
    state = embedding.model.state_dict()
    assert embedding.alphabet.slots > file.alphabet.slots
    position = state["encoder.position"]
    assert torch.equal(position[: file.alphabet.slots], file.tensors["encoder.position"])
    assert torch.equal(
        position[file.alphabet.slots :], fresh["encoder.position"][file.alphabet.slots :]
    )
    for field, (mine, theirs) in enumerate(
        zip(embedding.alphabet.values, file.alphabet.values, strict=True)
    ):
        rows = state[f"encoder.categories.{field}.weight"]
        given = file.tensors[f"encoder.categories.{field}.weight"]
        for index, value in enumerate(mine):
            if value in theirs:
                assert torch.equal(rows[index], given[theirs.index(value)])
            else:
                assert torch.equal(rows[index], fresh[f"encoder.categories.{field}.weight"][index])
    assert torch.equal(state["decoder.out.weight"][-1], file.tensors["decoder.out.weight"][-1])
    heads = [name for name in state if name.startswith(("accuracy", "costs"))]
    assert heads
    assert all(torch.equal(state[name], fresh[name]) for name in heads)


def test_a_model_of_other_widths_is_left_as_it_is():
    space = space_around(named("tiny"))
    embedding, fresh = (Embedding(space, ModelSize(width=16), 2) for _ in range(2))
    assert not begin_with_pretrained(embedding)
    pairs = zip(
        embedding.model.state_dict().values(), fresh.model.state_dict().values(), strict=True
    )
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(EmbeddingError, match="cannot read embedding"):
        begin_with_pretrained(Embedding(space_around(named("tiny"))), tmp_path / "none")
