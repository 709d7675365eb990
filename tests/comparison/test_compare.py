"""Comparisons of brief searches on real images."""

import csv
import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from archpress.architecture import Layer, chain, named
from archpress.comparison import compare, contestants
from archpress.comparison.conditions import Conditions
from archpress.comparison.inherited import prunes
from archpress.compression import settings_for
from archpress.errors import EvaluationError, SpaceError, StoreError
from archpress.search import Objective
from archpress.space import Limits
from archpress.store import Store, TrialFilter

LIMITS = Limits(max_parameters=3000)


class Heard:
    """Remembers the stages and lines of a run."""

    def __init__(self):
        self.stages, self.lines, self.notes = [], [], set()

    def stage(self, name, total):
        self.stages.append(name)

    def advance(self, done, note=""):
        self.notes.add(note)

    def say(self, text):
        self.lines.append(text)


def stored(folder):
    with Store(folder / "trials.db") as store:
        return [(t.architecture.key, t.recipe, t.seed, t.created) for t in store.trials()]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(images, settings, tmp_path):
    """Compares tiny's smaller versions, in this test's folder."""

    def compared(arms, limits=LIMITS, **more):
        usual = {"budget": 3, "seeds": 1, "workers": 1, "device": "cpu", "run": tmp_path}
        return compare("tiny", images, limits, arms=arms, **usual | {"settings": settings} | more)

    return compared


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def arms(make):
    def refuses(stage, found):
        raise SpaceError("it does not fit")

    return [make(), "random", make("twin", kind="baseline"), make("hopeless", finish=refuses)]


@pytest.fixture(scope="module")
def again(folder, images, settings, arms):
    """The same comparison, whatever was done before."""

    def compared(**more):
        more = {"budget": 5, "seeds": 2, "workers": 1, "device": "cpu", "run": folder} | more
        return compare("tiny", images, LIMITS, arms=arms, settings=settings, **more)

    return compared


@pytest.fixture(scope="module")
def finished(again):
    return again()


@pytest.mark.slow
def test_every_arm_spends_its_budget_with_every_seed(finished):
    assert finished.complete
    assert [(one.arm, one.seed) for one in finished.runs] == [
        (arm, seed) for seed in (0, 1) for arm in ("default", "random", "twin", "hopeless")
    ]
    for one in finished.runs:
        assert len({trial.architecture.key for trial in one.trials}) == len(one.trials) == 5
        assert {trial.seed for trial in one.trials} == {one.seed}
        assert one.own_seconds >= 0
        assert one.objective == Objective(LIMITS)


@pytest.mark.slow
def test_machines_can_share_the_seeds(finished, again, tmp_path):
    other = again(seeds=1, first_seed=1, run=tmp_path)
    assert [one.seed for one in other.runs] == [1] * 4
    keys = [[trial.architecture.key for trial in one.trials] for one in other.runs]
    assert keys == [[t.architecture.key for t in one.trials] for one in finished.runs[4:]]


@pytest.mark.slow
def test_a_folder_with_another_seed_is_joined(run, make, tmp_path):
    arms, heard = [make(), make("twin", kind="baseline")], Heard()
    own, other = tmp_path / "own", tmp_path / "other"
    apart = [run(arms, run=own), run(arms, first_seed=1, run=other)]
    before = [stored(own), stored(other)]
    whole = run(arms, seeds=2, run=own, joined=[other], progress=heard)
    assert heard.lines == [f"{other}: 2 new searches, 4 new trials"]
    assert list(whole.rows()) == [row for one in apart for row in one.rows()]
    assert set(stored(own)) == set(before[0] + before[1])
    assert stored(other) == before[1]


