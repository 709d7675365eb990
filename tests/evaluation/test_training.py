from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from archpress.architecture import Layer, chain
from archpress.architecture.network import build
from archpress.data import ImageData, Split
from archpress.errors import EvaluationError
from archpress.evaluation import (
    DivergedError,
    Normalisation,
    Recipe,
    accuracy_of,
    logits_of,
    quick,
    teacher_logits_of,
    train,
)

WITHOUT_NORM = chain(
    (1, 8, 8),
    Layer("conv", 3, 8, 1, 1),
    Layer("relu"),
    Layer("max_pool", 2, stride=2),
    Layer("linear", channels=4),
)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_training_learns_and_the_curve_ends_with_the_accuracy(data, net, brief):
    result = train(net, data, replace(brief, epochs=4), seed=0)
    assert result.accuracy > 0.9
    assert len(result.curve) == 4
    assert result.curve[-1] == result.accuracy
    assert result.seconds > 0
    assert not result.network.training


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_learns_without_batch_norm(data, brief, optimizer):
    rate = 0.2 if optimizer == "sgd" else 0.02
    recipe = replace(brief, optimizer=optimizer, epochs=6, learning_rate=rate)
    assert train(WITHOUT_NORM, data, recipe, seed=0).accuracy > 0.9


def test_it_overfits_32_images_whose_labels_are_random():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (32, 1, 8, 8), dtype=torch.uint8, generator=rng)
    split = Split(images, torch.randint(0, 4, (32,), generator=rng))
    data = ImageData.of("random", split, split, ("a", "b", "c", "d"))
    recipe = Recipe("long", epochs=60, batch_size=8, learning_rate=0.01, evaluate_every=0)
    assert train(WITHOUT_NORM, data, recipe, seed=0).accuracy == 1.0


def test_the_quick_recipe_reads_digits():
    bunch = load_digits()
    images = torch.from_numpy(bunch.images * 15).to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(bunch.target).long()
    data = ImageData.of(
        "digits",
        Split(images[:1400], labels[:1400]),
        Split(images[1400:], labels[1400:]),
        tuple(map(str, range(10))),
    )
    for norm in ([Layer("batch_norm")], []):
        net = chain(
            (1, 8, 8),
            *(Layer("conv", 3, 16, 1, 1), *norm, Layer("relu")),
            *(Layer("max_pool", 2, stride=2), Layer("conv", 3, 32, 1, 1), *norm, Layer("relu")),
            Layer("linear", channels=10),
        )
        assert train(net, data, quick(), seed=0).accuracy > 0.85


def test_the_seed_decides_everything(data, net, brief):
    recipe = replace(brief, flip=True, crop=1)
    first, second = train(net, data, recipe, seed=3), train(net, data, recipe, seed=3)
    other = train(net, data, recipe, seed=4)
    assert same_weights(first.network, second.network)
    assert (first.curve, first.train_loss) == (second.curve, second.train_loss)
    assert not same_weights(first.network, other.network)


def test_the_seed_also_decides_the_order_of_the_images(data, brief):
    """Two networks that start from the same weights and have no dropout."""
    trained = []
    for seed in (0, 0, 1):
        torch.manual_seed(5)
        trained.append(train(build(WITHOUT_NORM), data, brief, seed).network)
    assert same_weights(trained[0], trained[1])
    assert not same_weights(trained[0], trained[2])


def test_what_ran_before_does_not_change_a_training_nor_a_training_what_runs_after(
    data, net, brief
):
    first = train(net, data, brief, seed=0)
    torch.manual_seed(99)
    expected_next = torch.rand(3)
    torch.manual_seed(99)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    second = train(net, data, brief, seed=0)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert torch.equal(torch.rand(3), expected_next)
    assert same_weights(first.network, second.network)


def test_how_often_the_curve_is_measured_does_not_change_the_weights(data, net, brief):
    seldom = train(net, data, replace(brief, evaluate_every=0), seed=0)
    often = train(net, data, brief, seed=0)
    assert (len(seldom.curve), len(often.curve)) == (1, 2)
    assert same_weights(seldom.network, often.network)


def test_a_last_batch_of_one_image_does_not_break_batch_norm(data, brief):
    # 193 = 6 x 32 + 1, and the batch norm sees vectors, so a batch of one has no variance.
    net = chain(
        (1, 8, 8), Layer("linear", channels=8), Layer("batch_norm"), Layer("linear", channels=4)
    )
    assert len(data.train) % brief.batch_size == 1
    assert train(net, data, brief, seed=0).accuracy > 0.5


def test_a_loss_that_is_no_number_is_an_error_of_its_own(data, brief):
    recipe = replace(brief, optimizer="sgd", learning_rate=1e30, clip=None)
    with pytest.raises(DivergedError, match=r"epoch 1 of 2 at a learning rate of up to 1e\+30"):
        train(WITHOUT_NORM, data, recipe, seed=0)


def test_a_network_goes_on_from_its_weights(data, net, brief):
    trained = train(net, data, replace(brief, epochs=4), seed=0)
    crawl = replace(brief, epochs=1, learning_rate=1e-9)
    assert train(trained.network, data, crawl, seed=1).accuracy >= trained.accuracy - 0.02
    assert train(build(net), data, crawl, seed=1).accuracy < 0.7


