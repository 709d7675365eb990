import pytest

from archpress import errors
from archpress.architecture import ACTIVATIONS, KINDS, Architecture, Layer, chain
from archpress.architecture.kinds import PAPER_KINDS, output_shape
from archpress.architecture.shape_rules import RuleError

IMAGE = (3, 8, 8)
DOUBLED = (
    '{"buffers":[],"input":[3,8,8],"macs":0,"nodes":[["aten.mul.Tensor",[{"value":0},2]]],'
    '"output":[3,8,8],"parameters":[],"result":1}'
)


def message(*layers: Layer, image=IMAGE) -> str:
    with pytest.raises(errors.ArchitectureError) as caught:
        Architecture(image, layers)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Layer("hardtanh", options=(("min_val", 2.0),)), "min_val, 2.0, must be less than max_val"),
        (Layer("gelu", options=(("approximate", "quick"),)), "must be none or tanh, not 'quick'"),
        (Layer("softshrink", options=(("lambd", -0.5),)), "lambd must be 0 or more, not -0.5"),
        (Layer("batch_norm", options=(("eps", -1e-5),)), "eps must be 0 or more, not -1e-05"),
    ],
)
def test_options_that_pytorch_refuses_are_refused(layer, said):
    assert said in message(layer)


def test_the_papers_types_are_numbered_as_in_its_section_9():
    assert PAPER_KINDS == (
        "conv", "max_pool", "batch_norm", "relu", "sigmoid", "dropout", "average_pool", "linear",
    )  # fmt: skip


def test_activations_are_the_kinds_that_work_element_by_element():
    assert set(ACTIVATIONS) == {
        "relu", "sigmoid", "relu6", "leaky_relu", "elu", "gelu", "silu", "hardswish", "tanh",
        "hardsigmoid", "mish", "selu", "celu", "softplus", "softsign", "logsigmoid", "hardtanh",
        "hardshrink", "softshrink", "tanhshrink",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Layer("conv", 3, 5, 1, 0), (5, 6, 6)),  # (8 - 3) / 1 + 1
        (Layer("conv", 3, 5, 2, 1), (5, 4, 4)),  # floor((8 + 2 - 3) / 2) + 1
        (Layer("conv", 8, 5, 3, 0), (5, 1, 1)),
        (Layer("conv", 1, 5, 3, 2), (5, 4, 4)),  # floor((8 + 4 - 1) / 3) + 1
        (Layer("depthwise", 5, 0, 1, 2), (3, 8, 8)),
        (Layer("max_pool", 3, 0, 2, 1), (3, 4, 4)),
        (Layer("average_pool", 2, 0, 3, 0), (3, 3, 3)),  # floor(6 / 3) + 1
        (Layer("global_average_pool"), (3, 1, 1)),
        (Layer("batch_norm"), IMAGE),
        (Layer("dropout", rate=0.5), IMAGE),
        (Layer("linear", channels=7), (7,)),
        (Layer("pad", options=(("above", 1), ("right", -2))), (3, 9, 6)),
        (Layer("pad_channels", channels=5, options=(("begin", 1),)), (5, 8, 8)),
        (Layer("channel_mean"), (1, 8, 8)),
        (Layer("channel_max"), (1, 8, 8)),
        (Layer("flatten"), (192,)),
        (Layer("upsample"), (3, 16, 16)),
        (Layer("adaptive_average_pool", options=(("height", 3), ("width", 5))), (3, 3, 5)),
        (Layer("scale", options=(("factor", 0.5),)), IMAGE),
        (Layer("gain"), IMAGE),
    ],
)
def test_shapes_follow_pytorchs_formulas(layer, shape):
    assert output_shape(layer, [IMAGE]) == shape