@pytest.mark.slow
def test_the_chosen_net_gets_one_final_training_and_one_test(finished):
    for one in finished.runs:
        if one.arm == "hopeless":
            continue
        best = max(trial.accuracy for trial in one.trials if trial.accuracy is not None)
        assert one.chosen.accuracy == best
        assert one.final.trial.architecture.key == one.chosen.architecture.key
        assert one.final.trial.seed == one.seed
        assert one.final.trial.recipe == finished.recipes["final"]["key"]
        assert 0 <= one.final.test_accuracy <= 1
        assert one.final.kept
        parameters = one.chosen.architecture.parameters
        assert one.final.compression == pytest.approx(named("tiny").parameters / parameters)


@pytest.mark.slow
def test_finalists_are_trained_out_of_the_budget_and_validation_chooses(run, make):
    compared = run([make(), make("plays", has_finalists=True)], budget=12)
    without, one = compared.runs
    assert (len(without.trials), without.trained, without.finalists) == (12, 12, ())
    assert (len(one.trials), len(one.finalists), one.trained) == (9, 3, 12)
    best = sorted((t.accuracy for t in one.trials), reverse=True)[:3]
    assert sorted((t.accuracy for t in one.ranked), reverse=True) == best
    assert {t.recipe for t in one.finalists} == {compared.recipes["final"]["key"]}
    winner = max(one.finalists, key=lambda trial: trial.accuracy)
    assert one.final.trial == winner
    assert one.chosen.architecture.key == winner.architecture.key
    assert one.training_seconds > sum(trial.seconds for trial in one.trials)
    again = run([make(), make("plays", has_finalists=True)], budget=12)
    assert again.runs == compared.runs


@pytest.mark.slow
def test_a_semifinal_out_of_the_budget_leaves_the_best_of_the_search(run, make, settings):
    eight = replace(settings.final, epochs=8)
    with_semifinal = replace(settings, final=eight, semifinalists=4, finalists=1)
    (one,) = run([make(has_finalists=True)], budget=21, settings=with_semifinal).runs
    recipes = {"semifinal": with_semifinal.semifinal.key, "final": with_semifinal.final.key}
    assert (len(one.trials), len(one.semifinalists), len(one.finalists), one.trained) == (
        14,
        6,
        1,
        21,
    )
    assert {trial.recipe for trial in one.semifinalists} == {recipes["semifinal"]}
    assert {trial.recipe for trial in one.finalists} == {recipes["final"]}
    (kept,) = [trial.architecture.key for trial in one.finalists]
    accuracies = {trial.architecture.key: trial.accuracy for trial in one.semifinalists}
    assert accuracies[kept] >= np.median([*accuracies.values()])
    assert one.training_seconds > sum(trial.seconds for trial in (*one.trials, *one.finalists))


@pytest.mark.slow
def test_arms_that_ask_for_the_same_share_trials_and_finals_but_not_their_budget(finished):
    ours, twin = finished.of("default"), finished.of("twin")
    for one, other in zip(ours, twin, strict=True):
        assert [t.architecture.key for t in one.trials] == [
            t.architecture.key for t in other.trials
        ]
        assert [t.created for t in one.trials] == [t.created for t in other.trials]
        assert one.final.trial == other.final.trial
    pair = next(pair for pair in finished.pairs if pair.arm == "twin")
    assert (pair.n, pair.mean) == (2, 0)


@pytest.mark.slow
def test_an_arm_without_a_net_is_told_and_the_others_go_on(finished):
    hopeless = finished.summaries[-1]
    assert (hopeless.failed_finals, hopeless.accuracy) == (2, None)
    assert {one.problem for one in finished.of("hopeless")} == {"it does not fit"}
    assert [pair.arm for pair in finished.pairs] == ["random", "twin"]


