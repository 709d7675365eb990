import json
from dataclasses import replace

import numpy as np
import pytest

from archpress.architecture import Architecture, Layer, chain, named
from archpress.compression import explorer as module
from archpress.compression.explorer import EXPLORER_FILE, net_file, write_explorer
from archpress.compression.learner import EmbeddingLearner
from archpress.compression.other_limits import STEPS
from archpress.compression.settings import settings_for
from archpress.embedding import FitSettings
from archpress.errors import SpaceError
from archpress.evaluation import Trial, TrialState
from archpress.search.progress import Silent
from archpress.space import (
    Form,
    Limits,
    Neighbourhood,
    distinct,
    sample_neighbourhood,
    space_around,
)

TINY = named("tiny", (1, 8, 8))
LIMITS = Limits(max_parameters=1500)
BRIEF = replace(settings_for("smoke"), pool=100, fit=FitSettings(steps=5, refit_steps=5))


class Told(Silent):
    def __init__(self):
        self.stages, self.lines = [], []

    def stage(self, name, total):
        self.stages.append((name, total))

    def say(self, text):
        self.lines.append(text)


def trial(net, accuracy):
    state = TrialState.FAILED if accuracy is None else TrialState.DONE
    return Trial(
        net, "data", "recipe", 0, state, {} if accuracy is None else {"accuracy": accuracy}
    )


def some_trials(source, form=None, count=14):
    space = space_around(source, form=form)
    nets = distinct(sample_neighbourhood(source, space, np.random.default_rng(0)), count)
    failed = [trial(nets[-1], None)]
    return [trial(net, 0.5 + 0.02 * i) for i, net in enumerate(nets[:-1])] + failed


def explored(folder, source=TINY, limits=LIMITS, form=None, settings=BRIEF, told=None):
    """The content of the file, what was told, and the trials that it was made from."""
    folder.mkdir(exist_ok=True)
    told = told or Told()
    trials = some_trials(source, form)
    space = Neighbourhood(source, space_around(source, limits, form))
    with EmbeddingLearner(space, settings, 0, folder) as learner:
        learner.learn(trials, 1)
        write_explorer(folder, learner, trials, limits, told, seed=0)
    return json.loads((folder / EXPLORER_FILE).read_text()), told, trials


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, *explored(folder)


def nets_of(folder, content):
    return [(net, Architecture.load(folder / net_file(net["limit"]))) for net in content["nets"]]


def test_every_net_keeps_its_limit_and_its_costs_are_exact(tiny):
    folder, content, _, _ = tiny
    assert len(content["nets"]) >= 10
    for told, net in nets_of(folder, content):
        assert net.parameters <= told["limit"]
        costs = (told["parameters"], told["macs"], told["peak_memory"])
        assert costs == (net.parameters, net.macs, net.peak_memory)
        assert told["key"] == net.key
        assert space_around(TINY).out_of_form(net) is None


def test_limits_rise_to_the_source_and_that_of_the_run_is_among_them(tiny):
    _, content, _, _ = tiny
    limits = [net["limit"] for net in content["nets"]]
    assert limits == sorted(set(limits))
    assert limits[-1] == TINY.parameters
    assert content["own_limit"] == 1500
    assert 1500 in limits


def test_a_larger_limit_never_has_a_worse_guess(tiny):
    _, content, _, _ = tiny
    guesses = [net["accuracy"] for net in content["nets"]]
    assert guesses == sorted(guesses)
    assert all(0 < net["low"] <= net["accuracy"] <= net["high"] < 1 for net in content["nets"])


def test_what_failed_is_not_named_and_descent_found_something(tiny):
    folder, content, _, trials = tiny
    keys = {one.architecture.key: one.done for one in trials}
    for told, net in nets_of(folder, content):
        assert keys.get(net.key, True)
        assert told["tried"] == (net.key in keys)
    assert any(not net["tried"] for net in content["nets"])


def test_trials_and_nets_have_places_on_two_axes(tiny):
    _, content, _, trials = tiny
    assert set(content["places"]) == {one.architecture.key for one in trials if one.done}
    places = np.array([*content["places"].values(), *(net["place"] for net in content["nets"])])
    assert places.shape[1] == 2
    assert np.isfinite(places).all()
    first, second = content["axes"]
    assert 1 >= first >= second >= 0


