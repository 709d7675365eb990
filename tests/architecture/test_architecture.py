import json
import math
from dataclasses import FrozenInstanceError, replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archpress.architecture import ACTIVATIONS, ZOO, Architecture, Layer, chain, named
from archpress.errors import ArchitectureError

RESIDUAL = Architecture(
    (1, 4, 4),
    (
        Layer("conv", 3, 2, 1, 1),
        Layer("relu"),
        Layer("conv", 3, 2, 1, 1, bias_free=True),
        Layer("add", inputs=(1, 3)),
        Layer("global_average_pool"),
        Layer("linear", channels=5),
    ),
)


def test_costs_of_a_residual_net_are_those_counted_by_hand():
    # conv 1*2*9 + 2; conv 2*2*9 without bias; linear 2*5 + 5
    assert RESIDUAL.layer_parameters == (20, 0, 36, 0, 0, 15)
    assert RESIDUAL.parameters == 71
    # conv 9 * 1 * (2*4*4); conv 9 * 2 * (2*4*4); linear 2 * 5
    assert RESIDUAL.layer_macs == (288, 0, 576, 0, 0, 10)
    assert RESIDUAL.macs == 874
    assert RESIDUAL.classes == 5
    assert RESIDUAL.activations == 4 * 32 + 2 + 5
    assert not RESIDUAL.is_chain


def test_costs_of_depthwise_and_norms_are_those_counted_by_hand():
    net = chain((3, 6, 6), Layer("depthwise", 3, 0, 1, 0), Layer("batch_norm"))
    assert net.layer_parameters == (3 * 9 + 3, 2 * 3)
    assert net.macs == 9 * 3 * 4 * 4
    assert net.is_chain


def test_peak_memory_of_a_chain_is_the_largest_pair_of_neighbours():
    net = chain(
        (1, 8, 8),
        Layer("conv", 3, 4, 1, 1),  # 64 + 256 values
        Layer("relu"),  # 256 + 256: the peak
        Layer("max_pool", 2, stride=2),  # 256 + 64
        Layer("linear", channels=10),  # 64 + 10
    )
    assert net.peak_memory == 4 * 512


def test_peak_memory_of_a_residual_net_keeps_what_the_shortcut_reads():
    # image 16; conv 32; relu 32; second conv: shortcut 32 + relu 32 + its own 32; add the same
    assert RESIDUAL.peak_memory == 4 * 96


def test_the_image_is_not_alive_once_nothing_reads_it():
    small = (Layer("conv", 8, 1, 1), Layer("conv", 1, 40, 1), Layer("linear", channels=2))
    # image 3*64 + 1 = 193; then 1 + 40, 40 + 2
    assert chain((3, 8, 8), *small).peak_memory == 4 * 193
    read_later = (*small[:2], Layer("linear", channels=2, inputs=(3,)))
    assert chain((3, 8, 8), *read_later).peak_memory == 4 * (192 + 1 + 40)


def memory_by_brute_force(net: Architecture) -> int:
    """At each step, whatever exists and is written or read at this step or read later."""
    values = {-1: net.input_shape, **dict(enumerate(net.shapes))}
    sizes = {index: math.prod(shape) for index, shape in values.items()}
    readers = {index: [] for index in values}
    for index in range(len(net.layers)):
        for source in net.input_indices(index):
            readers[source].append(index)
    totals = []
    for step in range(len(net.layers)):
        alive = [
            v for v in values if v <= step and (v == step or any(r >= step for r in readers[v]))
        ]
        totals.append(sum(sizes[v] for v in alive))
    return 4 * max(totals)


@given(st.randoms(use_true_random=False))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_peak_memory_agrees_with_a_brute_force_count(random_net, random):
    net = random_net(random, idle=0.2)
    assert net.peak_memory == memory_by_brute_force(net)


@pytest.mark.parametrize("name", ["resnet20", "separable", "conv7", "lenet5"])
def test_peak_memory_of_known_nets_agrees_with_a_brute_force_count(name):
    assert named(name).peak_memory == memory_by_brute_force(named(name))


# --- a value ---


def test_equal_values_are_equal_hash_alike_and_cannot_be_changed():
    first, second = named("resnet20"), named("resnet20")
    assert first == second
    assert first is not second
    assert len({first, second, named("conv7")}) == 2
    with pytest.raises(FrozenInstanceError):
        first.layers = ()