@pytest.mark.slow
def test_the_tables_hold_every_run_and_every_trial(finished, folder):
    of_runs = rows(folder / "compare.csv")
    assert [(row["arm"], row["seed"]) for row in of_runs][:2] == [("default", "0"), ("random", "0")]
    assert len(of_runs) == 8
    first, best = of_runs[0], finished.runs[0].chosen.accuracy
    assert float(first["best_trial_accuracy"]) == best
    assert float(first["test_accuracy"]) == finished.runs[0].final.test_accuracy
    assert of_runs[3]["final_error"] == "it does not fit"
    trials = rows(folder / "trials.csv")
    assert len(trials) == 4 * 2 * 5
    assert [row["order"] for row in trials[:5]] == ["1", "2", "3", "4", "5"]
    known = finished.runs[0].trials[0]
    wanted = {"arm": "default", "seed": "0", "origin": "sample", "key": known.architecture.key}
    assert wanted.items() <= trials[0].items()
    assert int(trials[0]["macs"]) == known.architecture.macs


@pytest.mark.slow
def test_the_text_has_the_verdict_the_arms_and_the_conditions(finished, folder):
    text = (folder / "compare.md").read_text()
    assert finished.verdict in text
    assert finished.verdict.startswith("default is ")
    assert "the best of 2 others" in finished.verdict
    assert "over 2 seeds" in finished.verdict
    for arm in ("default", "random", "twin"):
        assert re.search(rf"\| {arm} \| 2 \| [\d.]+ % ± [\d.]+ \| [\d.]+ points \|", text)
    assert "| hopeless | 2 | - | - |" in text
    assert "at most 3,000 parameters" in text
    assert "1 epoch of 200 images" in text
    assert "budget: 5 architectures a search, 2 at a time" in text


@pytest.mark.slow
def test_a_notebook_shows_the_verdict_and_a_row_an_arm(finished):
    html = finished._repr_html_()
    assert html.startswith("<p>")
    assert "<script" not in html
    assert re.findall(r"<tr><th>(\S+)</th><td>2</td>", html) == [
        "default",
        "random",
        "twin",
        "hopeless",
    ]


@pytest.mark.slow
def test_the_page_needs_nothing_else(finished, folder):
    text = (folder / "compare.html").read_text()
    assert text.count("* plotly.js v") == 1
    assert 'id="accuracy-curves"' in text
    assert 'id="finals"' in text
    assert 'id="compression-curves"' not in text
    assert finished.verdict in text
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!#)', outside)


@pytest.mark.browser
@pytest.mark.slow
def test_the_figures_of_the_page_are_saved(finished, folder, visit):
    found = visit((folder / "compare.html").as_uri())
    heads = {
        "accuracy-curves": "series,architectures trained,best trial accuracy within the limits (%)",
        "finals": "series,final test accuracy (%),arm",
    }
    for figure, head in heads.items():
        assert ElementTree.fromstring(found.saved(figure, "svg")).get("width") == "900"
        rows = list(csv.DictReader(io.StringIO(found.saved(figure, "csv"), newline="")))
        assert ",".join(rows[0]) == head
    trainings = [row for row in rows if row["series"] == "one training each"]
    assert {row["arm"] for row in trainings} <= {one.name for one in finished.contestants}
    assert len(trainings) > len({row["arm"] for row in trainings})
    assert found.complaints == []


@pytest.mark.slow
def test_the_same_call_again_trains_nothing_and_says_the_same(finished, folder, again):
    before, heard = stored(folder), Heard()
    result = again(progress=heard)
    assert stored(folder) == before
    assert heard.stages == ["measuring on the test images"]
    assert list(result.rows()) == list(finished.rows())
    assert result.verdict == finished.verdict
    origins = [[trial.origin for trial in one.trials] for one in finished.runs]
    assert [[trial.origin for trial in one.trials] for one in result.runs] == origins


