import pytest

from archpress.architecture import ZOO, named
from archpress.errors import ArchitectureError


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # convolutions 9*(32 + 32*32 + 32*64 + 64*64 + 64*128 + 128*128 + 128*256) + 704 biases,
        # norms 2*704, linear 7*7*256*10 + 10
        ("conv7", 708_458),
        ("conv10", 24_368_906),
        # 9*(3*16 + 6*16*16 + 16*32 + 5*32*32 + 32*64 + 5*64*64) + projections 16*32 + 32*64,
        # norms 2*7*(16 + 32 + 64) with those of the projections, linear 64*10 + 10
        ("resnet20", 272_474),
        # VGG-16 of torchvision, its three linear layers replaced by 512*10 + 10
        ("vgg16", 14_728_266),
    ],
)
def test_known_nets_have_their_published_number_of_parameters(name, parameters):
    assert named(name).parameters == parameters


def test_the_sums_of_the_comments_above_are_right():
    conv7 = 9 * (32 + 32**2 + 32 * 64 + 64**2 + 64 * 128 + 128**2 + 128 * 256)
    assert conv7 + 3 * 704 + 7 * 7 * 256 * 10 + 10 == 708_458
    resnet = 9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2)
    assert resnet + 16 * 32 + 32 * 64 + 2 * 7 * (16 + 32 + 64) + 650 == 272_474


@pytest.mark.parametrize("name", list(ZOO))
def test_nets_take_other_inputs_and_classes(name):
    net = named(name, (2, 48, 40), classes=7)
    assert net.input_shape == (2, 48, 40)
    assert net.shapes[-1] == (7,)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ArchitectureError, match=r"no net is called 'conv8'; known are conv7, "):
        named("conv8")


def test_a_net_that_does_not_fit_says_the_size():
    with pytest.raises(ArchitectureError, match=r"vgg16 does not fit images of 3x8x8: layer \d+"):
        named("vgg16", (3, 8, 8))
