"""What accuracies of few images are expected to be on others."""

import numpy as np
import pytest

from archpress.architecture import named
from archpress.evaluation import (
    Trial,
    TrialState,
    expected_accuracies,
    noise_of_difference,
)


def trial(accuracy, loss=None):
    metrics = {"accuracy": accuracy} | ({} if loss is None else {"validation_loss": loss})
    return Trial(named("tiny"), "data", "recipe", 0, TrialState.DONE, metrics)


def drawn(rng, true, images):
    """Trials of nets whose losses follow what they are, on images drawn for all of them."""
    hard = rng.normal(size=images)  # the same image is hard for every net
    logits = (
        np.log(true / (1 - true))[:, None] * 2.2 + 3 * hard + rng.normal(size=(len(true), images))
    )
    return [trial(float((row > 0).mean()), float(np.logaddexp(0, -row).mean())) for row in logits]


def regret(images, choose):
    """Accuracy lost by choosing so, mean over many draws; and the accuracies themselves."""
    rng, lost = np.random.default_rng(0), []
    for _ in range(200):
        true = rng.normal(0.9, 0.005, 8)
        trials = drawn(rng, true, images)
        lost.append(true.max() - true[int(np.argmax(choose(trials)))])
    return float(np.mean(lost))


def test_with_few_images_the_best_net_is_found_more_often_than_by_accuracy():
    by_accuracy = regret(600, lambda trials: [one.accuracy for one in trials])
    assert regret(600, lambda trials: expected_accuracies(trials, 600)) < 0.8 * by_accuracy


def test_with_many_images_what_was_measured_is_believed():
    measured = [0.90, 0.91, 0.92, 0.89, 0.905]
    trials = [
        trial(a, loss) for a, loss in zip(measured, [0.3, 0.4, 0.35, 0.31, 0.33], strict=True)
    ]
    assert expected_accuracies(trials, 10**7) == pytest.approx(measured, abs=1e-4)
    assert expected_accuracies(trials, 500) != pytest.approx(measured, abs=1e-3)


def test_losses_that_rise_with_accuracy_say_little():
    trials = [trial(a, a) for a in (0.90, 0.91, 0.92, 0.93)]
    assert expected_accuracies(trials, 10**7) == pytest.approx([0.90, 0.91, 0.92, 0.93], abs=1e-4)
    assert np.ptp(expected_accuracies(trials, 100)) < 0.002


def test_few_nets_of_few_images_are_told_apart_by_their_losses():
    measured = [(0.8975, 0.3134), (0.9017, 0.3088), (0.8892, 0.2772), (0.9020, 0.2660)]
    expected = expected_accuracies([trial(*one) for one in measured], 1200)
    assert int(np.argmax(expected)) == 3


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [trial(0.9, 0.3), trial(0.8, 0.1), trial(0.7, 0.2)],
        [trial(0.9, 0.3), trial(0.9, 0.1), trial(0.9), trial(0.91, 0.2)],
        [trial(0.9, 0.3), trial(0.9, 0.1), trial(0.9, float("inf")), trial(0.91, 0.2)],
    ],
)
def test_few_trials_and_unknown_losses_leave_accuracies_as_they_are(trials):
    assert expected_accuracies(trials, 1000) == [one.accuracy for one in trials]


def test_a_net_that_learned_nothing_does_not_move_the_others():
    trials = [
        trial(a, loss) for a, loss in ((0.90, 0.30), (0.91, 0.28), (0.905, 0.31), (0.9, 0.29))
    ]
    expected = expected_accuracies(trials, 1000)
    assert expected_accuracies([*trials, trial(0.1, 2.3)], 1000) == [*expected, 0.1]


@pytest.mark.parametrize("accuracy", [0.5, 0.9])
def test_the_noise_of_a_difference_is_that_of_draws(accuracy):
    right = np.random.default_rng(0).binomial(400, accuracy, (2, 20_000)) / 400
    assert noise_of_difference(accuracy, 400) == pytest.approx(
        (right[0] - right[1]).std(), rel=0.02
    )


def test_where_all_is_right_there_is_noise_left():
    assert noise_of_difference(1.0, 100) > 0.01
    assert noise_of_difference(0.0, 100) > 0.01


def test_nets_that_are_all_right_are_equal():
    assert expected_accuracies([trial(1.0, 0.01)] * 4, 100) == [1.0] * 4
