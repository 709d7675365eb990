"""A reproduction of a very small row, on real images."""

import json
from dataclasses import replace

import pytest

from archpress.cli import main
from archpress.compression import settings_for
from archpress.embedding.paper import PaperSettings
from archpress.reproduction import (
    COLUMNS,
    TABLE_ONE,
    Experiment,
    Scale,
    TableOneRow,
    plan,
    reproduce,
)
from archpress.search import Silent
from archpress.store import Store

ROW = TableOneRow("fashion-mnist", "tiny", 0.8, 10_000, 0.01, 2.0, 300)


class Notes(Silent):
    """The last parts of what is told while a search goes on."""

    def __init__(self):
        self.ends = set()

    def advance(self, done, note=""):
        self.ends.add(", ".join(part for part in note.split(", ") if not part.startswith("best")))


@pytest.fixture(scope="module")
def experiment():
    smoke = settings_for("smoke")
    settings = replace(
        smoke,
        trial=replace(smoke.trial, train_images=200, spare_images=50),
        final=replace(smoke.final, train_images=300),
        initialisations=2,
        paper=PaperSettings(iterations=300),
    )
    scale = Scale("brief", 16, settings, 1, 10**6, trains_base=True)
    return Experiment(ROW, scale, ("paper", "default", "hand-made"))


@pytest.mark.slow
def test_the_papers_numbers_stand_beside_ours_and_a_second_call_trains_nothing(
    images, experiment, tmp_path
):
    notes = Notes()
    done = reproduce(
        experiment,
        images,
        run=tmp_path,
        device="cpu",
        store=tmp_path / "shared.db",
        progress=notes,
    )
    assert {"fitting, 33%", "descending", "learning", "proposing"} <= notes.ends
    with Store(tmp_path / "shared.db") as shared, Store(tmp_path / "trials.db") as own:
        assert shared.count() == own.count() > 0
    rows = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in done.rows()}
    assert list(rows) == [
        "tiny, the paper's",
        "compressed, the paper's",
        "tiny, here",
        "paper, here",
        "default, here",
        "hand-made, here",
    ]
    assert rows["compressed, the paper's"]["accuracy"] == "81.00 %"
    assert rows["compressed, the paper's"]["change"] == "+1.00"
    assert rows["tiny, here"]["change"] == ""
    runs = {run.arm: run for run in done.comparison.runs}
    ours, base = runs["default"].final, runs["base"].final
    gained = 100 * (ours.test_accuracy - base.test_accuracy)
    assert rows["default, here"]["change"] == f"{gained:+.2f}"
    assert ours.trial.architecture.parameters <= 5000
    assert base.trial.architecture == ROW.source
    assert {t.recipe for t in runs["paper"].trials} == {f"{experiment.scale.settings.trial.key}*2"}
    assert "paper, here" in (tmp_path / "reproduce.md").read_text()
    again = reproduce(experiment, images, run=tmp_path, device="cpu")
    assert again.comparison.runs == done.comparison.runs
    assert json.loads(json.dumps(again.to_dict()))["paper"]["compression"] == 2.0


@pytest.mark.slow
def test_a_plan_counts_the_trainings_and_times_them(experiment):
    stages = {one.name: one for one in plan(experiment, device="cpu", workers=2)}
    assert list(stages) == ["base", "trials, paper", "trials, default", "final trainings"]
    assert stages["trials, paper"].trainings == 16 * 2
    assert stages["trials, default"].trainings == (16 - 3) * 2  # without the finalists
    assert stages["base"].images == 300
    assert stages["base"].macs == ROW.source.macs
    assert all(one.seconds > 0 for one in stages.values())
    base = stages["base"]
    assert base.total_macs == pytest.approx(3 * 300 * ROW.source.macs)
    assert base.hours == pytest.approx(base.seconds / 3600)  # one training keeps one worker busy


@pytest.mark.slow
def test_the_command_tells_its_plan(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "cifar10", "--plan", "--methods", "hand-made", "--json", "--quiet"])
    assert not stopped.value.code
    told = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in told["stages"]] == ["final trainings"]
    assert told["hours"] > 0


def test_bad_words_are_one_sentence_and_exit_code_2(capsys):
    for arguments, said in (
        (["cifar10", "--methods", "nobody"], "no arm is called 'nobody'"),
        (["cifar10", "--seeds", "0"], "seeds must be at least 1, not 0"),
        (["mnist"], "mnist"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["reproduce", *arguments])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err


def test_every_row_has_a_command():
    from archpress.cli.reproduce import RowName

    assert [one.value for one in RowName] == list(TABLE_ONE)
