"""The real libraries, where they are installed."""

import struct

import pytest
from tracked_trials import OBJECTIVE, trial

from archpress.errors import EvaluationError
from archpress.tracking import Tracking, mlflow_sink, tensorboard_sink

HEADER, CHECK = 12, 4  # bytes of a record around an event


@pytest.mark.parametrize("module", [tensorboard_sink, mlflow_sink])
def test_a_missing_extra_is_one_sentence(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    name = module.__name__.rpartition(".")[2].removesuffix("_sink")
    with pytest.raises(EvaluationError, match=rf"pip install 'archpress\[{name}\]'"):
        Tracking(tmp_path, [name])


# --- TensorBoard ---


def events(folder):
    """As TensorBoard shows them: a start hides what earlier files have from its step on."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found = []
    for path in sorted(folder.rglob("*tfevents*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[HEADER : HEADER + length])
            content = content[HEADER + length + CHECK :]
            if event.HasField("session_log"):
                assert event.session_log.status == SessionLog.START
                found = [one for one in found if one.step < event.step]
            found.append(event)
    return found


def scalars(folder, tag):
    return [
        (event.step, round(value.simple_value, 4))
        for event in events(folder)
        for value in event.summary.value
        if value.tag == tag
    ]


@pytest.fixture
def tensorboard():
    pytest.importorskip("tensorboardX")


def test_tensorboard_gets_trials_and_result(folder, tensorboard):
    with Tracking(folder, ["tensorboard"]) as tracking:
        for one in (trial(2, 0.6), trial(3, None), trial(4, 0.7)):
            tracking.trial(one, OBJECTIVE)
        tracking.finish()
    place = folder / "tensorboard" / "1"
    assert scalars(place, "trial/accuracy") == [(1, 0.6), (3, 0.7)]
    assert scalars(place, "best/accuracy") == [(1, 0.6), (2, 0.6), (3, 0.7)]
    assert scalars(place, "failed") == [(1, 0), (2, 1), (3, 1)]
    assert scalars(place, "result/compressed/test_accuracy") == [(3, 0.75)]
    times = [event.wall_time for event in events(place) if event.step == 2]
    assert times[0] == 1795860003.0  # 2026-11-28T10:00:03


def test_tensorboard_shows_a_trial_once_also_where_its_run_was_killed(folder, tensorboard):
    with Tracking(folder, ["tensorboard"]) as tracking:
        tracking.trial(trial(2, 0.6), OBJECTIVE)
        tracking.trial(trial(3, 0.6), OBJECTIVE)
    ledger = folder / "tracking" / "tensorboard.json"
    ledger.write_text(ledger.read_text().replace('"logged":2', '"logged":1'))
    with Tracking(folder, ["tensorboard"]) as tracking:
        for width in (2, 3, 4):
            tracking.trial(trial(width, 0.6), OBJECTIVE)
    assert [step for step, _ in scalars(folder / "tensorboard" / "1", "trials")] == [1, 2, 3]
    assert len(list((folder / "tensorboard" / "1").iterdir())) == 2


def test_a_full_disk_is_told_once_and_logged_later(folder, tensorboard, monkeypatch):
    from tensorboardX.record_writer import RecordWriter

    flush, broken, warnings = RecordWriter.flush, [True], []

    def full(writer):
        if broken:
            raise OSError(28, "No space left on device")
        return flush(writer)

    monkeypatch.setattr(RecordWriter, "flush", full)
    with Tracking(folder, ["tensorboard"], warn=warnings.append) as tracking:
        tracking.trial(trial(2, 0.6), OBJECTIVE)
        while not warnings:
            pass
        broken.clear()
        tracking.trial(trial(3, 0.6), OBJECTIVE)
    assert len(warnings) == 1
    steps = [step for step, _ in scalars(folder / "tensorboard", "trials")]
    assert sorted({*steps}) == [1, 2]


# --- MLflow ---


def of_mlflow(test):
    """Takes seconds; what its libraries deprecate among each other is none of ours."""
    return pytest.mark.slow(pytest.mark.filterwarnings("ignore")(test))


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """A client of a database in a file."""
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    from mlflow.tracking import MlflowClient

    return MlflowClient


def only_run(client):
    experiment = client.get_experiment_by_name("archpress")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def steps(client, name):
    return [one.step for one in client.get_metric_history(only_run(client).info.run_id, name)]


@of_mlflow
def test_mlflow_gets_trials_settings_result_and_report(folder, mlflow):
    (folder / "report.html").write_text("<p>")
    with Tracking(folder, ["mlflow"]) as tracking:
        for one in (trial(2, 0.6), trial(3, None), trial(4, 0.7)):
            tracking.trial(one, OBJECTIVE)
        tracking.finish(folder / "report.html")
    client = mlflow()
    run = only_run(client)
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["limits.max_parameters"] == "700"
    assert run.data.params["recipe.trial.epochs"] == "3"
    assert run.data.metrics["best/accuracy"] == 0.7
    assert run.data.metrics["result/compressed/test_accuracy"] == 0.75
    assert steps(client, "trial/accuracy") == [1, 3]
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["report.html"]


def stopped(folder):
    with Tracking(folder, ["mlflow"]) as tracking:
        tracking.trial(trial(2, 0.6), OBJECTIVE)
        tracking.trial(trial(3, 0.6), OBJECTIVE)
        raise KeyboardInterrupt


@of_mlflow
def test_mlflow_goes_on_with_the_run_that_was_killed(folder, mlflow):
    with pytest.raises(KeyboardInterrupt):
        stopped(folder)
    client = mlflow()
    assert only_run(client).info.status == "KILLED"
    ledger = folder / "tracking" / "mlflow.json"
    ledger.write_text(ledger.read_text().replace('"logged":2', '"logged":1'))
    with Tracking(folder, ["mlflow"]) as tracking:
        for width in (2, 3, 4):
            tracking.trial(trial(width, 0.6), OBJECTIVE)
    assert only_run(client).info.status == "FINISHED"
    assert steps(client, "trials") == [1, 2, 3]


@of_mlflow
def test_a_second_result_with_other_recipes_is_told_too(folder, mlflow):
    for epochs in (3, 5):
        result = folder / "result.json"
        result.write_text(result.read_text().replace('"epochs": 3', f'"epochs": {epochs}'))
        with Tracking(folder, ["mlflow"]) as tracking:
            tracking.trial(trial(2, 0.6), OBJECTIVE)
            tracking.finish()
    run = only_run(mlflow())
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe.trial.epochs"] == "3"  # MLflow never changes one
    assert run.data.tags["recipe.trial.epochs"] == "5"


@of_mlflow
def test_a_server_that_is_away_is_told_once(folder, mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    warnings = []
    with Tracking(folder, ["mlflow"], warn=warnings.append) as tracking:
        tracking.trial(trial(2, 0.6), OBJECTIVE)
    (warning,) = warnings
    assert warning.startswith("cannot log to mlflow: ")
