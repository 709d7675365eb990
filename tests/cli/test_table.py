import json

import pytest

from archpress.cli import main


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code or 0


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "nets.csv"
    lines = [
        f"{a},{b},{c},{60 + 5 * a + 4 * b + 3 * c},{100 * (a + 1) * (b + 1) * (c + 1)}"
        for a in range(3)
        for b in range(3)
        for c in range(3)
    ]
    path.write_text("\n".join(["x0,x1,x2,accuracy,parameters", *lines]))
    return str(path)


def test_table_prints_the_optimum_and_what_each_arm_reached(table, capsys):
    options = ["--max-accuracy-loss", "5", "--lookups", "5,27", "--seeds", "2"]
    assert run("table", table, *options, "--arms", "default,random", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["optimum"] == 1.5  # 2,2,1 and 1,2,2 lose at most 5 points
    assert found["arms"]["default"]["mean"][1] == 1.5
    assert set(found["arms"]["random"]) == {"mean", "std", "seconds"}


def test_table_takes_another_source(table, capsys):
    options = ["--lookups", "4", "--seeds", "1", "--arms", "random", "--source", "1,1,1"]
    assert run("table", table, *options) == 0
    assert "random" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arms", "magic"], "no arm for tables is called 'magic'; known are default, random"),
        (["--lookups", "50,25"], "must be rising numbers"),
        (["--lookups", "many"], "must be whole numbers from 1"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--max-accuracy-loss", "-1"], "percentage points from 0 to 100"),
        (["--source", "7,7,7"], "no row 7,7,7"),
    ],
)
def test_bad_options_are_one_sentence(table, capsys, options, said):
    assert run("table", table, *options) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_missing_table_is_one_sentence(capsys):
    assert run("table", "nowhere.csv") == 2
    assert "cannot read the table nowhere.csv" in capsys.readouterr().err
