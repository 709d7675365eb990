"""The examples that need nothing but the package run, as a user runs them.

examples/make_table.py trains for minutes; nas_bench_macro.py and metaqnn.py read published tables
that are not here. These three are only imported.
"""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SAID = {
    "own_network.py": r"limits met: mine became .* smaller(.|\n)*\(linear1\): Linear\(",
    "own_images.py": r"10 classes: Ankle boot(.|\n)*430 images of 1x14x14(.|\n)*met: tiny became",
    "own_space.py": r"^(\d\d\.\d%, \d+ parameters, .*\n){16}$",
}
READ_ONLY = {"make_table.py", "nas_bench_macro.py", "metaqnn.py"}


def test_every_example_is_run_or_imported():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SAID, *READ_ONLY}


def test_examples_of_a_user_are_short():
    for name in SAID:
        assert len((EXAMPLES / name).read_text().splitlines()) < 60, name


@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_an_example_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert re.search(SAID[name], capsys.readouterr().out)


@pytest.mark.parametrize("name", sorted(READ_ONLY))
def test_an_example_is_imported(name):
    assert runpy.run_path(str(EXAMPLES / name), run_name="example")["__doc__"]