def test_joins_add_equal_shapes_and_concatenate_channels():
    assert output_shape(Layer("add"), [IMAGE, IMAGE, IMAGE]) == IMAGE
    assert output_shape(Layer("concat"), [IMAGE, (5, 8, 8)]) == (8, 8, 8)
    assert output_shape(Layer("concat"), [(4,), (5,)]) == (9,)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_kind_refuses_every_field_it_does_not_have(kind):
    fields = KINDS[kind].fields
    good = {"kernel": 1, "channels": 2, "stride": 1, "padding": 0, "bias_free": True, "rate": 0.5}
    shapes = [IMAGE, IMAGE] if KINDS[kind].joining != "none" else [IMAGE]
    options = (("end", 2),) if kind == "slice" else ()
    if kind == "frozen":
        options = (("program", DOUBLED),)
    if kind == "channel_conv":
        shapes = [(3, 1, 1)]
    if kind == "pad_channels":
        good["channels"] = 4
    output_shape(Layer(kind, **{name: good[name] for name in fields}, options=options), shapes)
    for name in set(good) - fields - {"padding"} | {"padding"} - fields:
        value = good[name] or 1
        with pytest.raises(RuleError, match=f"{name}|has no bias"):
            output_shape(Layer(kind, **{f: good[f] for f in fields}, **{name: value}), shapes)


def test_messages_name_the_layer_the_rule_and_the_value():
    relu = Layer("relu")
    assert message(relu, Layer("conv", 9, 4, 1, 0)) == (
        "layer 1 (conv): kernel 9 does not fit a 8x8 map with padding 0"
    )
    assert message(Layer("conv", 3, -4, 1)) == (
        "layer 0 (conv): channels must be 1 to 1048576, not -4"
    )
    assert message(Layer("conv", 3, 4, 0)) == "layer 0 (conv): stride must be 1 to 1048576, not 0"
    assert message(Layer("conv", 3, 4, 1, -1)).endswith("padding must be 0 to 1048576, not -1")
    assert message(Layer("convolution")).startswith(
        "layer 0 (convolution): unknown kind 'convolution'; known are conv, depthwise"
    )
    assert message(Layer("relu", channels=3)) == (
        "layer 0 (relu): has no channels, so it must be 0, not 3"
    )
    assert message(Layer("max_pool", 2, stride=2, padding=2)) == (
        "layer 0 (max_pool): padding 2 is more than half of the pooling kernel 2"
    )
    assert message(Layer("linear", channels=5), Layer("max_pool", 2, stride=2)) == (
        "layer 1 (max_pool): needs a map of C x H x W but its input is a vector of 5 values"
    )
    assert (
        message(Layer("dropout", rate=1.0)) == "layer 0 (dropout): rate must be in [0, 1), not 1.0"
    )
    assert "not nan" in message(Layer("dropout", rate=float("nan")))
    assert message(Layer("conv", 3, 4, 1), Layer("add", inputs=(1, 2))) == (
        "layer 1 (add): cannot add outputs of shapes 4x6x6 and 3x8x8; they must be equal"
    )
    assert message(Layer("conv", 3, 4, 1), Layer("concat", inputs=(1, 2))).endswith(
        "cannot concatenate outputs of shapes 4x6x6 and 3x8x8; height and width must agree"
    )
    assert (
        message(relu, Layer("add")) == "layer 1 (add): joins at least two inputs but one is given"
    )
    assert message(relu, Layer("relu", inputs=(1, 2))).endswith("reads one input but 2 are given")
    assert message(Layer("relu", inputs=(2,))) == (
        "layer 0 (relu): input offset 2 is not among 1 to 1"
    )
    assert "offset 0 is not" in message(Layer("relu", inputs=(0,)))
    assert "at least one offset" in message(Layer("relu", inputs=()))


@pytest.mark.parametrize("value", [3.0, "3", True, None])
def test_a_field_that_is_no_integer_is_refused(value):
    assert message(Layer("conv", value, 4, 1)) == (
        f"layer 0 (conv): kernel must be an integer, not {value!r}"
    )


def test_an_offset_that_is_no_integer_is_refused():
    assert "input offset 1.0 is not" in message(Layer("relu", inputs=(1.0,)))


def test_an_impossible_input_shape_is_refused():
    for image in [(3, 8), (3, 0, 8), (3.0, 8, 8), (-1, 8, 8)]:
        assert f"three positive integers C, H, W, not {image}" in message(
            Layer("relu"), image=image
        )
    with pytest.raises(errors.ArchitectureError, match="at least one layer"):
        chain(IMAGE)
