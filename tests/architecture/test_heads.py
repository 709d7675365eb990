"""The layer that gives the classes."""

import pytest
import torch

from archpress.architecture import Layer, chain, named, with_classes, with_linear_head
from archpress.architecture.network import build
from archpress.errors import ArchitectureError

BODY = (Layer("conv", 3, 6, 1, 1), Layer("relu"))
PIXELS = Layer("conv", 1, 10, 1)
MEAN = Layer("global_average_pool")


@pytest.mark.parametrize(
    "end",
    [
        (Layer("linear", channels=10),),
        (PIXELS, MEAN),
        (PIXELS, Layer("relu"), MEAN),
        (MEAN, PIXELS),
        (MEAN, Layer("linear", channels=10), Layer("softmax")),
        (Layer("conv", 8, 10, 1),),
    ],
)
def test_whatever_gives_the_classes_can_give_another_number(end):
    net = chain((3, 8, 8), *BODY, *end)
    other = with_classes(net, 7)
    assert (net.classes, other.classes) == (10, 7)
    changed = [a != b for a, b in zip(net.layers, other.layers, strict=True)]
    assert sum(changed) == 1


def test_where_nothing_gives_the_classes_it_is_one_sentence():
    with pytest.raises(ArchitectureError, match=r"layer 0 \(relu\): only a net in which"):
        with_classes(chain((1, 4, 4), Layer("relu")), 3)


@pytest.mark.parametrize("end", [(PIXELS, MEAN), (MEAN, PIXELS), (Layer("conv", 8, 10, 1),)])
def test_a_convolution_that_gives_the_classes_is_the_linear_layer_with_its_weights(end):
    net = chain((3, 8, 8), *BODY, *end)
    headed = with_linear_head(net)
    assert headed.layers[-1].kind == "linear"
    assert headed.parameters == net.parameters
    theirs, ours = build(net), build(headed)
    weights = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    shapes = {name: value.shape for name, value in ours.state_dict().items()}
    ours.load_state_dict({name: value.reshape(shapes[name]) for name, value in weights.items()})
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(theirs.eval()(images), ours.eval()(images), atol=1e-5)


def test_any_other_end_gets_a_linear_layer_more():
    wide = chain((3, 8, 8), *BODY, Layer("conv", 3, 10, 1, 1), MEAN)
    assert with_linear_head(wide).layers == (*wide.layers, Layer("linear", channels=10))
    pixels = chain((3, 8, 8), *BODY, PIXELS, MEAN)
    assert with_linear_head(pixels, kept=[2]).layers[:4] == pixels.layers


def test_a_net_with_a_linear_head_stays_as_it_is():
    net = named("resnet20")
    assert with_linear_head(net) is net
