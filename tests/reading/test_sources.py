"""Nets of files: .pt2 of torch.export, .onnx; with their weights."""

import sys
import warnings

import onnx
import pytest
import torch
from awkward import AWKWARD
from families import FAMILIES, IMAGE
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from archpress.architecture import ZOO, named
from archpress.architecture.network import build, load_weights
from archpress.errors import ArchitectureError
from archpress.reading.sources import open_source, read_source
from archpress.reading.tracing import agreement, trace


def written(module, path, *, batch=2, dynamic=False, legacy=True):
    """The module in a file of the kind that its name ends with."""
    images = torch.zeros(batch, *IMAGE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            free = ({0: torch.export.Dim("batch")},) if dynamic else None
            torch.export.save(torch.export.export(module, (images,), dynamic_shapes=free), path)
        elif legacy:
            free = {"images": {0: "batch"}} if dynamic else None
            named_input = {"input_names": ["images"], "dynamic_axes": free}
            torch.onnx.export(module, (images,), path, dynamo=False, **named_input)
        else:
            torch.onnx.export(module, (images,), path, dynamo=True, verbose=False)
    return str(path)


def check(source, module, *, parameters=None):
    """Its network with its weights computes as the module and as the source itself."""
    network = build(source.architecture)
    load_weights(network, source.weights, where="a file")
    for other in (module, source.run):
        found = agreement(network, other)
        assert found.difference <= 1e-5 * max(1.0, found.largest)
    if parameters is not None:
        assert source.architecture.parameters == parameters


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("family", ["MobileNet v3", "ConvNeXt", "ShuffleNet v2", "CSP", "DPN"])
def test_a_program_of_torch_export_is_read_exactly(family, dynamic, tmp_path, shake):
    module = shake(FAMILIES[family]()).eval()
    source = read_source(written(module, tmp_path / "net.pt2", dynamic=dynamic))
    parameters = sum(weight.numel() for weight in module.parameters())
    check(source, module, parameters=parameters)
    assert source.parameters == parameters
    assert source.architecture.key == trace(module, IMAGE).architecture.key


def test_a_decomposed_program_is_read_exactly(tmp_path, shake):
    module = shake(FAMILIES["ConvNeXt"]()).eval()
    program = torch.export.export(module, (torch.zeros(1, *IMAGE),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program.run_decompositions(), tmp_path / "net.pt2")
    check(read_source(str(tmp_path / "net.pt2")), module)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "ConvNeXt"])
def test_an_onnx_file_of_a_family_computes_the_same(family, tmp_path, shake):
    module = shake(FAMILIES[family]()).eval()
    dynamic = family not in ("MobileNet v3", "SENet")
    source = read_source(written(module, tmp_path / "net.onnx", dynamic=dynamic))
    check(source, module)
    traced = trace(module, IMAGE).architecture
    assert source.architecture.parameters <= traced.parameters  # batch norms are folded
    assert source.architecture.macs == traced.macs


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ConvNeXt", "MobileNet v3", "ShuffleNet v2", "CSP"])
def test_an_onnx_file_of_the_new_exporter_computes_the_same(family, tmp_path, shake):
    module = shake(FAMILIES[family]()).eval()
    source = read_source(written(module, tmp_path / "net.onnx", batch=1, legacy=False))
    check(source, module)
    if family == "ConvNeXt":
        assert source.architecture.parameters == sum(w.numel() for w in module.parameters())


@pytest.mark.parametrize("make", [m for m in AWKWARD if "Parametrised" not in m.__name__])
def test_an_onnx_file_of_an_awkward_module_computes_the_same(make, tmp_path, shake):
    module = shake(make()).eval()
    check(read_source(written(module, tmp_path / "net.onnx")), module)


@pytest.mark.parametrize("name", ["lenet5", "tiny"])
def test_nets_of_the_zoo_go_through_files(name, tmp_path, shake):
    module = shake(build(named(name))).eval()
    images = torch.zeros(2, *ZOO[name].input_shape)
    torch.export.save(torch.export.export(module, (images,)), tmp_path / "net.pt2")
    assert read_source(str(tmp_path / "net.pt2")).architecture == named(name)


