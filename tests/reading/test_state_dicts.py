"""Weights that a user gives for a net."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.prune import l1_unstructured

from archpress.architecture import named
from archpress.architecture.blocks import as_written
from archpress.architecture.network import build
from archpress.errors import ArchitectureError
from archpress.reading.sources import NamedSource, open_source
from archpress.reading.state_dicts import load_state, read_state_dict, with_weights

IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def small():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)
    )


def trained(seed=1):
    """A module whose weights and running statistics are not those of a fresh one."""
    torch.manual_seed(seed)
    module = small()
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand(value.shape))
    return module.eval()


def opened(module):
    return NamedSource("net.py:build", None, module)


KEPT = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state, "args": [1, "a"]},
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "compiled": lambda state: {f"_orig_mod.module.{name}": v for name, v in state.items()},
    "without counters": lambda state: {n: v for n, v in state.items() if "tracked" not in n},
    "half": lambda state: {name: value.half() for name, value in state.items()},
}


@pytest.mark.parametrize("form", KEPT)
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_checkpoint_gives_the_outputs_of_the_module_that_it_is_of(form, suffix, tmp_path):
    module, fresh = trained(), small()
    before = fresh.state_dict()["0.weight"].clone()
    torch.save(KEPT[form](module.state_dict()), tmp_path / f"weights{suffix}")
    source = with_weights(opened(fresh), tmp_path / f"weights{suffix}").read((1, 8, 8))
    network = build(source.architecture)
    network.load_state_dict(source.weights)
    tolerance = 1e-2 if form == "half" else 1e-6
    expected = module(IMAGES)
    assert torch.allclose(network.eval()(IMAGES), expected, atol=tolerance, rtol=tolerance)
    assert torch.allclose(source.run(IMAGES), expected, atol=tolerance, rtol=tolerance)
    assert torch.equal(fresh.state_dict()["0.weight"], before)


def test_a_module_that_begins_with_the_prefix_itself_keeps_it():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = small()

    first, second = Outer(), Outer()
    load_state(second, first.state_dict(), where="w", net="net")
    assert torch.equal(second.module[0].weight, first.module[0].weight)
    wrapped = {f"module.{name}": value + 1 for name, value in first.state_dict().items()}
    load_state(second, wrapped, where="w", net="net")
    assert torch.equal(second.module[0].weight, first.module[0].weight + 1)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize("is_written", [False, True])
def test_weights_of_the_plain_network_fit_a_net_of_the_zoo_and_of_a_file(
    is_written, is_file, prefix, tmp_path
):
    torch.manual_seed(2)
    network = build(named("tiny")).eval()
    weights = network.state_dict()
    if is_written:
        weights = as_written(named("tiny"), weights)
        assert "block1.conv.weight" in weights
    weights = {prefix + name: value for name, value in weights.items()}
    save_file(weights, tmp_path / "weights.safetensors")
    named("tiny").save(tmp_path / "net.json")
    source = open_source(str(tmp_path / "net.json") if is_file else "tiny")
    source = with_weights(source, tmp_path / "weights.safetensors").read()
    images = torch.randn(2, *source.architecture.input_shape)
    assert source.weights.keys() == network.state_dict().keys()
    assert torch.equal(source.run(images), network(images))


def test_own_weights_are_those_of_the_module_and_a_structure_has_none():
    module = trained()
    source = with_weights(opened(module), "own")
    assert source.opened is module
    with pytest.raises(ArchitectureError, match="tiny is a structure without weights"):
        with_weights(open_source("tiny"), "own")


def changed(**changes):
    state = small().state_dict()
    state.update(changes)
    return {name: value for name, value in state.items() if value is not None}


REFUSED = {
    "it lacks 0.weight, 4.bias": changed(**{"0.weight": None, "4.bias": None}),
    "it lacks 0.weight, 0.bias, 1.weight and 5 more and has a, b, c and 1 more, which net.py:build "
    "has not": dict.fromkeys("abcd", torch.zeros(1)),
    "0.weight is 4x3x3x3 in it and 4x1x3x3 in the net": changed(
        **{"0.weight": torch.zeros(4, 3, 3, 3)}
    ),
    "has values in 4.bias that are no numbers": changed(**{"4.bias": torch.full((10,), torch.nan)}),
    "holds a list, not a state dict: write it with torch.save": [1, 2],
    "holds epoch, best, which is no state dict": {"epoch": 3, "best": 0.9},
    "holds more than tensors, such as a whole module: save its weights alone": small(),
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
def test_what_does_not_fit_is_refused_in_one_sentence(said, tmp_path):
    torch.save(REFUSED[said], tmp_path / "weights.pt")
    with pytest.raises(ArchitectureError) as caught:
        with_weights(opened(small()), tmp_path / "weights.pt")
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "weights.pt"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello, I am no weights at all", b"PK\x03\x04"])
def test_files_that_are_none_are_refused_in_one_sentence(suffix, content, tmp_path):
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(ArchitectureError, match="there is no file"):
        read_state_dict(path)
    path.write_bytes(content)
    with pytest.raises(
        ArchitectureError, match=r"cannot be read as|is no safetensors file"
    ) as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)


def test_a_file_for_a_net_that_holds_its_own_is_refused(tmp_path):
    torch.save(small().state_dict(), tmp_path / "weights.pt")
    program = torch.export.export(small().eval(), (torch.zeros(2, 1, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2")
    source = open_source(str(tmp_path / "net.pt2"))
    with pytest.raises(ArchitectureError, match=r"net.pt2 has its weights in it: say 'own'"):
        with_weights(source, tmp_path / "weights.pt")
    assert with_weights(source, "own").read().weights is not None


def test_weights_that_are_worked_out_from_others_are_refused():
    conv = nn.Conv2d(1, 2, 3)
    l1_unstructured(conv, name="weight", amount=1)
    module = nn.Sequential(conv, nn.Flatten(), nn.Linear(8, 2))
    module(torch.zeros(1, 1, 4, 4))
    with pytest.raises(ArchitectureError, match="are worked out from others before each pass"):
        with_weights(NamedSource("net", None, module), module.state_dict())
