import json

import pytest

from archpress.architecture import named
from archpress.cli import main


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, arguments)))
    return stopped.value.code or 0


def test_json_tells_what_changed_and_the_totals(tmp_path, capsys):
    path = tmp_path / "net.json"
    path.write_text(named("plain6").to_json())
    assert run("diff", "conv7", path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    first = found["layers"][0]
    assert (first["change"], first["fields"]) == (
        "changed",
        {"channels": {"before": 32, "after": 16}},
    )
    assert found["totals"]["parameters"]["before"] == 708_458
    assert found["totals"]["parameters"]["percent"] == pytest.approx(-89.7, abs=0.1)
    assert sum(found["counts"].values()) == len(found["layers"])


def test_a_table_shows_changes_and_counts_what_it_hides(capsys):
    assert run("diff", "conv7", "plain6") == 0
    said = capsys.readouterr().out
    assert "-89.7 %" in said
    assert "removed" in said
    assert "relu1" not in said
    assert "(14 not shown: --all)" in said
    assert run("diff", "conv7", "plain6", "--all") == 0
    assert "relu1" in capsys.readouterr().out


def test_images_that_differ_are_told_and_input_brings_nets_of_the_zoo_together(capsys):
    assert run("diff", "tiny", "resnet20") == 0
    assert "1x28x28 and 3x32x32: see --input" in capsys.readouterr().out
    assert run("diff", "tiny", "resnet20", "--input", "3x32x32") == 0
    assert "other images" not in capsys.readouterr().out


@pytest.mark.parametrize("nets", [("tiny", "nothing"), ("nothing", "tiny"), ("m.py:f", "tiny")])
def test_what_is_no_net_is_one_sentence(nets, capsys):
    assert run("diff", *nets) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("archpress: ")
    assert len(captured.err.strip().splitlines()) == 1
