import json
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from archpress.architecture import named
from archpress.errors import EvaluationError
from archpress.evaluation import Trial, TrialState
from archpress.evaluation.trial_files import read_trials, write_trials
from archpress.space import Row


@pytest.fixture
def trial():
    return Trial(
        named("tiny"),
        *("data", "recipe", 3, TrialState.DONE),
        {"accuracy": 0.75, "train_loss": 0.1},
        (0.5, 0.75),
        seconds=1.5,
        origin="descent",
        round=2,
        predicted=0.7,
    )


def test_a_trial_survives_json_and_pickle(trial):
    assert Trial.from_dict(json.loads(json.dumps(trial.to_dict()))) == trial
    assert pickle.loads(pickle.dumps(trial)) == trial
    assert hash(pickle.loads(pickle.dumps(trial))) == hash(trial)


def test_a_trial_of_a_row_survives_pickle(trial):
    of_row = replace(trial, architecture=Row((2, 0, 1), 900))
    assert pickle.loads(pickle.dumps(of_row)) == of_row


def test_a_trial_cannot_be_changed(trial):
    with pytest.raises(FrozenInstanceError):
        trial.seed = 4
    with pytest.raises(TypeError):
        trial.metrics["accuracy"] = 1.0
    metrics = {"accuracy": 0.5}
    copied = replace(trial, metrics=metrics)
    metrics["accuracy"] = 1.0
    assert copied.accuracy == 0.5


def test_a_failed_trial_has_no_accuracy(trial):
    failed = replace(trial, state=TrialState.FAILED, metrics={}, error="TimeLimit: stopped")
    assert failed.accuracy is None
    assert not failed.done
    assert trial.done


def test_trials_survive_a_file_and_a_damaged_line_is_named(trial, tmp_path):
    path = tmp_path / "trials.jsonl"
    write_trials([trial, replace(trial, seed=4)], path)
    assert read_trials(path) == [trial, replace(trial, seed=4)]
    path.write_text(path.read_text() + '{"seed": 5}\n')
    with pytest.raises(EvaluationError, match="line 3 is no trial"):
        read_trials(path)


def test_a_file_of_an_unknown_kind_is_refused(trial, tmp_path):
    with pytest.raises(EvaluationError, match=r"must end in \.jsonl or \.csv"):
        write_trials([trial], tmp_path / "trials.xlsx")
    assert list(tmp_path.iterdir()) == []
