import re

import pytest

from archpress.architecture import Layer, chain
from archpress.cli.arguments import net_name, read_net
from archpress.errors import ArchitectureError, StoreError
from archpress.evaluation.trial import Trial, TrialState
from archpress.store import Store
from archpress.store.nets import open_net, trial_key


def net(width):
    return chain((1, 8, 8), Layer("conv", 3, width, 1, 1), Layer("linear", channels=2))


@pytest.fixture
def run(tmp_path):
    with Store(tmp_path / "trials.db") as store:
        for width in (4, 6):
            store.add(Trial(net(width), "data", "recipe", 0, TrialState.DONE))
        store.add(Trial(net(4), "data", "another recipe", 0, TrialState.DONE))
    return tmp_path


@pytest.mark.parametrize("place", ["{run}", "{run}/trials.db"])
def test_a_trial_is_named_by_its_run_and_how_its_key_begins(run, place):
    for key in (net(6).key, net(6).key[:12]):
        assert read_net(f"{place.format(run=run)}:{key}") == net(6)
        assert net_name(f"{place.format(run=run)}:{key}") == key


def test_a_key_that_no_trial_has_is_refused(run):
    with pytest.raises(StoreError, match="no architecture whose key begins with 000000"):
        open_net(f"{run}:000000")


def test_a_key_that_begins_several_is_refused(run, monkeypatch):
    monkeypatch.setattr("archpress.store.nets._KEY", re.compile(".*"))
    with pytest.raises(StoreError, match="2 architectures whose key begins with "):
        open_net(f"{run}:")


@pytest.mark.parametrize("text", ["conv7", "mymodel.py:abcdef", "runs/none:abcdef", "x.json"])
def test_what_names_no_trial_is_left_to_others(run, text):
    assert trial_key(text) is None
    assert trial_key(f"{run}:build") is None


def test_a_folder_without_trials_has_none(tmp_path):
    with pytest.raises(ArchitectureError):
        open_net(f"{tmp_path}:abcdef")


def test_an_empty_file_is_no_store_and_stays_empty(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ArchitectureError):
        open_net(f"{tmp_path / 'notes.txt'}:abcdef")
    assert not (tmp_path / "notes.txt").stat().st_size
