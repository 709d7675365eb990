import json
import threading
import time

import pytest
from tracked_trials import OBJECTIVE, FakeSink, trial

from archpress.errors import EvaluationError
from archpress.search import Objective
from archpress.space import Limits
from archpress.tracking import Tracking, courier
from archpress.tracking.ledger import Ledger


def log(folder, sink, *trials, finish=False, error=None):
    """A run that has these trials; what it warned of."""
    warnings = []
    with Tracking(folder, [sink], warn=warnings.append) as tracking:
        for one in trials:
            tracking.trial(one, OBJECTIVE)
        if finish:
            tracking.finish(folder / "report.html")
        if error:
            raise error
    return warnings


def test_each_trial_is_a_step_with_the_best_that_keeps_the_limits(folder):
    sink = FakeSink()
    trials = [trial(2, 0.6), trial(3, None), trial(4, 0.5), trial(9, 0.9, round=2, predicted=0.8)]
    assert log(folder, sink, *trials) == []
    assert sink.steps == [1, 2, 3, 4]
    small, failed, worse, large = (entry.values for entry in sink.entries)
    # 2 channels: 2 * 9 + 2 of the convolution, 2 * 16 * 10 + 10 of the linear layer
    assert (small["trial/parameters"], small["trial/accuracy"]) == (350, 0.6)
    assert "trial/accuracy" not in failed
    assert [one["failed"] for one in (small, failed, worse, large)] == [0, 1, 1, 1]
    assert [one["best/accuracy"] for one in (small, failed, worse, large)] == [0.6] * 4
    assert (large["trial/round"], large["trial/predicted"], large["trials"]) == (2, 0.8, 4)
    assert large["accuracy/descent"] == 0.9
    assert sink.ended == ["finished"]


def test_where_the_source_has_no_trial_yet_nothing_is_best(folder):
    sink = FakeSink()
    with Tracking(folder, [sink]) as tracking:
        tracking.trial(trial(2, 0.3), None)
        tracking.trial(trial(5, 0.8), None)
        tracking.trial(trial(3, 0.6), Objective(Limits(max_accuracy_loss=0.3), 0.5))
    assert "best/parameters" not in sink.entries[1].values
    last = sink.entries[2].values  # the smallest of those that are accurate enough
    assert (last["best/parameters"], last["best/accuracy"]) == (
        trial(3).architecture.parameters,
        0.6,
    )


def test_settings_and_result_are_told(folder):
    sink = FakeSink()
    log(folder, sink, trial(2), finish=True)
    assert sink.begun == [(None, {"source": "tiny", "limits.max_parameters": "700", "seed": "0"})]
    ((step, outcome),) = sink.outcomes
    assert step == 1
    assert outcome.values["compressed/test_accuracy"] == 0.75
    assert (outcome.values["source/macs"], outcome.values["met"]) == (2000, 1)
    assert outcome.values["seconds"] == 3.5
    assert outcome.settings == {"recipe.trial.epochs": "3"}
    assert outcome.files == [folder / "report.html"]


def test_a_run_that_goes_on_logs_only_what_is_new(folder):
    sink = FakeSink()
    log(folder, sink, trial(2), trial(3))
    log(folder, sink, trial(3), trial(2), trial(4), finish=True)
    log(folder, sink, trial(3), trial(2), trial(4), finish=True)
    assert sink.steps == [1, 2, 3]
    assert sink.entries[2].values["trial/parameters"] == trial(4).architecture.parameters
    assert len(sink.outcomes) == 1


def test_a_run_for_other_limits_is_another_one(folder):
    sink, other = FakeSink(), FakeSink()
    log(folder, sink, trial(2))
    (folder / "run.json").write_text(json.dumps({"limits": {"max_parameters": 900}}))
    log(folder, other, trial(2))
    assert other.begun[0][0] is None
    assert other.steps == [1]


def test_what_was_logged_when_it_was_killed_is_not_logged_again(folder):
    sink = FakeSink()
    log(folder, sink, trial(2), trial(3))
    path = folder / "tracking" / "fake.json"
    ledger = Ledger.model_validate_json(path.read_bytes())
    ledger.logged = 1  # as before the sink had answered
    path.write_text(ledger.model_dump_json())
    log(folder, sink, trial(2), trial(3), trial(4))
    assert sink.steps == [1, 2, 3]


def test_what_was_not_logged_when_it_was_killed_is_logged_then(folder):
    sink = FakeSink()
    log(folder, sink, trial(2), trial(3))
    del sink.entries[1:]  # the ledger was written, and then it was killed
    log(folder, sink, trial(4), trial(2), trial(3))
    assert sink.steps == [1, 2, 3]
    logged = [entry.values["trial/parameters"] for entry in sink.entries]
    assert logged == [trial(width).architecture.parameters for width in (2, 4, 3)]


def test_a_sink_that_fails_is_told_once_and_tried_again(folder):
    sink = FakeSink(fails=3)
    warnings = []
    with Tracking(folder, [sink], warn=warnings.append) as tracking:
        for width in range(2, 9):
            tracking.trial(trial(width), OBJECTIVE)
            time.sleep(0.02)
    assert sink.steps == [*range(1, 8)]
    (warning,) = warnings
    assert "cannot log to fake: OSError: [Errno 28] No space left on device" in warning


def test_a_password_is_not_told(folder):
    sink = FakeSink()
    sink.log = lambda _: open("http://me:secret@server/")  # noqa: PTH123, SIM115
    (warning,) = log(folder, sink, trial(2))
    assert "//***@server" in warning
    assert "secret" not in warning


def test_a_lost_answer_makes_no_trial_come_twice(folder):
    sink = FakeSink(loses_answers=2)
    warnings = []
    with Tracking(folder, [sink], warn=warnings.append) as tracking:
        for width in range(2, 9):
            tracking.trial(trial(width), OBJECTIVE)
            time.sleep(0.02)
    assert sink.steps == [*range(1, 8)]
    assert len(warnings) == 1


def test_a_ledger_that_cannot_be_written_is_told_and_nothing_is_logged(folder):
    sink = FakeSink()
    (folder / "tracking").write_text("no folder")
    (warning,) = log(folder, sink, trial(2))
    assert "cannot log to fake" in warning
    assert sink.entries == []


def test_a_sink_that_never_answers_stops_nothing(folder, monkeypatch):
    monkeypatch.setattr(courier, "GOODBYE_SECONDS", 0.2)
    free = threading.Event()
    sink = FakeSink()
    sink.log = lambda entries: free.wait(60)
    started = time.monotonic()
    warnings = log(folder, sink, *map(trial, range(2, 30)))
    assert time.monotonic() - started < 5
    assert "no answer" in warnings[0]
    free.set()


@pytest.mark.parametrize(
    ("error", "how"), [(KeyboardInterrupt, "stopped"), (ZeroDivisionError, "failed")]
)
def test_the_end_of_a_run_is_told_as_it_was(folder, error, how):
    sink = FakeSink()
    with pytest.raises(error):
        log(folder, sink, trial(2), error=error)
    assert sink.ended == [how]


def test_an_unknown_sink_is_refused(tmp_path):
    with pytest.raises(
        EvaluationError, match="there is no logging to 'wandb'; there is tensorboard"
    ):
        Tracking(tmp_path, ["wandb"])
