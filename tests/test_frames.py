import sys

import pytest

import archpress as ap
from archpress.architecture import Layer, chain
from archpress.evaluation import Trial, TrialState
from archpress.evaluation.trial import SUMMARY_FIELDS
from archpress.store import Store


def trial(width=3, accuracy=0.5, **fields):
    net = chain((1, 4, 4), Layer("conv", 3, width, 1, 1), Layer("linear", channels=3))
    state = TrialState.FAILED if accuracy is None else TrialState.DONE
    metrics = {} if accuracy is None else {"accuracy": accuracy, "train_loss": 0.25}
    return Trial(net, "data", "recipe", 0, state, metrics, **fields)


@pytest.fixture
def run(tmp_path):
    with Store(tmp_path / "trials.db") as store:
        store.add(trial(3, 0.5, origin="edit", created="2026-11-22T10:00:00.250+00:00"))
        store.add(trial(4, None, error="TimeLimit: stopped"))
    return tmp_path


def test_columns_are_those_of_a_trial():
    assert list(SUMMARY_FIELDS) == list(trial().summary())


def test_without_pandas_one_sentence_says_what_mends_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ap.ArchpressError, match=r"needs pandas: pip install 'archpress\[frames\]'"):
        ap.trials_frame(run)


def test_a_frame_has_a_row_a_trial_failed_ones_too(run):
    pandas = pytest.importorskip("pandas")
    frame = ap.trials_frame(run)
    assert list(frame.columns) == [*SUMMARY_FIELDS, "train_loss"]
    assert frame["state"].tolist() == ["done", "failed"]
    assert frame["accuracy"].tolist()[0] == 0.5
    assert frame.loc[1, ["accuracy", "predicted", "train_loss"]].isna().all()
    assert frame["predicted"].dtype == frame["accuracy"].dtype == "float64"
    assert frame["parameters"].tolist() == [trial(3).architecture.parameters, 235]
    assert frame["error"].tolist()[1] == "TimeLimit: stopped"
    assert frame["created"][0] == pandas.Timestamp("2026-11-22T10:00:00.250Z")


def test_a_frame_is_the_same_from_folder_path_url_store_and_trials(run):
    testing = pytest.importorskip("pandas.testing")
    frame = ap.trials_frame(str(run))
    place = run / "trials.db"
    with Store(place) as store:
        for given in (place, f"sqlite:///{place}", store, store.trials()):
            testing.assert_frame_equal(ap.trials_frame(given), frame)


def test_no_trials_are_an_empty_frame_and_no_store_is_refused(tmp_path):
    pytest.importorskip("pandas")
    assert list(ap.trials_frame([]).columns) == list(SUMMARY_FIELDS)
    with pytest.raises(ap.ArchpressError, match="there is no store"):
        ap.trials_frame(tmp_path / "nowhere.db")
