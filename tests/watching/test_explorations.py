"""Nets for any limit from a run folder, which is only read."""

import json
from dataclasses import replace

import numpy as np
import pytest

from archpress.architecture import Architecture, Layer, named
from archpress.compression import planned as planned_module
from archpress.compression.fitted import fitted_embedding
from archpress.compression.planned import planned
from archpress.compression.settings import settings_for
from archpress.compression.timing import HEADROOM, TIMES
from archpress.embedding import FitSettings
from archpress.evaluation import save_times
from archpress.evaluation.trial import Trial, TrialState
from archpress.space import (
    LatencyConditions,
    LatencyModel,
    Limits,
    distinct,
    sample_neighbourhood,
    space_around,
)
from archpress.store import Store
from archpress.watching import explorations as module
from archpress.watching.explorations import Explorations
from archpress.watching.explorer_process import ExplorerProcess

TINY = named("tiny", (1, 8, 8))
BRIEF = replace(settings_for("smoke"), pool=100, fit=FitSettings(steps=5, refit_steps=5))
PLAN = {
    "source": "tiny",
    "data": "d" * 16,
    "data_name": "digits",
    "limits": {"max_parameters": 1500, "max_macs": 40_000},
    "effort": "smoke",
    "trial_recipe": "a" * 16,
    "seed": 0,
}


def nets(count):
    space = space_around(TINY)
    return distinct(sample_neighbourhood(TINY, space, np.random.default_rng(0)), count)


def add(folder, chosen, first=0):
    with Store(folder / "trials.db") as store:
        for number, net in enumerate(chosen, start=first):
            done = number % 7 != 5
            state = TrialState.DONE if done else TrialState.FAILED
            metrics = {"accuracy": 0.5 + 0.01 * number} if done else {}
            store.add(Trial(net, PLAN["data"], PLAN["trial_recipe"], 0, state, metrics))


@pytest.fixture
def plan_alone(tmp_path, monkeypatch):
    """A run that has just begun."""
    monkeypatch.setattr(planned_module, "settings_for", lambda _: BRIEF)
    monkeypatch.setattr(module, "LEARN_SECONDS", 0.0)
    (tmp_path / "run.json").write_text(json.dumps(PLAN))
    (tmp_path / "source.json").write_text(TINY.to_json())
    return tmp_path


@pytest.fixture
def run(plan_alone):
    """A run with an embedding and 14 trials, two of them failed."""
    plan = planned(plan_alone)
    fitted_embedding(plan.source, BRIEF, 0, plan_alone, asked=plan.form_space)
    add(plan_alone, nets(14))
    return plan_alone


def test_the_net_for_a_limit_keeps_it_and_all_others(run):
    explorations = Explorations(run)
    for limit in (1500, 1499, 700, 300):
        found = explorations.answer(limit)
        net = Architecture.from_json(json.dumps(found["architecture"]))
        assert net.parameters <= limit
        assert net.macs <= PLAN["limits"]["max_macs"]
        assert found["costs"][0] == f"{net.parameters:,}"
        assert len(found["layers"]) == len(net.layers)
        assert found["title"] == f"At most {limit:,} parameters"


def test_a_net_that_was_tried_is_named_by_its_trial_others_by_a_file(run):
    explorations = Explorations(run)
    seen = set()
    for limit in range(200, 2000, 200):
        found = explorations.answer(limit)
        key = Architecture.from_json(json.dumps(found["architecture"])).key
        tried = key in {net.key for net in nets(14)}
        name = f"trials.db:{key[:12]}" if tried else f"{limit}.json"
        assert found["command"].startswith(f"archpress train {name} --data digits ")
        assert ("It is trial" in found["say"]) == tried
        seen.add(tried)
    assert False in seen


