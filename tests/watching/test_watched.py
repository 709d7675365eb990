import json
import os
import subprocess
import sys
import time

import pytest

from archpress.errors import StoreError
from archpress.watching import Watched, watched


def known(watching, since=""):
    _, body = watching.answer(since)
    return json.loads(body)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        Watched(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file"):
        Watched(tmp_path / "file")


def test_an_empty_folder_waits_and_then_tells(tmp_path, make, monkeypatch):
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)
    watching = Watched(tmp_path)
    assert known(watching)["state"] == "waiting"
    make.tell(tmp_path, stage="training the source")
    make.add(tmp_path, make.trial(4, 0.8))
    told = known(watching)
    assert (told["state"], told["trials"], told["best"]) == ("running", 1, [[1, 0.8]])


def test_what_a_run_is_at(run, make):
    make.tell(run)
    told = known(Watched(run))
    assert (told["source"], told["data"], told["limits"]) == (
        "conv7", "digits", {"max_parameters": 3000},
    )  # fmt: skip
    progress = told["progress"]
    assert (progress["stage"], progress["done"], progress["total"]) == ("round 1 of 5", 2, 8)
    assert progress["workers"] == 2
    assert told["failed"] == 1
    assert told["points"][1][:2] == [0.9, make.net(6).parameters]
    assert told["points"][1][5] == 0.85


def test_the_rate_is_that_of_trainings_not_of_trials_that_were_known(run, make):
    now = time.time()
    make.tell(run, done=6, started=now - 60)  # five of the six were in the store
    ended = time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime(now - 20))
    make.add(run, make.trial(9, 0.8, created=ended))
    assert known(Watched(run))["progress"]["rate"] == pytest.approx(1 / 40, rel=0.1)


def test_the_rate_of_a_stage_without_trials_is_that_of_its_steps(run, make):
    now = time.time()
    make.tell(run, stage="timing", done=6, started=now - 30, updated=now)
    assert known(Watched(run))["progress"]["rate"] == pytest.approx(6 / 30, rel=0.01)


def test_nothing_is_sent_and_nothing_read_where_nothing_changed(run, make, monkeypatch):
    make.tell(run)
    watching = Watched(run)
    tag, _ = watching.answer()
    monkeypatch.setattr(watched, "read_rows", lambda _: pytest.fail("read again"))
    make.tell(run, updated=time.time() + 1, started=known(watching)["progress"]["started"],
              begun=known(watching)["progress"]["begun"])  # fmt: skip  # a sign of life
    assert watching.answer("", tag) == (tag, None)


def test_only_new_points_are_sent(run, make):
    watching = Watched(run)
    first = known(watching)
    assert (first["first"], len(first["points"])) == (0, 2)
    make.add(run, make.trial(9, 0.7, 9))
    more = known(watching, first["next"])
    assert (more["first"], len(more["points"]), more["trials"]) == (2, 1, 3)
    assert known(watching, more["next"])["points"] == []


@pytest.mark.parametrize(
    "since", ["x", "1", ".", "-1", "{name}.99", "{name}.-1", "{name}.²", "a.1"]
)
def test_who_knows_something_else_gets_all_points(run, since):
    watching = Watched(run)
    name = known(watching)["next"].rpartition(".")[0]
    told = known(watching, since.format(name=name))
    assert (told["first"], len(told["points"])) == (0, 2)


def test_a_store_that_was_made_anew_is_sent_anew(run, make):
    watching = Watched(run)
    first = known(watching)
    (run / "trials.db").rename(run / "kept.db")  # its place on the disk is not given to the next
    make.add(run, make.trial(9, 0.7, 9), make.trial(8, 0.6, 9), make.trial(7, 0.6, 9))
    assert known(watching, first["next"])["first"] == 0


def test_a_store_that_cannot_be_read_is_told_and_tried_again(run, make):
    whole = (run / "trials.db").read_bytes()
    watching = Watched(run)
    known(watching)
    (run / "trials.db").write_text("no database, but longer than a header of one " * 20)
    told = known(watching)
    assert "cannot read the store" in told["trouble"]
    assert told["trials"] == 2  # as far as was known
    (run / "trials.db").write_bytes(whole)
    assert known(watching)["trouble"] == ""


def test_a_store_that_was_busy_is_read_though_it_did_not_change_since(run, monkeypatch):
    watching = Watched(run)

    def busy(path):
        raise StoreError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(watched, "read_rows", busy)
        assert known(watching)["trouble"] == "busy."
    told = known(watching)
    assert (told["trouble"], told["trials"]) == ("", 2)


def test_a_folder_that_goes_away_is_told(run):
    watching = Watched(run)
    known(watching)
    run.rename(run.with_name("elsewhere"))
    assert known(watching)["state"] == "missing"


def test_the_result_is_told_and_its_report_linked(run, make):
    make.tell(run, ended="finished")
    watching = Watched(run)
    assert known(watching)["sentence"] == "The run has ended."
    (run / "result.json").write_text(json.dumps({"sentence": "Ten times smaller."}))
    (run / "report.html").write_text("<p>all of it")
    told = known(watching)
    assert (told["state"], told["sentence"]) == ("finished", "Ten times smaller.")
    assert told["pages"] == [{"href": "report.html", "text": "The report"}]


def test_what_an_earlier_run_left_is_not_taken_for_this_one(run, make):
    (run / "result.json").write_text(json.dumps({"sentence": "Ten times smaller."}))
    (run / "report.html").write_text("<p>all of it")
    for name in ("result.json", "report.html"):
        os.utime(run / name, (1e9, 1e9))
    make.tell(run)
    told = known(Watched(run))
    assert told["sentence"] == "At work: round 1 of 5."
    assert told["pages"] == [{"href": "report.html", "text": "The report of an earlier run"}]
    make.tell(run, ended="finished")
    assert known(Watched(run))["sentence"] == "The run has ended."


def test_files_that_are_damaged_are_as_if_not_there(run):
    for name in ("run.json", "result.json", "progress.json"):
        (run / name).write_text("[")
    told = known(Watched(run))
    assert (told["state"], told["progress"], told["trials"]) == ("untold", None, 2)


def test_numbers_that_json_does_not_have_are_left_out(run, make):
    make.add(run, make.trial(9, 0.7, 9, predicted=float("inf")), make.trial(8, float("inf"), 8))
    (run / "run.json").write_text(json.dumps(make.plan | {"limits": {"max_macs": float("inf")}}))
    _, body = Watched(run).answer()
    told = json.loads(body, parse_constant=pytest.fail)
    assert told["limits"] == {}
    assert [point[5] for point in told["points"]] == [None, 0.85, None]


def test_a_trial_that_ended_at_no_time_is_damage(run, make):
    make.add(run, make.trial(9, 0.7, created="yesterday"))
    assert "is damaged" in known(Watched(run))["trouble"]


def test_the_folder_is_looked_at_for_all_viewers_once(run, monkeypatch):
    monkeypatch.setattr(watched, "LOOK_SECONDS", 60.0)
    watching = Watched(run)
    looks = []
    look = watching._look
    monkeypatch.setattr(watching, "_look", lambda: (looks.append(1), look()))
    for _ in range(5):
        watching.answer()
    assert len(looks) == 1


def test_watching_does_not_import_torch():
    code = "import sys, archpress.watching; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
