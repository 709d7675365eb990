import json

import pytest

from archpress.cli import main


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code or 0


def test_it_tells_the_theory_of_a_net(capsys):
    assert run("count", "conv7", "--samples", "50") == 0
    said = capsys.readouterr().out
    assert "At most 27 pools" in said
    assert "one order only, the path: input > 0 conv > 1 batch_norm" in said
    assert "10^189.17" in said
    assert "max_parameters 15,000,000, max_macs 2,000,000,000" in said


def test_small_counts_are_exact_under_a_limit(capsys):
    options = ["--max-layers", "3", "--max-parameters", "1000", "--json"]
    assert run("count", "tiny", "--input", "1x8x8", *options) == 0
    found = json.loads(capsys.readouterr().out)
    within = found["within_limits"]
    assert found["limits"] == {"max_parameters": 1000}
    assert sum(map(int, within["by_layers"].values())) == int(within["exact"])
    assert 0 < int(within["exact"]) < int(found["all"]["exact"])


def test_joins_may_leave_more_than_one_order(capsys):
    options = ["--max-layers", "4", "--samples", "20", "--input", "3x32x32", "--json"]
    assert run("count", "resnet20", *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["order_is_unique"]
    assert found["hamiltonian_path"] is None
    assert len(found["exchangeable"]) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--samples", "1"], "--samples must be at least 2"),
        (["--input", "28"], "--input must be channels x height x width"),
        (["--max-layers", "1"], "most_layers must be at least 3"),
        (["--max-parameters", "10"], "no net can keep these limits"),
    ],
)
def test_bad_input_is_one_sentence(options, said, capsys):
    assert run("count", "conv7", *options) == 2
    assert said in capsys.readouterr().err
