"""Parts that stay as they are, as one layer: read, built, trained, written and refused."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from odd_parts import (
    TAKEN,
    Between,
    ChannelAttention,
    Counting,
    Function,
    GeneralMean,
    Mixed,
    Normed,
    Straight,
    head,
)
from safetensors.torch import save
from torch import nn

from archpress.architecture import Architecture, Layer, chain
from archpress.architecture.blocks import as_written
from archpress.architecture.difference import Change, difference
from archpress.architecture.export import Preprocessing, to_source
from archpress.architecture.file_size import SEED_DIGITS, SPLIT_SEED
from archpress.architecture.frozen import Frozen
from archpress.architecture.inheritance import inherit
from archpress.architecture.network import build
from archpress.architecture.simplify import simplify
from archpress.errors import ArchitectureError
from archpress.reading.tracing import carry_into, trace
from archpress.shipping.onnx_file import OnnxNetwork, to_onnx
from archpress.shipping.trained import TrainedNet
from archpress.space import repair, space_around
from archpress.space.latency import quantities
from archpress.terminal import architecture_table

HEAD = {SPLIT_SEED: "0" * SEED_DIGITS}
IMAGE = (3, 12, 12)
PLAIN = Preprocessing((0.0,) * 3, (1.0,) * 3, ("one", "other"))


def read(name, shake):
    make, paths = TAKEN[name]
    torch.manual_seed(0)
    module = shake(make())
    traced = trace(module, IMAGE)
    return module, traced, carry_into(build(traced.architecture), module, traced), paths


@pytest.mark.parametrize("name", list(TAKEN))
def test_a_part_without_layers_is_one_layer_with_its_weights(name, shake, outputs):
    module, traced, network, paths = read(name, shake)
    net = traced.architecture
    assert [part.path for part in traced.frozen] == paths
    assert sum(layer.kind == "frozen" for layer in net.layers) == len(paths)
    assert torch.equal(outputs(network, IMAGE), outputs(module, IMAGE))
    assert net.parameters == sum(weight.numel() for weight in module.parameters())
    state = network.state_dict()
    for index, path in enumerate(paths, 1):
        for key, value in module.get_submodule(path).named_parameters():
            assert torch.equal(state[f"frozen{index}.{key}"], value)


@pytest.mark.parametrize("name", list(TAKEN))
def test_it_is_a_value_a_file_and_a_source(name, shake, outputs):
    _, traced, network, _ = read(name, shake)
    net = traced.architecture
    again = Architecture.from_json(net.to_json())
    assert (again, again.key, again.macs) == (net, net.key, net.macs)
    assert simplify(net).layers[-1] == net.layers[-1]
    named = as_written(net, network.state_dict())
    state = {key: value.contiguous() for key, value in named.items()}
    assert net.file_size == len(save(state, HEAD))
    namespace = {"__name__": "network"}
    exec(to_source(net, PLAIN), namespace)
    written = namespace["Network"]()
    written.load_state_dict(state)
    assert torch.equal(outputs(written, IMAGE), outputs(network, IMAGE))
    assert trace(network, IMAGE).architecture == net
    assert trace(written, IMAGE).architecture.key == net.key  # its classes are read as any


def test_macs_are_those_of_convolutions_and_products(shake):
    def macs(name):
        net = read(name, shake)[1].architecture
        return [net.layer_macs[i] for i, one in enumerate(net.layers) if one.kind == "frozen"]

    assert macs("transposed") == [12 * 12 * 8 * 8 * 2 * 2]  # each pixel of the input, once
    assert macs("einsum") == [12 * 12 * 8 * 8]
    assert macs("shared") == [2 * (8 * 4 + 4 * 8)]  # means and maxima
    assert macs("general mean") == [0]


def test_norms_and_dropout_inside_follow_the_training_of_the_network(shake):
    module, _, network, _ = read("normed", shake)
    images = torch.randn(4, *IMAGE, generator=torch.Generator().manual_seed(1))
    results = []
    for one in (copy.deepcopy(module).train(), network.train()):
        torch.manual_seed(5)  # of dropout
        out = one(images)
        out.square().sum().backward()
        state = one.state_dict()
        results.append((out, {key.split(".", 1)[1]: state[key] for key in state if "part" in key}))
        results[-1] += ({key: w.grad for key, w in one.named_parameters()},)
    (theirs, _, _), (ours, _, gradients) = results
    assert torch.allclose(ours, theirs, atol=1e-6)
    trained = copy.deepcopy(module).train()
    torch.manual_seed(5)
    trained(images)
    mean = network.get_buffer("frozen1.norm.running_mean")
    assert torch.allclose(mean, trained.part.norm.running_mean, atol=1e-6)
    assert not torch.allclose(mean, module.part.norm.running_mean)
    assert torch.allclose(
        gradients["frozen1.turned.weight"], results[0][2]["part.turned.weight"], atol=1e-4
    )


def test_fresh_weights_start_as_torch_starts_them_and_buffers_keep_their_values():
    net = trace(Between(nn.Sequential(Mixed(), Normed(), GeneralMean())), IMAGE).architecture
    network = build(net)
    assert torch.equal(network.get_buffer("frozen1.places"), torch.arange(8.0).flip(0))
    state = network.state_dict()
    assert state["frozen1.weight"].std() > 0.05
    assert state["frozen3.p"].item() == 3
    assert state["frozen2.norm.running_var"].tolist() == [1] * 8
    images = torch.randn(8, *IMAGE)
    network.train()(images).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


REFUSED = {
    "gives other values each time": lambda: Function(lambda x: x + torch.randn_like(x)),
    "lets the images of a batch look at each other": lambda: Function(
        lambda x: x - x.mean(0, keepdim=True)
    ),
    "changes its calls in evaluation": Counting,
    "has a derivative that is not the one": lambda: Function(Straight.apply),
    "cannot be exported": lambda: Function(lambda x: x * 2 if x.mean() > 0 else x),
    "works for one number of images": lambda: Function(
        lambda x: x.cumsum(1).reshape(len(x), 8, 12, 12)
    ),
}


@pytest.mark.parametrize("expected", list(REFUSED))
def test_a_part_that_cannot_be_taken_is_refused_with_the_reason(expected):
    with pytest.raises(ArchitectureError) as caught:
        trace(Between(REFUSED[expected]()), IMAGE)
    told = str(caught.value)
    assert f"; nor can part ({'Counting' if 'calls' in expected else 'Function'})" in told
    assert expected in told
    assert "\n" not in told


def test_code_that_branches_is_named_by_its_module():
    with pytest.raises(ArchitectureError, match=r"cannot follow the forward of part \(Function\)"):
        trace(Between(Function(lambda x: x if x.sum() > 0 else -x)), IMAGE)


def test_weights_that_two_parts_share_are_frozen_together_or_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.turned = nn.ConvTranspose2d(8, 8, 3, padding=1)

        def forward(self, x):
            return self.turned(self.turned(x))

    traced = trace(Between(Twice()), IMAGE)
    assert [(part.path, part.module) for part in traced.frozen] == [("part", "Twice")]
    tied = nn.Sequential(nn.ConvTranspose2d(8, 8, 3), nn.ConvTranspose2d(8, 8, 3))
    tied[1].weight = tied[0].weight
    traced = trace(Between(tied), IMAGE)
    assert [part.path for part in traced.frozen] == ["part"]
    module = nn.Sequential(nn.Conv2d(3, 8, 3), *tied, head())
    with pytest.raises(ArchitectureError, match="has no layer kind"):
        trace(module, IMAGE)


def test_a_part_that_shares_a_weight_with_a_layer_outside_is_none():
    tied = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), head())
    tied[2].weight = tied[0].weight
    with pytest.raises(ArchitectureError, match="runs twice with the same weights"):
        trace(tied, IMAGE)


def test_the_whole_net_never_stays_as_it_is():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 8, 3), head()

        def forward(self, x):
            return self.head(self.conv(x).cumsum(1))

    for module in (Whole(), nn.Sequential(Whole()), nn.Sequential(Whole(), nn.ReLU())):
        with pytest.raises(ArchitectureError, match=r"cumsum.* has no layer kind"):
            trace(module, IMAGE)


def test_forward_of_the_net_itself_may_ask_for_sizes():
    class Asking(Between):
        def forward(self, x):
            if x.shape[-1] < 4:
                raise ValueError("too small")
            return super().forward(x)

    traced = trace(Asking(nn.ConvTranspose2d(8, 8, 2, 2)), IMAGE)
    assert [part.path for part in traced.frozen] == ["part"]


def test_reading_leaves_the_module_alone():
    module = Between(ChannelAttention()).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    trace(module, IMAGE)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks for part in module.modules())
    assert "forward" not in module.part.__dict__


# --- programs that are damaged --------------------------------------------------------------------

PROGRAM = {
    "input": [8, 4, 4], "output": [8, 4, 4], "macs": 0, "parameters": [["w", [8, 1, 1], "float32"]],
    "buffers": [["b", [], "float32", 1.0]], "result": 1,
    "nodes": [["aten.mul.Tensor", [{"value": 0}, {"weight": "w"}]]],
}  # fmt: skip


def architecture(**changed):
    text = json.dumps({**PROGRAM, **changed})
    return Architecture((8, 4, 4), (Layer("frozen", options=(("program", text),)),))


def node(name, *arguments, **options):
    return {"nodes": [[name, list(arguments), *([options] if options else [])]]}


DAMAGED = {
    "whose input is (8, 4), not C, H, W or F": {"input": [8, 4]},
    "whose output is (0,)": {"output": [0]},
    "a program of -1 macs": {"macs": -1},
    "without operations": {"nodes": []},
    "gives the value of 2, no node of it": {"result": 2},
    "tensor 'w..x' has no such name": {"parameters": [["w..x", [8], "float32"]]},
    "is of 'int64'; parameters are of float32": {"parameters": [["w", [8], "int64"]]},
    "two things called 'b'": {"parameters": [["b", [8], "float32"], ["w", [8], "float32"]]},
    "has values that are not those of": {"buffers": [["b", [2], "float32", "AAAA"]]},
    "starts with None, no number": {"buffers": [["b", [2], "float32"]]},
    "Infinity is no number of JSON": {"buffers": [["b", [2], "float32", float("inf")]]},
    "tensor 'b' starts with": {"buffers": [["b", [2], "float32", 10**400]]},
    "only operations of aten": node("prim.print.default", {"value": 0}),
    "of operator there are add": node("operator.methodcaller", 1),
    "reads value 1, which there is not": node("aten.relu.default", {"value": 1}),
    "reads weight 'x', which there is not": node("aten.relu.default", {"weight": "x"}),
    "reads dtype 'Tensor', which there is not": node("aten.to.dtype", {"dtype": "Tensor"}),
    "has an argument {}": node("aten.relu.default", {}),
}  # fmt: skip


@pytest.mark.parametrize("expected", list(DAMAGED))
def test_damaged_programs_are_refused_in_a_sentence(expected):
    with pytest.raises(ArchitectureError) as caught:
        architecture(**DAMAGED[expected])
    assert str(caught.value).startswith("layer 0 (frozen): has a program")
    assert expected in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"input":[1]}', '{"macs":NaN}', "[" * 9999])
def test_text_that_is_no_program_is_refused(text):
    options = (("program", text),) if text else ()
    with pytest.raises(ArchitectureError, match=r"has (no|a) program"):
        Architecture((8, 4, 4), (Layer("frozen", options=options),))


UNFIT = {
    "tensors that cannot be made": {"buffers": [["b", [2], "int64", 10**30]]},
    "which torch .* does not have": node("aten.unheard_of.default", {"value": 0}),
    "does more than compute": node("aten.from_file.default", "/etc/hostname", False, 4),
    "cannot be run": node("aten.conv2d.default", {"value": 0}, {"weight": "w"}),
    "gives 3x4x4 of float32, not what it says": node("aten.amax.default", {"value": 0}, [1]),
    "of int64, not what it says": node("aten.to.dtype", {"value": 0}, {"dtype": "int64"}),
    "cannot be called 'forward'": {
        "parameters": [["forward", [8], "float32"]],
        **node("aten.relu.default", {"value": 0}),
    },
}


@pytest.mark.parametrize("expected", list(UNFIT))
def test_programs_that_torch_cannot_run_are_refused_when_they_are_built(expected):
    net = architecture(**UNFIT[expected])
    with pytest.raises(ArchitectureError, match=expected):
        build(net)


def test_a_program_may_hold_numbers_of_every_kind():
    net = architecture(**node("aten.clamp.default", {"value": 0}, {"number": "-inf"}, 0.5))
    assert float(build(net)(torch.ones(1, 8, 4, 4)).max()) == 0.5
    kinds = ["float32", "int64", "int32", "int16", "uint8", "int8", "bool"]
    buffers = [[f"b{i}.β", [3], kind, 1] for i, kind in enumerate(kinds)]
    net = architecture(buffers=buffers)
    assert net.file_size == len(save(build(net).state_dict(), HEAD))


# --- what else has to do with layers --------------------------------------------------------------


@pytest.fixture(scope="module")
def two():
    """A net with a part, and its weights."""
    module = Between(ChannelAttention())
    traced = trace(module, IMAGE)
    return traced.architecture, carry_into(build(traced.architecture), module, traced).state_dict()


def test_a_candidate_inherits_all_weights_of_a_part(two):
    net, weights = two
    found = inherit(net, net, weights)
    assert found.parameters == net.parameters
    assert all(torch.equal(found.weights[key], weights[key]) for key in weights)
    shorter = Architecture(IMAGE, (*net.layers[:1], *net.layers[3:]))  # without norm and relu
    found = inherit(shorter, net, weights)
    assert torch.equal(found.weights["frozen1.mlp.0.weight"], weights["frozen1.mlp.0.weight"])


def test_it_is_in_whatever_is_repaired_and_no_other_is(two):
    net, _ = two
    other = trace(Between(Mixed()), IMAGE).architecture
    space = space_around(net)
    assert "frozen" not in space.kinds
    own = next(layer for layer in net.layers if layer.kind == "frozen")
    for proposed in (net, other, chain(IMAGE, Layer("conv", 3, 6, 2, 1), net.layers[-1])):
        repaired = repair(proposed.layers, space).architecture
        assert [layer.options for layer in repaired.layers if layer.kind == "frozen"] == [
            own.options
        ]
        assert space.why_not(repaired) is None


def test_it_has_a_price_of_its_own_and_few_words(two):
    net, _ = two
    other = trace(Between(Mixed()), IMAGE).architecture
    priced = [
        {name for name in quantities(one) if name.startswith("frozen")} for one in (net, other)
    ]
    assert len(priced[0]) == len(priced[1]) == 1
    assert priced[0] != priced[1]
    (row,) = [row for row in difference(net, other).rows if row.kind == "frozen"]
    assert row.change is Change.CHANGED
    assert all(len(str(value)) < 40 for _, *values in row.fields for value in values)
    names = [str(index) for index in range(len(net.layers))]
    fields = list(architecture_table(net, names).columns[1].cells)
    assert any(text.startswith("frozen: 12 operations") for text in fields)


def test_it_is_exported_again_for_any_batch(two):
    net, weights = two
    network = build(net).eval()
    network.load_state_dict(weights)
    images = torch.randn(5, *IMAGE)
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (images[:2],), dynamic_shapes=shapes)
    assert torch.allclose(program.module()(images), network(images), atol=1e-6)


def test_it_is_written_as_onnx_for_any_batch(two):
    net, weights = two
    network = build(net).eval()
    network.load_state_dict(weights)
    images = torch.randn(3, *IMAGE)
    run = OnnxNetwork(to_onnx(TrainedNet(network, PLAIN)))
    with torch.no_grad():
        assert torch.allclose(run(images), network(images), atol=1e-5)


def test_what_writes_into_its_input_gets_a_copy():
    text = json.dumps({**PROGRAM, **node("aten.relu_.default", {"value": 0})})
    images = -torch.ones(1, 8, 4, 4)
    assert float(Frozen(text)(images).min()) == 0
    assert float(images.max()) == -1
    assert F.relu(images).equal(Frozen(text)(images))