# --- JSON ---


@given(st.randoms(use_true_random=False))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_json_gives_back_an_equal_architecture(random_net, random):
    net = random_net(random)
    assert Architecture.from_json(net.to_json()) == net


@pytest.mark.parametrize("name", list(ZOO))
def test_a_saved_net_is_loaded_equal_and_with_the_same_key(name, tmp_path):
    net = named(name)
    net.save(tmp_path / "net.json")
    again = Architecture.load(str(tmp_path / "net.json"))
    assert again == net
    assert again.key == net.key


def broken(**changes) -> str:
    """The JSON of a small net with its first layer, or the head, changed."""
    net = chain((1, 8, 8), Layer("conv", 3, 4, 1), Layer("linear", channels=2))
    content = json.loads(net.to_json())
    head = {name: changes.pop(name) for name in list(changes) if name in content}
    content["layers"][0] |= changes
    return json.dumps(content | head)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "net.json is not valid JSON: "),
        ("[" * 100_000, "net.json is not valid JSON: "),
        ("[1]", 'net.json is no architecture: it lacks "format": "archpress-architecture"'),
        ('{"version": 1}', 'it lacks "format": "archpress-architecture"'),
        (broken(kind="convolve"), "net.json: layer 0 (convolve): unknown kind 'convolve'; known"),
        (broken(kernel=9), "net.json: layer 0 (conv): kernel 9 does not fit a 8x8 map with"),
        (broken(channels=-4), "layer 0 (conv): channels must be 1 to 1048576, not -4"),
        (broken(channels=10**30), "channels must be 1 to 1048576, not 1000000"),
        (broken(version=2), "net.json has format version 2; this archpress reads up to 1"),
        (broken(version="1"), "net.json: version: "),
        (broken(kernel="3"), "net.json: layer 0 kernel: Input should be a valid integer, not '3'"),
        (broken(kernel=3.5), "net.json: layer 0 kernel: Input should be a valid integer"),
        (broken(kernel=True), "net.json: layer 0 kernel: Input should be a valid integer"),
        (broken(inputs=[]), "layer 0 (conv): inputs must hold at least one offset"),
        (broken(inputs=[5]), "layer 0 (conv): input offset 5 is not among 1 to 1"),
        (broken(inputs="1"), "net.json: layer 0 inputs: Input should be a valid list, not '1'"),
        (broken(rate=float("nan")), "layer 0 (conv): has no rate, so it must be 0, not nan"),
        (broken(colour=1), "net.json: layer 0 colour: Extra inputs are not permitted, not 1"),
        (broken(input_shape=[1, 8]), "net.json: input_shape"),
        (broken(input_shape=[1, 0, 8]), "three positive integers C, H, W, not (1, 0, 8)"),
        (broken(layers=[]), "net.json: an architecture needs at least one layer"),
        (broken(layers=5), "net.json: layers: Input should be a valid list, not 5"),
        (broken(layers=[{"kernel": 3}]), "net.json: layer 0 kind: Field required"),
    ],
)  # fmt: skip
def test_bad_json_is_refused_in_one_sentence_with_place_rule_and_value(text, expected):
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_json(text, where="net.json")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize("name", ["version", "input_shape", "layers"])
def test_a_missing_field_is_named(name):
    content = json.loads(broken())
    del content[name]
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_json(json.dumps(content), where="net.json")
    assert str(caught.value) == f"net.json: {name}: Field required"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ArchitectureError, match=r"cannot read architecture file .*absent\.json"):
        Architecture.load(tmp_path / "absent.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArchitectureError, match=r"cannot read architecture file .*binary"):
        Architecture.load(tmp_path / "binary")


# --- key ---


def branches(*, swapped: bool) -> Architecture:
    """Two branches of an image that are added, listed in one order or the other."""
    three = [Layer("conv", 3, 4, 1, 1), Layer("relu")]
    five = [Layer("conv", 5, 4, 1, 2), Layer("tanh")]
    first, second = (five, three) if swapped else (three, five)
    second = [Layer(second[0].kind, *_fields(second[0]), inputs=(3,)), second[1]]
    return chain((1, 8, 8), *first, *second, Layer("add", inputs=(1, 3)))


def _fields(layer: Layer) -> tuple[int, ...]:
    return layer.kernel, layer.channels, layer.stride, layer.padding


def test_nets_that_differ_only_in_the_order_of_layers_have_one_key():
    assert branches(swapped=True) != branches(swapped=False)
    assert branches(swapped=True).key == branches(swapped=False).key


def test_layers_that_do_nothing_do_not_change_the_key():
    net = chain((1, 8, 8), Layer("conv", 3, 4, 1), Layer("relu"), Layer("linear", channels=2))
    idle = chain(
        (1, 8, 8),
        Layer("conv", 5, 9, 1),  # nothing reads it
        Layer("conv", 3, 4, 1, inputs=(2,)),
        Layer("max_pool", 1, stride=1),
        Layer("relu"),
        Layer("relu"),
        Layer("dropout", rate=0.0),
        Layer("linear", channels=2),
    )
    assert idle.key == net.key


def test_every_field_changes_the_key():
    image, last = (2, 8, 8), Layer("linear", channels=2)
    nets = [chain(image, Layer("conv", 3, 4, 2, 1), last)]
    for conv in [
        Layer("conv", 5, 4, 2, 1),
        Layer("conv", 3, 5, 2, 1),
        Layer("conv", 3, 4, 1, 1),
        Layer("conv", 3, 4, 2, 0),
        Layer("conv", 3, 4, 2, 1, bias_free=True),
        Layer("max_pool", 3, 0, 2, 1),
        Layer("average_pool", 3, 0, 2, 1),
        Layer("depthwise", 3, 0, 2, 1),
        Layer("dropout", rate=0.1),
        Layer("dropout", rate=0.2),
        *map(Layer, ACTIVATIONS),
    ]:
        nets.append(chain(image, conv, last))
    nets.append(chain((2, 8, 9), *nets[0].layers))
    nets.append(chain(image, nets[0].layers[0], Layer("linear", channels=3)))
    nets.append(chain(image, Layer("conv", 3, 4, 2, 1)))
    assert len({net.key for net in nets}) == len(nets)


def test_a_layer_read_twice_is_not_two_layers_of_the_same_form():
    conv = Layer("conv", 3, 4, 1, 1)
    once = chain((1, 8, 8), conv, Layer("add", inputs=(1, 1)))
    twice = chain(
        (1, 8, 8), conv, Layer("conv", 3, 4, 1, 1, inputs=(2,)), Layer("add", inputs=(1, 2))
    )
    assert once.key != twice.key


def test_the_order_of_concatenated_inputs_is_part_of_the_key():
    a, b = Layer("conv", 1, 2, 1), Layer("conv", 3, 2, 1, 1, inputs=(2,))
    keys = {chain((1, 4, 4), a, b, Layer("concat", inputs=order)).key for order in [(1, 2), (2, 1)]}
    assert len(keys) == 2


def test_layers_that_are_alike_are_told_apart_by_what_reads_them():
    """Two of three activations read the one of two like convolutions, or the other."""
    conv = Layer("conv", 3, 4, 1, 1)
    twin, total = replace(conv, inputs=(2,)), Layer("add", inputs=(1, 2, 3))

    def read(*of):
        kinds = enumerate(zip(("relu", "sigmoid", "tanh"), of, strict=True))
        return chain(
            (1, 8, 8),
            conv,
            twin,
            *(Layer(k, inputs=(2 + at - by,)) for at, (k, by) in kinds),
            total,
        )

    keys = {of: read(*of).key for of in [(0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 1, 0)]}
    assert keys[0, 0, 1] == keys[1, 1, 0]
    assert len(set(keys.values())) == 3


def test_keys_stay_the_same_on_every_machine_and_in_every_release():
    # A store of trials is looked up by key: change it only together with the store's version.
    net = chain((1, 8, 8), Layer("conv", 3, 4, 1), Layer("dropout", rate=0.5))
    assert net.key == "185af0db0dd7bba342e1edbba6871334"


@given(st.integers(0, 2**32))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_equal_architecture_has_an_equal_key(random_net, seed):
    first, second = random_net(Random(seed)), random_net(Random(seed))
    assert first == second
    assert first.key == second.key


def test_the_text_of_a_net_says_its_size():
    assert str(RESIDUAL) == "6 layers (3 with weights to multiply), 71 parameters, 874 macs"
