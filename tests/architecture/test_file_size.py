"""The predicted size of the weights against the files that are written."""

from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from archpress.architecture import ZOO, Architecture, Layer, named
from archpress.architecture.blocks import as_written
from archpress.architecture.file_size import SEED_DIGITS, SPLIT_SEED
from archpress.architecture.network import build
from archpress.space import PaperSampler, paper_space, sample_neighbourhood, space_around


def written(net, folder):
    path = folder / "weights.safetensors"
    weights = as_written(net, build(net).state_dict())
    head = {SPLIT_SEED: f"{3:0{SEED_DIGITS}d}"}
    save_file({name: value.contiguous() for name, value in weights.items()}, path, head)
    return path.stat().st_size


@pytest.mark.parametrize("name", [name for name in ZOO if named(name).parameters < 10**6])
def test_files_of_known_nets_are_as_large_as_predicted(name, tmp_path):
    net = named(name)
    assert net.file_size == written(net, tmp_path)


def test_files_of_all_kinds_of_nets_are_as_large_as_predicted(random_net, tmp_path):
    nets = [random_net(Random(seed)) for seed in range(60)]
    source = named("resnet20", (3, 16, 16))
    near = sample_neighbourhood(source, space_around(source), np.random.default_rng(0))
    far = iter(PaperSampler(paper_space((3, 8, 8), 10), np.random.default_rng(1)))
    nets += [next(near) for _ in range(20)]
    nets += [net for net in (next(far) for _ in range(20)) if net.parameters < 10**6]
    for net in nets:
        assert net.file_size == written(net, tmp_path), net


def test_options_of_layers_count(tmp_path):
    layers = (
        Layer("conv", 3, 8, 1, 1, bias_free=True, options=(("kernel_width", 5),)),
        Layer("batch_norm", options=(("affine", False),)),
        Layer("conv", 3, 8, 1, 1, options=(("groups", 4),)),
        Layer("group_norm", options=(("groups", 2),)),
        Layer("depthwise", 3, 0, 1, 1, bias_free=True),
        Layer("layer_norm", options=(("affine", False),)),
        Layer("channel_shuffle", options=(("groups", 2),)),
        Layer("slice", options=(("end", 4),)),
        Layer("linear", channels=7, bias_free=True),
        Layer("batch_norm"),
        Layer("layer_norm"),
        Layer("linear", channels=3),
    )
    net = Architecture((2, 6, 6), layers)
    assert net.file_size == written(net, tmp_path)


def test_weights_are_float32_and_counters_int64():
    types = {value.dtype for value in build(named("tiny")).state_dict().values()}
    assert types == {torch.float32, torch.int64}
