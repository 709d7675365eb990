from dataclasses import fields, replace

import pytest

from archpress.errors import EvaluationError
from archpress.evaluation import Recipe, final, paper, quick

OTHER_VALUES = {
    "epochs": 7,
    "batch_size": 48,
    "optimizer": "adam",
    "learning_rate": 0.123,
    "momentum": 0.5,
    "weight_decay": 0.3,
    "schedule": "steps",
    "warmup": 0.6,
    "milestones": (2,),
    "decay": 0.5,
    "clip": 9.0,
    "label_smoothing": 0.2,
    "flip": True,
    "crop": 3,
    "normalisation": "half",
    "train_images": 99,
    "spare_images": 50,
    "batch_norm_momentum": 0.7,
    "distillation": 0.5,
    "temperature": 2.0,
    "teacher": "someone",
    "start": "pruned",
    "precision": "bfloat16",
}


def test_the_key_covers_every_field_but_the_name_and_how_often_is_looked():
    recipe = Recipe("r", epochs=3)
    keys = {replace(recipe, **{name: value}).key for name, value in OTHER_VALUES.items()}
    assert len(keys | {recipe.key}) == len(OTHER_VALUES) + 1
    assert replace(recipe, name="other", evaluate_every=5).key == recipe.key
    assert {field.name for field in fields(Recipe)} == {*OTHER_VALUES, "name", "evaluate_every"}


def test_the_key_of_a_recipe_stays_the_same_from_version_to_version():
    assert Recipe("r", epochs=3).key == "d9cf24fe4d3bf12e"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("optimizer", "lion"),
        ("precision", "float16"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("momentum", 1.0),
        ("weight_decay", -0.1),
        ("schedule", "cosine"),
        ("warmup", 1.0),
        ("decay", 0.0),
        ("clip", 0.0),
        ("label_smoothing", 1.0),
        ("crop", -1),
        ("normalisation", "none"),
        ("train_images", 1),
        ("spare_images", -1),
        ("batch_norm_momentum", 0.0),
        ("distillation", 1.1),
        ("temperature", 0.0),
        ("evaluate_every", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(EvaluationError, match=f"'mine': {field} cannot be"):
        replace(Recipe("mine", epochs=3), **{field: value})


def test_one_cycle_rises_to_the_peak_and_ends_near_zero():
    recipe = Recipe("r", epochs=1, learning_rate=2.0, warmup=0.25)
    rates = [recipe.rate_at(step / 100) for step in range(100)]
    assert rates.index(max(rates)) == 25
    assert max(rates) == 2.0
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert 0 < rates[-1] < 0.03


def test_no_warmup_starts_at_the_peak():
    assert Recipe("r", epochs=1, learning_rate=2.0, warmup=0.0).rate_at(0.0) == 2.0


# Section 5.2.1: (epoch counted from 0, rate); the rate falls at 30, and at 80 and 120.
@pytest.mark.parametrize(
    ("dataset", "epochs", "batch_size", "rates", "augmented"),
    [
        ("fashion-mnist", 50, 64, [(0, 1e-2), (29, 1e-2), (30, 1e-3), (49, 1e-3)], False),
        ("cifar10", 150, 128, [(0, 1e-3), (79, 1e-3), (80, 1e-4), (120, 1e-5)], True),
        ("CIFAR-100", 150, 128, [(119, 1e-4), (149, 1e-5)], True),
        ("svhn", 150, 128, [(79, 1e-3), (80, 1e-4), (120, 1e-5)], False),
    ],
)
def test_the_papers_recipe_is_that_of_section_5_2_1(dataset, epochs, batch_size, rates, augmented):
    recipe = paper(dataset)
    assert (recipe.optimizer, recipe.epochs, recipe.batch_size) == ("adam", epochs, batch_size)
    assert (recipe.flip, recipe.crop) == ((True, 4) if augmented else (False, 0))
    assert recipe.train_images is None
    for epoch, rate in rates:
        assert recipe.rate_at(epoch / epochs) == pytest.approx(rate)


def test_the_papers_recipe_for_its_colour_images_centres_at_a_half():
    assert paper("cifar10").normalisation == paper("svhn").normalisation == "half"


def test_the_papers_recipe_for_other_data_is_refused_with_those_it_knows():
    with pytest.raises(EvaluationError, match=r"digits.*fashion-mnist, cifar10, cifar100, svhn"):
        paper("digits")


def test_the_presets_differ_and_the_quick_one_is_cheaper():
    assert quick().key != final().key
    assert quick().epochs < final().epochs
    assert quick().train_images is not None
    assert final().train_images is None