@pytest.mark.slow
def test_a_search_that_finds_no_net_at_all_does_not_end_the_others(run, make):
    def ask(problem):
        raise SpaceError("no net of the sampler keeps the limits")
        yield []

    result = run([make(), make("lost", ask=ask, kind="baseline")])
    kept, lost = result.runs
    assert kept.final.trial.done
    assert lost.problem == "no net of the sampler keeps the limits"
    assert (lost.trials, lost.final) == ((), None)
    assert result.verdict == "There is no other arm with a result to compare default with."


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_with_the_trials_it_had(run, make, tmp_path):
    killing = True

    def ask(problem):
        for batch in samples(problem):
            trials = yield batch
            if killing and trials[0].round == 2:
                raise KeyboardInterrupt

    def samples(problem):
        from archpress.evaluation import Candidate
        from archpress.space import distinct

        nets = distinct(problem.space.sample(problem.rng(1)), problem.budget)
        yield from ([Candidate(net, "s", number)] for number, net in enumerate(nets, start=1))

    with pytest.raises(KeyboardInterrupt):
        run([make(ask=ask)])
    before = stored(tmp_path)
    assert len(before) == 2
    assert not (tmp_path / "compare.html").exists()
    killing = False
    result = run([make(ask=ask)])
    assert set(before) <= set(stored(tmp_path))
    assert len(stored(tmp_path)) == 3 + 1  # with the final training
    assert result.verdict == "There is no other arm with a result to compare default with."


@pytest.mark.slow
def test_a_limited_loss_of_accuracy_is_counted_from_the_source(run, make, tmp_path):
    result = run([make(), "random"], Limits(max_accuracy_loss=0.5))
    assert result.goal == "compression"
    with Store(tmp_path / "trials.db") as store:
        recipe, data = result.recipes["trial"]["key"], result.data["key"]
        own = store.find(named("tiny").key, data, recipe, 0).accuracy
    assert result.runs[0].objective.least_accuracy == pytest.approx(max(0.0, own - 0.5))
    assert "times in compression" in result.verdict
    assert "on one seed" in result.verdict
    assert 'id="compression-curves"' in (tmp_path / "compare.html").read_text()
    assert "best_trial_compression" in rows(tmp_path / "compare.csv")[0]


@pytest.mark.slow
def test_nets_inherit_from_a_source_that_is_trained_once(run, tmp_path):
    pytest.importorskip("torch_pruning")
    names = ["pruning-l1", "pruning-bn", "distillation", "fitnet"]
    result = run(names)
    recipes = {one.arm: one.final.trial.recipe for one in result.runs}
    assert len(set(recipes.values())) == 4
    for one in result.runs:
        assert (one.trials, one.chosen) == ((), None)
        assert one.final.trial.architecture.parameters <= 3000
        assert one.final.test_accuracy is not None
    sources = [row for row in stored(tmp_path) if row[0] == named("tiny").key]
    assert len(sources) == 1
    assert result.verdict == "default did not take part, so there is no verdict."
    before = stored(tmp_path)
    run(names)
    assert stored(tmp_path) == before


@pytest.mark.slow
def test_other_endings_of_ours_take_over_its_search(run, tmp_path):
    compared = run(["default", "no-distillation", "default-inherited", "narrowing"])
    ours, plain, heir, _ = compared.runs
    searches = {path.name.split("-")[0] for path in (tmp_path / "searches").iterdir()}
    assert searches == {"default", "narrowing"}
    assert ours.trials == plain.trials == heir.trials
    assert len({one.final.trial.architecture.key for one in (ours, plain, heir)}) == 1
    assert heir.final.trial.recipe != plain.final.trial.recipe
    assert ours.final.trial.recipe != heir.final.trial.recipe
    assert compared.verdict.count("no-distillation") == 1
    assert "distilled from the source and them" in (tmp_path / "compare.md").read_text()