# --- files written by hand -----------------------------------------------------------------------


def tensor(name, *shape, low=-1.0, high=1.0, seed=0):
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * (high - low) + low
    return numpy_helper.from_array(drawn.numpy(), name)


def integers(name, *values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def number(name, value):
    return helper.make_tensor(name, TensorProto.FLOAT, [], [value])


def saved(path, nodes, constants=(), *, shape=(1, 3, 9, 9), inputs=("x",), opset=20):
    """A file of these nodes, each (operation, inputs, outputs, attributes); the last gives y."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs]
    made = [
        helper.make_node(kind, reads.split(), gives.split(), name=f"n{i}", **more)
        for i, (kind, reads, gives, more) in enumerate(nodes)
    ]
    output = helper.make_tensor_value_info(nodes[-1][2].split()[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(made, "net", values, [output], list(constants))
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return str(path)


CONV = ("Conv", "x w b", "c", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})
WEIGHTS = (tensor("w", 6, 3, 3, 3), tensor("b", 6))
BY_HAND = {
    "automatic padding, groups, dilation": (
        [
            CONV,
            ("Conv", "c w2", "d", {"auto_pad": "SAME_UPPER", "group": 2}),
            ("Conv", "d w4", "e", {"dilations": [2, 2], "pads": [1, 1, 1, 1]}),
            ("Conv", "e w3", "y", {"auto_pad": "VALID", "strides": [2, 2], "group": 6}),
        ],
        [tensor("w2", 6, 3, 3, 3), tensor("w3", 6, 1, 3, 3), tensor("w4", 6, 6, 3, 3)],
        "conv conv conv depthwise",
    ),
    "automatic padding of an even window": (
        [
            ("Conv", "x w5", "c", {"auto_pad": "SAME_LOWER"}),
            ("Conv", "c w6", "y", {"auto_pad": "SAME_UPPER"}),
        ],
        [tensor("w5", 6, 3, 2, 2), tensor("w6", 6, 6, 2, 2)],
        "pad conv pad conv",
    ),
    "pixels that are repeated": (
        [
            CONV,
            ("Resize", "c roi twice", "d", {"coordinate_transformation_mode": "asymmetric"}),
            ("Resize", "d roi thrice", "y", {}),
        ],
        [tensor("roi", 0), helper.make_tensor("twice", TensorProto.FLOAT, [4], [1, 1, 2, 2]),
         helper.make_tensor("thrice", TensorProto.FLOAT, [4], [1, 1, 3, 3])],
        "conv upsample upsample",
    ),
    "norm": (
        [CONV, ("BatchNormalization", "c s b m v", "y", {"epsilon": 0.01})],
        [tensor("s", 6), tensor("m", 6), tensor("v", 6, low=0.5)],
        "conv batch_norm",
    ),
    "pools": (
        [
            CONV,
            ("MaxPool", "c", "p", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
            ("AveragePool", "p", "q", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}),
            ("GlobalMaxPool", "q", "y", {}),
        ],
        [],
        "conv max_pool average_pool max_pool",
    ),
    "activations": (
        [
            CONV,
            ("Clip", "c zero six", "d", {}),
            ("LeakyRelu", "d", "e", {"alpha": 0.2}),
            ("HardSigmoid", "e", "f", {"alpha": 1 / 6, "beta": 0.5}),
            ("Mul", "f e", "g", {}),
            ("Elu", "g", "h", {"alpha": 0.5}),
            ("PRelu", "h slope", "i", {}),
            ("Div", "i root", "j", {}),
            ("Erf", "j", "k", {}),
            ("Add", "one k", "l", {}),
            ("Mul", "i l", "m", {}),
            ("Mul", "m half", "y", {}),
        ],
        [number("zero", 0), number("six", 6), tensor("slope", 1, 1, 1, low=0.3),
         number("root", 2**0.5), number("one", 1), number("half", 0.5)],
        "conv relu6 leaky_relu hardswish elu leaky_relu gelu",
    ),
    "a hard sigmoid of another slope": (
        [CONV, ("HardSigmoid", "c", "y", {"alpha": 0.3})],
        [],
        "conv scale hardtanh",
    ),
    "group norm as instance norm": (
        [
            CONV,
            ("Reshape", "c three", "r", {}),
            ("InstanceNormalization", "r ones zeros", "i", {}),
            ("Shape", "c", "size", {}),
            ("Reshape", "i size", "j", {}),
            ("Mul", "j gain", "k", {}),
            ("Add", "k shift", "l", {}),
            ("InstanceNormalization", "l s b", "y", {}),
        ],
        [integers("three", 0, 3, -1), tensor("ones", 3, low=1), tensor("zeros", 3, low=0, high=0),
         tensor("gain", 6, 1, 1), tensor("shift", 6, 1, 1), tensor("s", 6)],
        "conv group_norm group_norm",
    ),
    "parts": (
        [
            CONV,
            ("Split", "c sizes", "p q", {"axis": 1}),
            ("Slice", "c from to along", "s", {}),
            ("Concat", "q s p", "t", {"axis": 1}),
            ("Sum", "t t t", "u", {}),
            ("ReduceMean", "u axes", "m", {"keepdims": 0}),
            ("Gemm", "m g h", "n", {}),
            ("MatMul", "n k", "o", {}),
            ("Add", "o l", "y", {}),
        ],
        [integers("sizes", 2, 4), integers("from", 1), integers("to", -1), integers("along", 1),
         integers("axes", 2, 3), tensor("g", 10, 4), tensor("h", 4), tensor("k", 4, 5),
         tensor("l", 5)],
        "conv slice slice slice concat add global_average_pool linear linear",
    ),
    "shapes worked out": (
        [
            CONV,
            ("GlobalAveragePool", "c", "p", {}),
            ("Shape", "x", "s", {}),
            ("Gather", "s first", "n", {"axis": 0}),
            ("Unsqueeze", "n axis", "m", {}),
            ("Concat", "m rest", "t", {"axis": 0}),
            ("Reshape", "p t", "f", {}),
            ("Gemm", "f g", "h", {"transB": 1}),
            ("Unsqueeze", "h places", "i", {}),
            ("Mul", "c i", "j", {}),
            ("Flatten", "j", "y", {}),
        ],
        [helper.make_tensor("first", TensorProto.INT64, [], [0]), integers("axis", 0),
         integers("rest", -1), tensor("g", 6, 6), integers("places", 2, 3)],
        "conv global_average_pool linear multiply",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BY_HAND))
@pytest.mark.parametrize("batch", [1, 2, "batch"])
def test_a_file_written_by_hand_computes_the_same(name, batch, tmp_path):
    nodes, constants, kinds = BY_HAND[name]
    path = saved(tmp_path / "net.onnx", nodes, [*WEIGHTS, *constants], shape=(batch, 3, 9, 9))
    source = read_source(path)
    assert [layer.kind for layer in source.architecture.layers] == kinds.split()
    check(source, source.run)


POOLED = [CONV, ("GlobalAveragePool", "c", "p", {})]
THRICE = helper.make_tensor("thrice", TensorProto.FLOAT, [4], [1, 1, 3, 3])
CONSTANTS = (
    THRICE,
    tensor("v", 6, 4),
    integers("around", 0, 0, 1, 1, 0, 0, 1, 1),
    integers("six", 0, 6, -1),
    *(tensor(f"s{seed}", 486, low=0.5, seed=seed) for seed in range(4)),
)
BY_OPSET = {
    "Softmax, 11: all after the axis": (11, [*POOLED, ("Softmax", "p", "y", {})], "softmax"),
    "Softmax, 11: of a linear layer": (
        11,
        [*POOLED, ("Flatten", "p", "f", {}), ("Gemm", "f v", "g", {}), ("Softmax", "g", "y", {})],
        "softmax"),
    "Softmax, 13: the last axis": (
        13, [*POOLED, ("Flatten", "p", "f", {}), ("Softmax", "f", "y", {})], "softmax"),
    "Resize, 10: asymmetric": (10, [CONV, ("Resize", "c thrice", "y", {})], "upsample"),
    "Upsample, 9": (9, [CONV, ("Upsample", "c thrice", "y", {"mode": "nearest"})], "upsample"),
    "Upsample, 8: scales as an attribute": (
        8, [CONV, ("Upsample", "c", "y", {"mode": "nearest", "scales": [1.0, 1.0, 3.0, 3.0]})],
        "upsample"),
    "BatchNormalization, 14: of all values": (
        14,
        [CONV, ("Flatten", "c", "f", {}), ("BatchNormalization", "f s0 s1 s2 s3", "y", {})],
        "batch_norm"),
    "Conv, 20: pads of its own after a Pad": (
        20,
        [("Pad", "x around", "p", {}), ("Conv", "p w b", "y", {"pads": [0, 0, 1, 1]})],
        "conv"),
    "ReduceMean, 13: of channels in groups of one": (
        13,
        [CONV, ("Reshape", "c six", "r", {}), ("ReduceMean", "r", "y", {"axes": [2]})],
        "global_average_pool"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BY_OPSET))
def test_defaults_are_those_of_the_files_opset(name, tmp_path):
    opset, nodes, last = BY_OPSET[name]
    constants = [*WEIGHTS, *CONSTANTS]
    source = read_source(saved(tmp_path / "net.onnx", nodes, constants, opset=opset))
    assert source.architecture.layers[-1].kind == last
    check(source, source.run)


@pytest.mark.parametrize(
    ("opset", "node", "said"),
    [
        (11, ("Softmax", "c", "y", {}), "is over all values of a map"),
        (17, ("Softmax", "c", "y", {}), "is over dim=-1: take it over the channels"),
        (10, ("Resize", "c thrice", "y", {"mode": "linear"}), r"\(linear, asymmetric, floor\)"),
        (9, ("Upsample", "c thrice", "y", {"mode": "linear"}), r"\(linear, asymmetric, floor\)"),
        (13, ("ReduceMean", "r", "y", {"axes": [2], "keepdims": 0}), "map that is reshaped"),
    ],
)
def test_what_no_layer_has_is_refused_by_the_files_opset(opset, node, said, tmp_path):
    groups = ("Reshape", "c three", "r", {})
    nodes = [CONV, groups, node] if "r" in node[1].split() else [CONV, node]
    constants = [*WEIGHTS, THRICE, integers("three", 0, 3, -1)]
    path = saved(tmp_path / "net.onnx", nodes, constants, opset=opset)
    with pytest.raises(ArchitectureError, match=said):
        read_source(path)


RELU = ("Relu", "x", "y", {})
REFUSED = {
    "node n0 (QuantizeLinear) is of a quantised net: export the net before it is quantised": (
        [("QuantizeLinear", "x s", "q", {}), ("DequantizeLinear", "q s", "y", {})],
        [number("s", 0.1)]),
    "node n1 (Sin) has no layer kind: use convolutions": (
        [CONV, ("Sin", "c", "y", {})], WEIGHTS),
    "node n0 (MaxPool) pads 0 above, 0 left, 1 below and 1 right: pad both sides alike": (
        [("MaxPool", "x", "y", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]})], ()),
    "node n0 (Conv) has weights that are worked out of the image": (
        [("Conv", "x x", "y", {})], ()),
    "node n0 (MatMul) multiplies two tensors as matrices": (
        [("MatMul", "x x", "y", {})], ()),
    "what net.onnx returns reads exp(x), which no layer computes": (
        [("Exp", "x", "y", {})], ()),
    "node n0 (Gather) takes some values of a tensor": (
        [("Gather", "x i", "y", {"axis": 2})], [integers("i", 2, 0)]),
    "node n0 (Cast) rounds a layer's output to whole numbers": (
        [("Cast", "x", "z", {"to": TensorProto.INT64}), ("Relu", "z", "y", {})], ()),
    "node n0 (Resize) resizes in a way that no layer has (cubic, half_pixel": (
        [("Resize", "x roi twice", "y", {"mode": "cubic"})],
        [tensor("roi", 0), tensor("twice", 4, low=2, high=2)]),
    "node n0 (Resize) resizes in a way that no layer has (nearest, asymmetric)": (
        [("Resize", "x roi thrice", "y", {"coordinate_transformation_mode": "asymmetric"})],
        [tensor("roi", 0), helper.make_tensor("thrice", TensorProto.FLOAT, [4], [1, 1, 3, 3])]),
    "node n0 (Selu) has gamma=2.0, layers have gamma=1.050701: use SELU": (
        [("Selu", "x", "y", {"gamma": 2.0})], ()),
    "node n1 runs twice with the same weights": (
        [("Conv", "x k", "c", {}), ("Conv", "c k", "y", {})], [tensor("k", 3, 3, 1, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("said", list(REFUSED))
def test_a_node_without_a_layer_is_refused_by_name(said, tmp_path):
    nodes, constants = REFUSED[said]
    with pytest.raises(ArchitectureError) as caught:
        read_source(saved(tmp_path / "net.onnx", nodes, constants))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_control_flow_is_refused_by_name(tmp_path):
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    condition = helper.make_tensor("so", TensorProto.BOOL, [], [True])
    nodes = [("If", "so", "y", {"then_branch": branch, "else_branch": branch})]
    with pytest.raises(ArchitectureError, match=r"node n0 \(If\) is control flow: export the net"):
        read_source(saved(tmp_path / "net.onnx", nodes, [condition]))


def test_files_that_are_none_are_refused(tmp_path, monkeypatch):
    add = [("Add", "x z", "y", {})]
    (tmp_path / "text.onnx").write_text("no net")
    (tmp_path / "text.pt2").write_text("no net")
    (tmp_path / "weights.pt").write_bytes(b"PK")
    (tmp_path / "code.py").write_text("")
    two = torch.export.export(Two(), (torch.zeros(2, *IMAGE), torch.zeros(2, *IMAGE)))
    torch.export.save(two, tmp_path / "two.pt2")
    for path, said in (
        (saved(tmp_path / "two.onnx", add, inputs=("x", "z")), "has the inputs x, z"),
        (saved(tmp_path / "flat.onnx", [RELU], shape=(1, 9)), "is no B x C x H x W of float32"),
        (str(tmp_path / "text.onnx"), "is no ONNX file that can be read (DecodeError"),
        (str(tmp_path / "text.pt2"), "cannot be read as a program of torch.export"),
        (str(tmp_path / "two.pt2"), "reads x, y, which is not one tensor"),
        (str(tmp_path / "none.onnx"), "there is no file"),
        (str(tmp_path / "weights.pt"), "does not say how its net computes: name the code"),
        (str(tmp_path / "code.py"), "is code: name what gives the module in it"),
    ):
        with pytest.raises(ArchitectureError) as caught:
            read_source(path)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    path = saved(tmp_path / "net.onnx", [RELU])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ArchitectureError, match=r"needs the package onnx: pip install 'archpress\["
    ):
        read_source(path)


class Two(nn.Module):
    def forward(self, x, y):
        return x + y


def test_the_shape_of_images_is_the_files_unless_it_leaves_it_free(tmp_path):
    fixed = saved(tmp_path / "fixed.onnx", [CONV], WEIGHTS)
    free = saved(tmp_path / "free.onnx", [CONV], WEIGHTS, shape=("batch", 3, "height", "width"))
    assert open_source(fixed).fixed_shape == (3, 9, 9)
    assert open_source(free).fixed_shape is None
    assert read_source(free, (3, 5, 7)).architecture.input_shape == (3, 5, 7)
    with pytest.raises(ArchitectureError, match="is for images of 3x9x9, not 3x5x7"):
        read_source(fixed, (3, 5, 7))
    with pytest.raises(ArchitectureError, match="needs the shape of its images"):
        read_source(free)


def test_weights_are_named_as_the_built_network_names_them(tmp_path):
    source = read_source(saved(tmp_path / "net.onnx", [CONV], WEIGHTS))
    assert source.names == ("n0",)
    assert source.weights.keys() == build(source.architecture).state_dict().keys()
    assert torch.equal(
        source.weights["conv1.bias"], torch.tensor(numpy_helper.to_array(WEIGHTS[1]))
    )


def test_a_structure_alone_has_no_weights(tmp_path):
    named("tiny").save(tmp_path / "net.json")
    for net in ("tiny", str(tmp_path / "net.json")):
        source = read_source(net)
        assert source.architecture == named("tiny")
        assert (source.weights, source.run, source.parameters) == (None, None, None)