def test_every_epoch_is_reported(data, net, brief):
    epochs = []
    recipe = replace(brief, epochs=3, evaluate_every=2)
    result = train(net, data, recipe, seed=0, on_epoch=epochs.append)
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert epochs[0].accuracy is None
    assert (epochs[1].accuracy, epochs[2].accuracy) == result.curve
    assert epochs[2].train_loss == result.train_loss < epochs[0].train_loss


def test_weight_decay_shrinks_weights_but_not_biases(data, brief):
    recipe = replace(brief, optimizer="adamw", learning_rate=0.01)
    plain = train(WITHOUT_NORM, data, recipe, seed=0).network
    decayed = train(WITHOUT_NORM, data, replace(recipe, weight_decay=20.0), seed=0).network
    assert decayed.linear1.weight.norm() < 0.5 * plain.linear1.weight.norm()
    assert decayed.linear1.bias.norm() > 0.5 * plain.linear1.bias.norm()


def test_the_gradient_is_clipped_so_a_step_has_a_known_length(data):
    recipe = Recipe(
        *("one step", 1, len(data.train), "sgd"), learning_rate=0.5, momentum=0.0, clip=1e-3,
        schedule="steps",
    )  # fmt: skip
    torch.manual_seed(0)
    network = build(WITHOUT_NORM)
    before = torch.cat([weight.detach().flatten().clone() for weight in network.parameters()])
    train(network, data, recipe, seed=0)
    after = torch.cat([weight.detach().flatten() for weight in network.parameters()])
    # One batch of all 193 images is one step of rate x clip.
    assert (after - before).norm().item() == pytest.approx(0.5 * 1e-3, rel=1e-3)


def test_batch_norms_take_the_recipes_momentum(data, net, brief):
    result = train(net, data, replace(brief, batch_norm_momentum=0.4), seed=0)
    assert result.network.batch_norm1.momentum == 0.4


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        (((3, 8, 8), 4), r"reads images of 3x8x8, the data has 1x8x8"),
        (((1, 8, 8), 3), r"has 3 outputs, the data a class 3"),
    ],
)
def test_an_architecture_that_does_not_fit_the_data_is_refused(data, brief, layers, problem):
    shape, classes = layers
    with pytest.raises(EvaluationError, match=problem):
        train(chain(shape, Layer("linear", channels=classes)), data, brief, seed=0)


def test_logits_and_accuracy_of_a_split_agree_with_the_training(data, net, brief):
    result = train(net, data, brief, seed=0)
    normalisation = Normalisation.of(data, brief)
    logits = logits_of(result.network, data.validation, normalisation)
    assert logits.shape == (100, 4)
    right = (logits.argmax(1) == data.validation.labels).sum().item()
    assert right / 100 == result.accuracy
    assert accuracy_of(result.network, data.validation, normalisation) == result.accuracy


def test_mirrored_logits_are_those_of_the_mirrored_images(data, net, brief):
    network = train(net, data, brief, seed=0).network
    normalisation = Normalisation.of(data, brief)
    mirrored = Split(data.validation.images.flip(3), data.validation.labels)
    assert torch.equal(
        logits_of(network, data.validation, normalisation, mirrored=True),
        logits_of(network, mirrored, normalisation),
    )


def test_a_student_learns_from_its_teacher_alone(data, net, brief):
    """With weight 1 the labels play no part: the student of a teacher that is always wrong errs."""
    teacher = train(net, data, replace(brief, epochs=4), seed=0).network
    recipe = replace(brief, epochs=4, distillation=1.0, train_images=150)
    logits = teacher_logits_of(teacher, data, recipe)
    assert logits.shape == (2, 150, 4)
    student = train(WITHOUT_NORM, data, recipe, seed=1, teacher_logits=logits)
    assert student.accuracy > 0.9
    misled = train(WITHOUT_NORM, data, recipe, seed=1, teacher_logits=logits.roll(1, dims=2))
    assert misled.accuracy < 0.1


def test_a_mirrored_image_is_taught_by_the_logits_of_the_mirror_image(data, brief):
    """Mirrored, quadrants 0 and 1 (2 and 3) change places; only right pairs can be learned."""
    recipe = replace(brief, epochs=6, distillation=1.0, flip=True)
    labels = data.train.labels
    logits = 8.0 * torch.stack([nn.functional.one_hot(side, 4) for side in (labels, labels ^ 1)])
    assert train(WITHOUT_NORM, data, recipe, seed=0, teacher_logits=logits).accuracy > 0.9


@pytest.mark.parametrize(
    ("logits", "problem"),
    [(None, "no teacher logits are given"), (torch.zeros(2, 5, 4), "must be 2 x 193 x classes")],
)
def test_distilling_without_fitting_logits_is_refused(data, net, brief, logits, problem):
    with pytest.raises(EvaluationError, match=problem):
        train(net, data, replace(brief, distillation=0.5), seed=0, teacher_logits=logits)
