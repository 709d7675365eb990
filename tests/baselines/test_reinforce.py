from dataclasses import replace

import numpy as np
import pytest
import torch

from archpress.architecture import named
from archpress.baselines.reinforce import (
    ReinforceSettings,
    _RemovalPolicy,
    _Rewards,
    _ShrinkingPolicy,
    reinforce,
)
from archpress.data import load_data
from archpress.errors import SpaceError
from archpress.evaluation import Candidate, Recipe, SerialEvaluator, Trial, TrialState
from archpress.evaluation.trial import failed_trial
from archpress.search import Objective, Problem, run_arm
from archpress.space import Limits, Neighbourhood, Row, RowSpace, repair, space_around

SOURCE = named("plain6")


def problem(limits, budget=24, seed=0, source=SOURCE, least_accuracy=0.0):
    space = Neighbourhood(source, space_around(source, limits))
    return Problem(space, Objective(limits, least_accuracy), budget, seed=seed)


def trial(net, accuracy):
    return Trial(net, "d", "r", 0, TrialState.DONE, {"accuracy": accuracy})


def all_alike(candidates):
    return [trial(one.architecture, 0.8) for one in candidates]


def test_it_spends_the_budget_in_the_space_first_on_removal_then_on_shrinking():
    task = problem(Limits(max_parameters=20_000))
    asked = []

    def evaluate(candidates):
        asked.extend(candidates)
        return all_alike(candidates)

    trials = run_arm(reinforce(), task, evaluate)
    assert len(trials) == task.budget
    assert all(task.space.why_not(one.architecture) is None for one in trials)
    stages = [one.origin for one in asked]
    assert stages == sorted(stages)
    assert 12 <= stages.count("reinforce 1") <= 16


def test_the_same_seed_asks_for_the_same_and_another_for_others():
    def keys(seed):
        torch.rand(seed + 1)  # what ran before must not matter
        trials = run_arm(reinforce(), problem(Limits(max_parameters=9_000), seed=seed), all_alike)
        return [one.architecture.key for one in trials]

    first = keys(0)
    assert keys(0) == first
    assert set(keys(1)) != set(first)


def test_torchs_generator_and_threads_are_left_as_they_were():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    run_arm(reinforce(), problem(Limits(max_parameters=9_000)), all_alike)
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads


def test_the_policies_learn_what_is_rewarded():
    """Where all are equally accurate small nets are best, so later ones are smaller."""
    settings = ReinforceSettings(first_share=0.0, shrinking_rate=0.05, rollouts=10)
    trials = run_arm(reinforce(settings), problem(Limits(), budget=200), all_alike)
    sizes = np.log([one.architecture.parameters for one in trials])
    assert sizes[-50:].mean() < sizes[:50].mean() - 0.5


def test_the_reward_is_that_of_n2n_learning():
    """Half of the parameters at the source's accuracy: 0.5 x 1.5 x 1 = 0.75."""
    task = problem(Limits(min_accuracy=0.5), least_accuracy=0.5)
    rewards = _Rewards(task)
    small = repair(SOURCE.layers, space_around(SOURCE, Limits(max_parameters=36_000))).architecture
    saved = 1 - small.parameters / SOURCE.parameters
    rewards.take([trial(SOURCE, 0.9), trial(small, 0.6)])
    assert rewards.of(trial(small, 0.6)) == pytest.approx(saved * (2 - saved) * 0.6 / 0.9)
    assert rewards.of(trial(SOURCE, 0.9)) == 0.0
    assert rewards.of(trial(small, 0.49)) == -1.0  # below the accuracy that is asked for
    failed = failed_trial(Candidate(small), data="d", recipe="r", seed=0, error="Diverged: ...")
    assert rewards.of(failed) == -1.0
    assert rewards.best() == small


def test_without_the_source_the_best_accuracy_so_far_stands_in_for_its_own():
    rewards = _Rewards(problem(Limits(max_parameters=20_000)))
    small = repair(SOURCE.layers, rewards_space()).architecture
    saved = 1 - small.parameters / SOURCE.parameters
    rewards.take([trial(small, 0.6)])
    assert rewards.of(trial(small, 0.6)) == pytest.approx(saved * (2 - saved))


def rewards_space():
    return space_around(SOURCE, Limits(max_parameters=20_000))


def test_a_source_within_the_space_is_evaluated_first():
    small = named("tiny")
    space = space_around(small)
    space = replace(space, most_activations=small.activations)
    task = Problem(Neighbourhood(small, space), Objective(Limits()), budget=8)
    trials = run_arm(reinforce(), task, all_alike)
    assert (trials[0].architecture, trials[0].origin) == (small, "")
    assert not any(
        one.architecture == SOURCE
        for one in run_arm(reinforce(), problem(Limits(max_parameters=9_000)), all_alike)
    )


def test_removed_layers_are_bypassed_and_joins_that_lost_both_branches_go():
    net = named("resnet20")
    policy = _RemovalPolicy(net, ReinforceSettings())
    everything = [1] * (len(net.layers) - 1)
    assert policy.layers(everything) == list(net.layers)
    block = list(everything)
    block[3:8] = [0] * 5  # conv-BN-ReLU-conv-BN of the first block; its shortcut reads layer 2
    assert net.layers[8].kind == "add"
    left = policy.layers(block)
    assert len(left) == len(net.layers) - 6
    assert repair(left, space_around(net)).architecture.input_shape == net.input_shape


def test_no_layer_removed_and_nothing_shrunk_is_the_net_itself():
    policy = _ShrinkingPolicy(SOURCE, ReinforceSettings())
    assert policy.layers([9] * len(policy.places)) == list(SOURCE.layers)
    smallest = policy.layers([0] * len(policy.places))
    assert smallest[0].channels == 2  # 0.1 x 16, rounded
    assert smallest[0].kernel == 1
    assert smallest[-1] == SOURCE.layers[-1]


def test_log_probabilities_are_those_of_the_actions():
    """Frequencies of 4,000 draws against the probabilities the policy tells."""
    torch.manual_seed(0)
    policy = _RemovalPolicy(named("tiny"), ReinforceSettings())
    actions, logs = policy.sample(4000, torch.Generator().manual_seed(0))
    assert actions.shape == (4000, len(policy.source.layers) - 1)
    kept = policy.keep(policy.lstm(policy.states)[0]).sigmoid().squeeze()
    assert torch.allclose(actions.float().mean(0), kept, atol=0.03)
    expected = (actions * kept.log() + (1 - actions) * (1 - kept).log()).sum(1)
    assert torch.allclose(logs, expected, atol=1e-4)


def test_a_table_has_no_layers_to_remove():
    rows = [Row((0,), 10), Row((1,), 20)]
    task = Problem(RowSpace(rows, rows[1]), Objective(Limits()), budget=2)
    with pytest.raises(SpaceError, match="needs the layers of a net"):
        run_arm(reinforce(), task, all_alike)


def test_it_runs_on_real_images():
    data = load_data("fashion-mnist-sample")
    recipe = Recipe("brief", 1, train_images=200, evaluate_every=0)
    evaluator = SerialEvaluator(data, recipe)
    task = problem(Limits(max_parameters=5_000), budget=6, source=named("tiny"))
    trials = run_arm(reinforce(), task, lambda wanted: evaluator.evaluate(wanted, seed=0))
    assert len(trials) == 6
    assert all(one.architecture.parameters <= 5_000 for one in trials)
    assert reinforce().rank(task, trials, 1)