def test_a_descent_leads_away_from_the_source(tiny):
    _, content, _, _ = tiny
    path = content["path"]
    assert path[0] == content["source"]
    assert len(path) == 1 + STEPS // content["path_every"]
    assert len({tuple(place) for place in path}) == len(path)


def test_it_is_made_once_for_the_same_conditions(tmp_path, monkeypatch):
    made = []

    def content(folder, *_):
        made.append(folder)
        (folder / "explorer").mkdir(exist_ok=True)
        (folder / net_file(90)).touch()
        return {"nets": [{"limit": 90}]}

    monkeypatch.setattr(module, "_content", content)
    trials, path = some_trials(TINY), tmp_path / EXPLORER_FILE
    space = Neighbourhood(TINY, space_around(TINY, LIMITS))
    with EmbeddingLearner(space, BRIEF, 0, tmp_path) as learner:
        learner.learn(trials, 1)

        def times(limits=LIMITS, trials=trials):
            before = len(made)
            write_explorer(tmp_path, learner, trials, limits, Silent(), seed=0)
            return len(made) - before

        assert [times(), times()] == [1, 0]
        assert times(trials=trials[::-1]) == 0
        assert times(trials=trials[1:]) == 1
        assert times(Limits(max_parameters=1200)) == 1
        assert times() == 1
        (tmp_path / net_file(90)).unlink()
        assert times() == 1
        for damaged in ("{", "[]", '{"version": 1}'):
            path.write_text(damaged)
            assert times() == 1


KEPT = chain(
    (1, 8, 8),
    Layer("conv", 3, 8, 1, 1),
    Layer("relu"),
    Layer("conv", 3, 12, 2, 1),
    Layer("relu"),
    Layer("linear", channels=10),
)


@pytest.mark.parametrize(
    ("limits", "form"),
    [
        (Limits(max_macs=KEPT.macs // 2), Form()),
        (Limits(max_accuracy_loss=0.01), Form()),
        (Limits(max_parameters=1500), Form(kept=(0, 1))),
        (Limits(max_peak_memory=KEPT.peak_memory // 2), Form(widths_only=True)),
        (Limits(max_file_size=4 * 1500), Form(2)),
    ],
)
def test_other_limits_and_forms_stay_in_force(tmp_path, monkeypatch, limits, form):
    monkeypatch.setattr(module, "COUNT", 5)
    content, _, _ = explored(tmp_path, KEPT, limits, form)
    assert content["own_limit"] == limits.max_parameters
    space = space_around(KEPT, limits, form)
    assert len(content["nets"]) > 1
    for _, net in nets_of(tmp_path, content):
        assert space.out_of_form(net) is None
        assert replace(limits, max_parameters=None).allow(net)


def test_without_descent_trials_are_named(tmp_path):
    settings = replace(BRIEF, proposals=replace(BRIEF.proposals, descent=None))
    content, _, trials = explored(tmp_path, settings=settings)
    keys = {one.architecture.key for one in trials} | {TINY.key}
    assert {net["key"] for net in content["nets"]} <= keys


def test_where_there_is_no_choice_of_sizes_the_file_has_the_reason(tmp_path):
    one_width = chain((1, 8, 8), Layer("conv", 3, 8, 2, 1), Layer("linear", channels=10))
    form, limits = Form(8, widths_only=True), Limits(max_macs=one_width.macs)
    content, told, _ = explored(tmp_path, one_width, limits, form)
    assert "about as many parameters" in content["why_not"]
    assert told.stages == []


def test_an_extra_that_cannot_be_made_or_written_does_not_end_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "COUNT", 3)

    def fail(*_):
        raise SpaceError("nothing there")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_content", fail)
        content, _, _ = explored(tmp_path)
        assert content["why_not"] == "nothing there"

    def full(path, text):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_text", full)
        _, told, _ = explored(tmp_path, limits=Limits(max_parameters=1200))
        assert told.lines == [
            "the nets for other limits cannot be written: No space left on device"
        ]
