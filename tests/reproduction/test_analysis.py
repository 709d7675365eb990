import csv
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from xml.etree import ElementTree

import pytest

from archpress.architecture import Layer, chain, named
from archpress.cli import main
from archpress.reproduction.analysis_page import MOTIF_COLUMNS, PATH_COLUMNS
from archpress.reproduction.motifs import appendix_net, motifs_of
from archpress.store import Store

HEAD = Layer("linear", channels=10)
CONV = Layer("conv", 3, 4, 1, 1)


def test_motifs_are_counted_over_distinct_nets():
    plain = chain((1, 8, 8), CONV, Layer("relu"), HEAD)
    # Of five layers the second ReLU does nothing; two of them are ReLUs, one is a batch norm.
    odd = chain((1, 8, 8), Layer("batch_norm"), CONV, Layer("relu"), Layer("relu"), HEAD)
    found = motifs_of([plain, odd, odd], steps=7)
    assert (found.nets, found.steps) == (2, 7)
    assert found.layers == 4
    assert found.idle == pytest.approx((0 + 1 / 5) / 2)
    assert found.norms_and_relus == pytest.approx((1 / 3 + 3 / 5) / 2)
    assert found.norm_first == 0.5


def test_no_nets_have_no_motifs():
    found = motifs_of([], steps=200)
    assert (found.nets, found.steps) == (0, 200)
    assert found.idle is None


def test_the_net_of_the_appendix_has_its_widths_and_only_pools_that_fit():
    net = appendix_net((3, 32, 32), 10)
    widths = [layer.channels for layer in net.layers if layer.kind == "conv"]
    assert widths == [64, 64, 128, 128, *[256] * 3, *[512] * 5]
    assert net.input_shapes(len(net.layers) - 7)[0] == (512, 1, 1)
    assert [layer.channels for layer in net.layers if layer.kind == "linear"] == [4096, 4096, 10]
    small = appendix_net((1, 28, 28), 10)
    assert [layer.kind for layer in small.layers].count("max_pool") == 4


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """A folder, and what the command said."""
    folder = tmp_path_factory.mktemp("analysis")
    arguments = [
        *("analyse", "tiny", "--data", "fashion-mnist-sample", "--run", str(folder)),
        *("--nets", "6", "--trained", "2", "--iterations", "300", "--max-parameters", "3000"),
        *("--max-macs", "1e6", "--trial-epochs", "1", "--trial-images", "200"),
        *("--device", "cpu", "--json", "--store", str(folder / "shared.db")),
    ]
    said, heard = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(heard), pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert not stopped.value.code
    for told in ("seed 0, samples: 6", "fitting with ordinal types: 300", "300/300"):
        assert told in heard.getvalue()
    return folder, json.loads(said.getvalue())


@pytest.mark.slow
def test_the_command_looks_at_both_codings_and_writes_page_table_and_values(analysed):
    folder, found = analysed
    with Store(folder / "shared.db") as shared, Store(folder / "trials.db") as own:
        assert shared.count() == own.count() >= 6
    assert found == json.loads((folder / "analysis.json").read_text())
    ordinal, categorical = found["studies"]
    assert (ordinal["types"], categorical["types"]) == ("ordinal", "categorical")
    assert [len(one["filters"][0]) for one in found["studies"]] == [5, 12]
    assert [len(one["places"]) for one in found["studies"]] == [6, 6]
    assert len(ordinal["before"]) == len(ordinal["after"]) == len(ordinal["path"]) == 200
    assert found["source_parameters"] == named("tiny").parameters
    assert set(found["motifs"]) == {
        "samples",
        "ordinal types",
        "ordinal types, extreme",
        "categorical types",
        "categorical types, extreme",
    }
    for study in found["studies"]:
        for point in study["before"]:
            assert 0 <= point["predicted_accuracy"] <= 1
            if point["accuracy"] is not None:
                assert point["parameters"] is not None
    page = (folder / "analysis.html").read_text()
    assert len(re.findall(r'data-figure="', page)) == 10
    text = (folder / "analysis.md").read_text()
    assert " | ".join(MOTIF_COLUMNS) in text
    assert " | ".join(PATH_COLUMNS) in text


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("figure", "head", "count"),
    [
        ("accuracy-ordinal", "series,step of the descent,accuracy (%)", 800),
        ("map-accuracy-ordinal", "series,first principal axis,second principal axis,accuracy (%)",
         206),
        ("filters-categorical", "series,row,column,field,weight", None),
    ],
)  # fmt: skip
def test_the_figures_of_the_page_are_saved(analysed, visit, figure, head, count):
    folder, found = analysed
    opened = visit((folder / "analysis.html").as_uri())
    assert ElementTree.fromstring(opened.saved(figure, "svg")).get("width") == "900"
    rows = list(csv.DictReader(io.StringIO(opened.saved(figure, "csv"), newline="")))
    assert ",".join(rows[0]) == head
    filters = found["studies"][1]["filters"]
    assert len(rows) == (count or sum(len(row) for one in filters for row in one))
    assert opened.complaints == []


def test_a_source_without_vectors_and_a_bad_count_are_refused(tmp_path, capsys):
    for arguments, said in (
        (["resnet20", "--data", "fashion-mnist-sample"], "no 5-vector"),
        (
            ["tiny", "--data", "fashion-mnist-sample", "--nets", "1"],
            "--nets must be at least 2, not 1",
        ),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["analyse", *arguments, "--run", str(tmp_path / "run"), "--quiet"])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
