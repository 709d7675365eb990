"""What lies in a run folder while the run goes on."""

from dataclasses import replace

import pytest

from archpress.architecture import named
from archpress.compression.planned import planned
from archpress.compression.run_folder import FolderTrials, store_of
from archpress.errors import StoreError
from archpress.evaluation import Trial, TrialState
from archpress.store import Store


@pytest.mark.parametrize("is_listening", [False, True])
def test_trials_of_a_store_elsewhere_are_in_the_folder_before_the_end(tmp_path, is_listening):
    folder, place = tmp_path / "run", tmp_path / "shared.db"
    folder.mkdir()
    trial = Trial(named("tiny"), "data", "recipe", 0, TrialState.DONE, {"accuracy": 0.5})
    with store_of(folder, place, "data") as store:
        store.add(trial)
        if is_listening:
            with FolderTrials(folder) as listening:
                listening.trial(trial, None)
                listening.trial(trial, None)
        with Store(folder / "trials.db") as seen:
            assert seen.trials() == [trial] * is_listening
    with Store(folder / "trials.db") as own:
        assert own.trials() == [trial]


def test_a_failed_trial_that_was_made_again_takes_the_place_of_the_first(tmp_path):
    net = named("tiny")
    done = Trial(net, "data", "recipe", 0, TrialState.DONE, {"accuracy": 0.5})
    with FolderTrials(tmp_path) as listening:
        listening.trial(replace(done, state=TrialState.FAILED, metrics={}, error="died"), None)
        listening.trial(done, None)
    with Store(tmp_path / "trials.db") as seen:
        assert seen.trials() == [done]


@pytest.mark.parametrize(
    ("plan", "said"),
    [("[1]", "holds no object"), ("{}", "another version"), ("{", "no run folder")],
)
def test_a_plan_that_is_none_is_refused(tmp_path, plan, said):
    (tmp_path / "run.json").write_text(plan)
    (tmp_path / "source.json").write_text(named("tiny").to_json())
    with pytest.raises(StoreError, match=said):
        planned(tmp_path)