@pytest.mark.slow
def test_the_net_that_ours_chose_is_distilled_like_the_narrowed_source(run, settings, tmp_path):
    ours, student = run(["default", "distillation"]).runs
    assert ours.final.trial.architecture.key == ours.chosen.architecture.key
    trained = {
        recipe for net, recipe, *_ in stored(tmp_path) if net == ours.chosen.architecture.key
    }
    distilled = student.final.trial.recipe
    assert distilled in trained
    assert ours.final.trial.recipe in {distilled, settings.final.key}
    assert student.chosen is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"arms": ["random", "nobody"]},
            "no arm is called 'nobody'; known are default, no-distillation",
        ),
        ({"first_seed": -1}, "first_seed must be at least 0, not -1"),
        ({"joined": ["nowhere"]}, "nowhere is no folder of a comparison, so it cannot be joined"),
        ({"arms": []}, "there is no arm to run; known are default"),
        ({"budget": 0}, "budget must be at least 1, not 0"),
        ({"seeds": 0}, "seeds must be at least 1, not 0"),
        ({"workers": 0}, "one worker or more, not 0"),
        ({"limits": Limits()}, "at least one limit"),
        ({"limits": Limits(max_latency_share=0.5)}, "a comparison times no nets"),
        ({"limits": Limits(max_parameters=20)}, "max_parameters=20"),
        ({"device": "tpu"}, "'tpu'"),
        ({"arms": ["distillation"], "limits": Limits(min_accuracy=0.5)}, "need a limit on a cost"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(run, tmp_path, change, said):
    with pytest.raises((EvaluationError, SpaceError, StoreError), match=re.escape(said)):
        run(**{"arms": ["random"], "run": tmp_path / "new"} | change)
    assert not (tmp_path / "new").exists()


def test_convolutions_in_groups_are_refused_by_the_arms_that_prune(images, tmp_path):
    pytest.importorskip("torch_pruning", reason="needs pip install 'archpress[baselines]'")
    net = chain(
        images.input_shape,
        Layer("conv", 3, 8, 1),
        Layer("group_norm", options=(("groups", 4),)),
        Layer("conv", 3, 8, 1, options=(("groups", 2),)),
        Layer("linear", channels=images.classes),
    )
    limits, folder = Limits(max_parameters=5000), tmp_path / "new"
    with pytest.raises(SpaceError, match="pruning cannot cut convolutions in groups"):
        compare(net, images, limits, run=folder, arms=["random", "pruning-l1"])
    assert not folder.exists()
    only_norms = replace(net, layers=(*net.layers[:2], net.layers[-1]))
    prunes(Conditions(only_norms, images, limits, settings_for("smoke"), folder, "cpu"))


def test_a_source_that_the_papers_vectors_cannot_hold_is_refused_by_its_arm(images, tmp_path):
    limits, folder = Limits(max_parameters=50_000), tmp_path / "new"
    with pytest.raises(SpaceError, match=r"'paper' cannot take part.*no 5-vector"):
        compare("resnet20", images, limits, run=folder, arms=["random", "paper"])
    assert not folder.exists()


def test_all_contestants_are_known_by_name():
    assert {"default", "mutation", "one-shot", "random", "evolution", "tpe", "narrowing"} < set(
        contestants()
    )
    assert [one.name for one in contestants().values()] == list(contestants())


@pytest.mark.slow
def test_a_shared_store_gives_one_run_what_another_one_trained(make, images, settings, tmp_path):
    """Also the trials that a folder had by itself; and each folder is whole at its end."""
    shared, listened = tmp_path / "shared.db", Heard()

    def compared(name, **more):
        more = {"budget": 3, "seeds": 1, "workers": 1, "device": "cpu"} | more
        run = tmp_path / name
        compare("tiny", images, LIMITS, arms=[make()], settings=settings, run=run, **more)
        return stored(run)

    alone = compared("one")
    assert compared("one", store=shared) == alone
    assert compared("other", store=shared, progress=listened)[:3] == alone[:3]
    assert any(note.endswith("naming the best") for note in listened.notes)
    with Store(shared) as store:
        brief = settings.trial_key
        assert len(store.trials(TrialFilter(recipe=brief))) == 3
        assert {one.recipe for one in store.trials()} == {brief, settings.final.key}
