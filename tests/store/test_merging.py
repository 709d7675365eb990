"""Trials of several stores in one."""

import json
import math
from dataclasses import replace

import pytest
from store_trials import trial

from archpress.cli import main
from archpress.store import Store, TrialFilter


@pytest.fixture
def two(tmp_path):
    """One of each case: new, known, another result, failed there, failed here."""
    here, there = Store(tmp_path / "here.db"), Store(tmp_path / "there.db")
    same = trial(3)
    for store, found in (
        (here, [same, trial(4, 0.5), trial(5, 0.5), trial(6, None)]),
        (there, [same, trial(4, 0.75), trial(5, None), trial(6, 0.5), trial(7), trial(8, None)]),
    ):
        for one in found:
            store.add(one)
    yield here, there
    here.close()
    there.close()


def test_new_trials_come_and_known_ones_stay(two):
    here, there = two
    merged = here.merge(there)
    assert (merged.new, merged.replaced, merged.known) == (2, 1, 1)
    widths = [one.architecture.layers[0].channels for one in merged.differing]
    assert sorted(widths) == [4, 5]
    found = {one.architecture.layers[0].channels: one.accuracy for one in here.trials()}
    assert found == {3: 0.5, 4: 0.5, 5: 0.5, 6: 0.5, 7: 0.5, 8: None}


def test_a_second_merge_changes_nothing(two):
    here, there = two
    here.merge(there)
    before = here.trials()
    merged = here.merge(there)
    assert (merged.new, merged.replaced, merged.known, len(merged.differing)) == (0, 0, 4, 2)
    assert here.trials() == before


def test_a_metric_that_is_no_number_is_no_difference(tmp_path):
    found = replace(trial(3), metrics={"accuracy": 0.5, "validation_loss": math.nan})
    with Store(tmp_path / "here.db") as here, Store(tmp_path / "there.db") as there:
        here.add(found)
        there.add(found)
        merged = here.merge(there)
    assert (merged.known, merged.differing) == (1, [])


def test_a_trial_goes_over_with_everything(two):
    here, there = two
    here.merge(there, TrialFilter(max_parameters=trial(7).architecture.parameters))
    assert here.count() == 5
    assert trial(7).architecture in {one.architecture for one in here.trials()}
    key = (trial(7).architecture.key, "data", "recipe", 0)
    assert here.find(*key) == there.find(*key)


def test_many_trials_are_merged_in_parts(tmp_path):
    with Store(tmp_path / "a.db") as one, Store("sqlite://") as other:
        for seed in range(450):
            other.add(trial(seed=seed))
        assert one.merge(other).new == 450
        assert one.count() == 450


def test_a_server_gets_the_trials_of_a_file(two, postgres):
    here, there = two
    with Store(postgres) as store:
        assert store.merge(here).new == 4
        assert store.merge(there).new == 2
        assert store.count() == 6
        assert here.merge(store).new == 2


def told(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stopped.value.code or 0, captured.out, captured.err


def test_the_command_tells_what_was_new_and_what_differed(two, tmp_path, capsys):
    into = tmp_path / "all.db"
    stores = [tmp_path / "here.db", tmp_path / "there.db"]
    code, out, _ = told(capsys, "merge", *stores, "--into", into)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == f"{stores[0]}: 4 new, 0 known"
    assert lines[1].startswith(
        f"{stores[1]}: 2 new, 1 known, 1 in the place of failed ones, 2 with"
    )
    assert lines[-1] == f"6 trials in {into}"
    code, out, _ = told(capsys, "merge", *stores, "--into", into, "--json")
    content = json.loads(out)
    assert [one["new"] for one in content["merged"]] == [0, 0]
    assert (code, content["trials"]) == (0, 6)
    code, out, _ = told(capsys, "trials", into, "--json")
    assert len(json.loads(out)) == 6


def test_a_store_that_is_not_there_is_refused_and_none_is_made(two, tmp_path, capsys):
    code, _, errors = told(capsys, "merge", tmp_path / "none.db", "--into", tmp_path / "all.db")
    assert (code, errors) == (2, f"archpress: there is no store {tmp_path / 'none.db'}\n")
    assert not (tmp_path / "all.db").exists()
