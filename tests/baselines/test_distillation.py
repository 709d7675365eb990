from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from archpress.architecture import Layer, chain, named
from archpress.architecture.network import build, load_weights
from archpress.baselines.distillation import _first_part, _Imitation, _middle, hint_weights
from archpress.data import load_data
from archpress.errors import ArchitectureError, DataError, EvaluationError
from archpress.evaluation import DivergedError, Recipe, teacher_logits_of, train
from archpress.evaluation.preparation import prepare

TEACHER = named("tiny")
RECIPE = Recipe("brief", 4, batch_size=32, train_images=300, evaluate_every=0)


def slim(*, pooled=True):
    """Four thin convolutions; the second, in the middle, sees 14 x 14 or 7 x 7 pixels."""
    return chain(
        (1, 28, 28),
        *(Layer("conv", 3, 4, 2, 1), Layer("batch_norm"), Layer("relu")),
        *(Layer("conv", 3, 6, 1 if pooled else 2, 1), Layer("batch_norm"), Layer("relu")),
        *(Layer("conv", 3, 6, 2, 1), Layer("relu"), Layer("conv", 3, 6, 1, 1), Layer("relu")),
        *(Layer("global_average_pool"), Layer("linear", channels=10)),
    )


@pytest.fixture(scope="module")
def images():
    return load_data("fashion-mnist-sample")


@pytest.fixture(scope="module")
def teacher(images):
    return train(TEACHER, images, replace(RECIPE, train_images=600), 0).network


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_middle_is_the_middle_convolution_with_its_norm_and_activation():
    # tiny: conv BN ReLU pool | conv BN ReLU | pool conv BN ReLU ...
    assert TEACHER.layers[4].kind == "conv"
    assert _middle(TEACHER, "teacher") == 6
    assert _middle(slim(), "student") == 5
    residual = named("resnet20")
    assert residual.layers[_middle(residual, "teacher")].kind in {"batch_norm", "relu"}


def test_weights_are_those_of_the_whole_student_and_only_its_first_half_has_learned(
    images, teacher
):
    weights = hint_weights(teacher, TEACHER, slim(), images, RECIPE, seed=3)
    torch.manual_seed(3)
    fresh = build(slim()).state_dict()
    assert weights.keys() == fresh.keys()
    load_weights(build(slim()), weights, where="the student")
    guided = ("conv1.", "conv2.", "batch_norm1.", "batch_norm2.")
    for name, value in weights.items():
        assert torch.equal(value, fresh[name]) != name.startswith(guided), name


@pytest.mark.parametrize("pooled", [True, False])
def test_the_students_middle_layer_comes_to_tell_what_the_teachers_tells(images, teacher, pooled):
    """Best linear readout of the teacher's map from the student's, hinted against fresh."""
    student = slim(pooled=pooled)
    recipe = replace(RECIPE, epochs=16)
    hinted = hint_weights(teacher, TEACHER, student, images, recipe, seed=0)
    torch.manual_seed(0)
    fresh = build(student).state_dict()
    batch = prepare(images, recipe, torch.device("cpu")).images
    losses = [_readout_loss(student, weights, teacher, batch) for weights in (fresh, hinted)]
    assert losses[1] < 0.9 * losses[0]


def _readout_loss(student, weights, teacher, batch):
    pair = _Imitation(
        _first_part(student, "student", weights),
        _first_part(TEACHER, "teacher", teacher.state_dict()),
    )
    pair.guided.train()  # statistics of the batch: fresh weights have none of their own
    pair.hint.eval()
    with torch.no_grad():
        got = pair._map(pair.guided, batch).transpose(0, 1).flatten(1).T  # pixels x channels
        wanted = pair._map(pair.hint, batch).transpose(0, 1).flatten(1).T
        got = F.pad(got, (0, 1), value=1.0)
        best = torch.linalg.lstsq(got, wanted).solution
        return float(((got @ best - wanted) ** 2).mean())


def test_the_teacher_and_torchs_generator_stay_as_they_were(images, teacher):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first = hint_weights(teacher, TEACHER, slim(), images, RECIPE, seed=0)
    assert torch.equal(torch.rand(2), expected)
    assert same(before, teacher.state_dict())
    assert same(first, hint_weights(teacher, TEACHER, slim(), images, RECIPE, seed=0))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_stages_together_train_a_student(images, teacher, precision):
    taught = {"distillation": 0.5, "teacher": TEACHER.key, "start": "hints"}
    recipe = replace(RECIPE, epochs=20, precision=precision, **taught)
    weights = hint_weights(teacher, TEACHER, slim(), images, recipe, seed=0)
    logits = teacher_logits_of(teacher, images, recipe)
    result = train(slim(), images, recipe, 0, teacher_logits=logits, initial=weights)
    assert result.accuracy > 0.3


def test_nets_without_a_convolution_and_images_that_do_not_fit_are_refused(images, teacher):
    linear = chain((1, 28, 28), Layer("linear", channels=10))
    with pytest.raises(EvaluationError, match="the student has no convolution"):
        hint_weights(teacher, TEACHER, linear, images, RECIPE, seed=0)
    with pytest.raises(DataError, match="3x32x32"):
        hint_weights(teacher, TEACHER, named("resnet20"), images, RECIPE, seed=0)
    with pytest.raises(ArchitectureError, match="weights in the teacher"):
        hint_weights(teacher, slim(), slim(), images, RECIPE, seed=0)


def test_a_loss_that_is_no_number_is_an_error_of_its_own(images, teacher):
    wild = replace(RECIPE, optimizer="sgd", learning_rate=1e30, clip=None)
    with pytest.raises(DivergedError, match="loss of the hints"):
        hint_weights(teacher, TEACHER, slim(), images, wild, seed=0)