def test_the_command_trains_as_the_run_does(run):
    final = {"epochs": 77, "flip": True, "crop": 0, "label_smoothing": 0.1, "precision": "bfloat16"}
    (run / "run.json").write_text(json.dumps({**PLAN, "final_recipe": final, "seed": 3}))
    with Store(run / "trials.db") as store:
        for trial in store.trials():
            store.add(replace(trial, seed=3))
    plan = planned(run)
    fitted_embedding(plan.source, BRIEF, 3, run, asked=plan.form_space)
    command = Explorations(run).answer(900)["command"]
    how = "--epochs 77 --augment mirror --label-smoothing 0.1 --precision bfloat16 --seed 3"
    assert how in command


def test_the_overview_has_limits_and_a_place_for_each_trial_that_was_done(run):
    found = Explorations(run).answer()
    assert found["trials"] == len(found["places"]) == 12
    assert all(len(place) == 2 for place in found["places"] if place)
    assert 1 <= found["least"] < found["own_limit"] == 1500 < found["most"] == TINY.parameters


def test_it_learns_again_once_there_are_more_trials(run, monkeypatch):
    explorations = Explorations(run)
    assert explorations.answer(900)["trials"] == 12
    add(run, nets(20)[14:], first=14)
    monkeypatch.setattr(module, "LEARN_SECONDS", 60.0)
    assert explorations.answer(900)["trials"] == 12
    monkeypatch.setattr(module, "LEARN_SECONDS", 0.0)
    assert explorations.answer(900)["trials"] == 17
    assert explorations.answer()["trials"] == 17


def test_nothing_is_written(run):
    def contents():
        return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    before = contents()
    Explorations(run).answer(900)
    assert contents() == before


def test_where_there_is_nothing_to_tell_there_is_a_reason(plan_alone):
    def why_not(limit=None):
        return Explorations(plan_alone).answer(limit)["why_not"]

    assert "0 trials are too few" in why_not()
    add(plan_alone, nets(14))
    assert why_not().startswith("The embedding is not fitted yet")
    (plan_alone / "run.json").unlink()
    assert "no run folder" in why_not()


def test_another_run_in_the_folder_is_explored_anew(run):
    explorations = Explorations(run)
    assert explorations.answer()["own_limit"] == 1500
    (run / "run.json").write_text(json.dumps({**PLAN, "limits": {"max_parameters": 900}}))
    assert explorations.answer()["own_limit"] == 900
    (run / "run.json").write_text(json.dumps({**PLAN, "limits": None}))
    assert "another version" in explorations.answer()["why_not"]


def test_a_limit_below_all_nets_has_no_net(run):
    assert "no net of at most 1 parameters" in Explorations(run).answer(1)["why_not"].lower()


def test_a_limit_on_latency_needs_the_times_of_the_run(run):
    plan = {**PLAN, "limits": {"max_latency": 1.0}}
    (run / "run.json").write_text(json.dumps(plan))
    assert planned(run).limits == Limits(max_latency=1.0)
    assert "holds no times of a device" in Explorations(run).answer()["why_not"]


def test_a_share_of_the_latency_is_one_of_the_net_that_was_given(run):
    maps = (Layer("conv", 1, 10, 1), Layer("relu"), Layer("global_average_pool"))
    given = Architecture(TINY.input_shape, maps)
    (run / "source.json").write_text(given.to_json())
    (run / "run.json").write_text(json.dumps({**PLAN, "limits": {"max_latency_share": 0.5}}))
    timed = [(net, 0.01 + net.macs / 1e6) for net in [given, *nets(14)]]
    save_times(LatencyModel(LatencyConditions(), timed), run / TIMES)
    plan = planned(run)
    assert plan.source != given
    assert plan.aimed.max_latency == pytest.approx(0.5 * HEADROOM * timed[0][1])


def test_another_process_answers_and_is_started_again(plan_alone, monkeypatch):
    (plan_alone / "inspect.py").write_text("raise SystemExit('not the one that is meant')")
    monkeypatch.chdir(plan_alone)
    process = ExplorerProcess(plan_alone)
    try:
        assert "0 trials are too few" in process.answer(900)["why_not"]
        process.close()
        assert "0 trials are too few" in process.answer()["why_not"]
    finally:
        process.close()
