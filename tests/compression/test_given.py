"""A source that comes with its weights, and slices of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from archpress.architecture import Architecture, Layer, chain, named
from archpress.architecture.network import build
from archpress.compression import LimitCheck, Measured, Spread
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.compression.given import (
    digest_of,
    measure_given,
    source_net,
    told_of_others,
)
from archpress.compression.result import AsGiven
from archpress.compression.sentence import tell
from archpress.compression.settings import settings_for
from archpress.compression.start import begun_with, renormalised
from archpress.data import ImageData, Split
from archpress.errors import ArchitectureError, EvaluationError
from archpress.evaluation import Normalisation, Recipe, teacher_logits_of, usual_normalisations
from archpress.reading.sources import NamedSource
from archpress.reading.tracing import trace
from archpress.search.progress import Silent


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


class ByBrightness(nn.Module):
    """Right about images of two classes, dark and bright, if pixels are in [-1, 1]."""

    def __init__(self):
        super().__init__()
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[-1.0], [1.0]]))
            self.head.bias.zero_()

    def forward(self, images):
        return self.head(self.pool(images).flatten(1))


def split(count):
    """Even images are dark, 40 to 119, odd ones bright, 130 to 149; their mean is about 105."""
    labels = torch.arange(count) % 2
    values = torch.where(
        labels == 0, 40 + 7 * torch.arange(count) % 80, 130 + torch.arange(count) % 20
    )
    return Split(values.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone(), labels)


@pytest.fixture(scope="module")
def brightness():
    test = split(30)
    return ImageData.of(
        "brightness", split(60), split(40), ("dark", "bright"), test_reader=lambda: test
    )


def measured(module, data, normalisation=None, progress=None):
    net = source_net(module, data, "own")
    return measure_given(
        net, "net", data, normalisation, device="cpu", progress=progress or Silent()
    )


def test_the_normalisation_under_which_the_source_is_best_is_taken_and_told(brightness):
    said = Said()
    given = measured(ByBrightness(), brightness, progress=said)
    # In [0, 1] and [0, 255] all is bright, and by the data's mean some dark images.
    assert 0.5 < given.about.tried["data"] < 1.0
    assert given.about.tried["unit"] == given.about.tried["bytes"] == 0.5
    assert given.about.normalisation == "half"
    assert given.normalisation == usual_normalisations(brightness)["half"]
    assert given.validation == Spread(1.0, 0.0, 1)
    assert given.about.tried["half"] == 1.0
    (line,) = said.lines
    assert line.startswith(
        "net as given: 100.00% on the validation images, normalised to [-1, 1] ("
    )
    assert "unit 50.0%" in line


def test_a_normalisation_that_is_said_is_taken(brightness):
    assert measured(ByBrightness(), brightness, "half").about.tried == {}
    for said in ("0.5/0.25", "0.5/0.5"):
        given = measured(ByBrightness(), brightness, said)
        assert given.about.normalisation == said
        assert given.normalisation.mean == (0.5,)
    typed = measured(ByBrightness(), brightness, Normalisation((0.5,), (0.25,)))
    assert typed.about.normalisation == "0.5/0.25"
    third = measured(ByBrightness(), brightness, Normalisation((1 / 3,), (0.25,)))
    assert third.about.normalisation == "0.333333/0.25"
    assert third.normalisation.mean == (1 / 3,)


@pytest.mark.parametrize(
    ("normalisation", "said"),
    [
        (None, "has 50.0% accuracy on the validation images under every usual normalisation"),
        ("unit", "has 50.0% accuracy on the validation images with normalisation unit, and"),
    ],
)
def test_a_source_that_knows_nothing_is_refused(brightness, normalisation, said):
    module = ByBrightness()
    with torch.no_grad():
        module.head.weight.zero_()
    with pytest.raises(EvaluationError) as caught:
        measured(module, brightness, normalisation)
    assert said in str(caught.value)
    assert "are these its images, and its classes in its order?" in str(caught.value)


@pytest.mark.parametrize(
    "wrong", ["imagenet", "mine", "0.5", "0.5/0", "0.5,0.5/1,1", "a/b", "1/2/3"]
)
def test_a_normalisation_that_is_none_is_refused(brightness, wrong):
    with pytest.raises(EvaluationError, match="normalisation") as caught:
        measured(ByBrightness(), brightness, wrong)
    assert wrong in str(caught.value)


def test_a_normalisation_without_weights_is_refused(brightness):
    net = source_net(ByBrightness(), brightness, None)
    assert net.weights is None
    assert measure_given(net, "net", brightness, None, device="cpu", progress=Silent()) is None
    with pytest.raises(EvaluationError, match="none are given"):
        measure_given(net, "net", brightness, "half", device="cpu", progress=Silent())


def test_a_network_that_computes_something_else_than_its_source_is_refused(brightness):
    net = source_net(ByBrightness(), brightness, "own")
    wrong = replace(net, run=lambda images: net.run(images) + 0.1)
    with pytest.raises(ArchitectureError, match=r"differ by 0\.1 in outputs"):
        measure_given(wrong, "net", brightness, None, device="cpu", progress=Silent())


def test_a_source_that_was_read_as_another_network_is_told_though_its_weights_are_not_used(
    brightness,
):
    class Heard(Silent):
        lines = ()

        def say(self, text):
            self.lines += (text,)

    heard, module = Heard(), ByBrightness()
    source_net(module, brightness, None, heard)
    assert heard.lines == ()
    module.head.register_forward_hook(lambda layer, inputs, output: output + 1)
    source_net(module, brightness, None, heard)
    (line,) = heard.lines
    assert line.startswith("the ByBrightness was read as a network whose outputs differ")


def test_sources_of_every_kind_take_weights(brightness, tmp_path):
    module = ByBrightness()
    state = module.state_dict()
    traced = trace(module, (1, 4, 4)).architecture
    plain = build(traced).state_dict().keys()
    read = NamedSource("net", None, module).read((1, 4, 4))
    for source, weights in (
        (ByBrightness(), state),
        (read, "own"),
        (traced, dict(zip(plain, state.values(), strict=True))),
    ):
        found = source_net(source, brightness, weights)
        assert found.architecture == traced
        assert torch.equal(found.weights["linear1.weight"], module.head.weight)
    with pytest.raises(ArchitectureError, match="is a structure without weights"):
        source_net(traced, brightness, "own")


# --- in the place of a training ----------------------------------------------------------------


@pytest.fixture
def trainer(brightness, tmp_path):
    """Its pool says what it was to train, its store is not there to look anything up."""
    return FinalTrainer(brightness, SimpleNamespace(run=refuse), None, tmp_path, Silent())


def refuse(jobs):
    assert jobs == []
    return iter(jobs)


def test_a_given_source_is_measured_taught_from_and_never_trained(brightness, trainer):
    given = measured(ByBrightness(), brightness)
    net = trace(ByBrightness(), (1, 4, 4)).architecture
    entrant = Entrant(net, Recipe("final", 1), (0,), "source", given)
    trainer.train([entrant], "training the source")
    assert trainer.validation(entrant) == Spread(1.0, 0.0, 1)
    assert trainer.test(entrant, brightness.read_test()) == Spread(1.0, 0.0, 1)
    student = Recipe("distilled", 1, distillation=0.5, teacher=entrant.teacher)
    logits = torch.from_numpy(np.load(trainer.teach(entrant, student)))
    # The first image is 40 everywhere: 2 * 40 / 255 - 1 = -0.6863, and the head gives -x and x.
    assert logits[0, 0].tolist() == pytest.approx([0.6863, -0.6863], abs=1e-4)
    own = teacher_logits_of(trainer.network(entrant, 0), brightness, student)
    assert not torch.allclose(own, logits)


def test_other_weights_and_normalisations_are_other_teachers(brightness):
    net = trace(ByBrightness(), (1, 4, 4)).architecture
    scaled = ByBrightness()
    with torch.no_grad():
        scaled.head.weight.mul_(2)
    entrants = [
        Entrant(net, Recipe("final", 1), (0,), "source", measured(module, brightness, how))
        for module, how in ((ByBrightness(), None), (scaled, None), (scaled, "0.5/0.25"))
    ]
    assert len({entrant.teacher for entrant in entrants}) == 3
    assert all(entrant.teacher.startswith(net.key) for entrant in entrants)


def test_the_digest_is_of_names_and_values():
    state = {"a": torch.ones(2), "b": torch.zeros(1)}
    assert digest_of(state) == digest_of(dict(reversed(state.items())))
    others = [{**state, "a": torch.ones(2) + 1e-6}, {"a": state["a"], "c": state["b"]}]
    assert len({digest_of(one) for one in (state, *others)}) == 3


def test_a_folder_with_other_weights_says_so():
    bare = {"source": "net", "data": "0f", "data_name": "photos"}
    entrant = {**bare, "source_weights": "aa", "source_normalisation": "unit"}
    assert told_of_others({}, entrant) is None
    assert told_of_others(entrant, entrant) is None
    other = told_of_others({**entrant, "source_weights": "bb"}, entrant)
    assert "other weights of the source (bb unit; now aa unit)" in other
    assert "none, it was trained here; now aa unit" in told_of_others(bare, entrant)


@pytest.mark.parametrize("other", [{"source": "another"}, {"data": "1e"}])
def test_a_folder_with_another_net_or_other_images_says_so(other):
    plan = {"source": "net", "data": "0f", "data_name": "photos"}
    told = told_of_others({**plan, **other}, plan)
    assert told.startswith(f"this folder has a run of {other.get('source', 'net')} on photos:")


def test_the_sentence_says_that_the_source_was_not_trained_here():
    source = Measured(
        "net", 1000, 1, 1, 3, {"median_seconds": 1.0}, Spread.of([0.9]), Spread.of([0.91])
    )
    compressed = replace(source, parameters=100, test_accuracy=Spread.of([0.89, 0.91]))
    given = replace(source, given=AsGiven("0f", "half", {}))
    checks = [LimitCheck("max_parameters", 100, 100, True)]
    assert "(90.00% ± 1.41% (n=2) against 91.00% (n=1))" in tell(checks, source, compressed)
    assert "against 91.00%, as given, not trained here)" in tell(checks, given, compressed)


def test_with_a_given_source_a_short_training_is_begun_by_it():
    alone, given = settings_for("quick"), settings_for("quick", given=True)
    assert (alone.distillation, alone.inheritance) == (0.5, False)
    assert (given.distillation, given.inheritance) == (0.5, True)
    assert settings_for("standard", given=True) == settings_for("standard")


# --- slices of its weights ---------------------------------------------------------------------


@pytest.mark.parametrize("bias_free", [False, True])
def test_renormalised_weights_do_with_new_images_what_they_did_with_the_old(bias_free):
    layers = [Layer("conv", 3, 5, 1, 0, bias_free=bias_free), Layer("batch_norm"), Layer("relu")]
    net = chain((3, 6, 6), *layers, Layer("linear", channels=4))
    torch.manual_seed(0)
    network = build(net).eval()
    old = Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    new = Normalisation((0.1, 0.9, 0.5), (1.0, 0.1, 0.5))
    images = torch.randint(0, 256, (4, 3, 6, 6), dtype=torch.uint8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = network(old.apply(images))
    other = build(net).eval()
    other.load_state_dict(renormalised(net, before, old, new))
    assert torch.allclose(other(new.apply(images)), expected, atol=1e-4)
    assert not torch.allclose(network(new.apply(images)), expected, atol=1e-2)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_linear_layer_that_reads_the_image_is_renormalised_too():
    net = Architecture((2, 3, 3), (Layer("linear", channels=4),))
    network, other = build(net), build(net)
    old, new = Normalisation((0.4, 0.5), (0.2, 0.3)), Normalisation((0.0, 0.0), (1.0, 0.5))
    images = torch.randint(0, 256, (4, 2, 3, 3), dtype=torch.uint8)
    other.load_state_dict(renormalised(net, network.state_dict(), old, new))
    assert torch.allclose(other(new.apply(images)), network(old.apply(images)), atol=1e-4)


def test_a_result_begins_with_slices_of_the_given_source(brightness, trainer):
    source = chain((1, 4, 4), Layer("conv", 3, 6, 1, 1), Layer("relu"), Layer("linear", channels=2))
    small = chain((1, 4, 4), Layer("conv", 3, 4, 1, 1), Layer("relu"), Layer("linear", channels=2))
    given = measured(ByBrightness(), brightness)
    weights = {name: value + 7.0 for name, value in build(source).state_dict().items()}
    given = replace(given, weights=weights, normalisation=usual_normalisations(brightness)["data"])
    entrant = Entrant(small, Recipe("final", 1), (0, 1), "compressed")
    begun = begun_with(Entrant(source, entrant.recipe, (0,), "source", given), entrant, trainer)
    assert begun.recipe.start == f"slices of {source.key} {given.key}"
    assert begun.recipe.key != entrant.recipe.key
    assert len(set(begun.starts)) == 2
    for path in begun.starts:
        taken = load_file(path)["conv1.weight"]
        rows = weights["conv1.weight"].flatten(1)
        assert all((row == rows).all(1).any() for row in taken.flatten(1))


def test_the_plain_source_is_still_what_it_was():
    entrant = Entrant(named("tiny"), Recipe("final", 1), (0,), "source")
    assert entrant.teacher == named("tiny").key
