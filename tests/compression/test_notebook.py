"""What a notebook shows of a result and of a comparison."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from archpress.comparison.contestants import Contestant
from archpress.comparison.result import Comparison
from archpress.compression.result import AsGiven, Measured, Result, Spread
from archpress.search import Arm

GIVEN = AsGiven("0f3a", "unit", {})
LATENCY = {"median_seconds": 0.00163}


def net(name, parameters, **more):
    validation = Spread(0.901, 0.002, 3)
    fields = {"test_accuracy": Spread(0.8998, 0.0018, 2), **more}
    return Measured(name, parameters, 5_300_000, 200_704, 9, LATENCY, validation, **fields)


@pytest.fixture
def result():
    nets = {
        "source": net("<b>mine</b> & more", 708_458),
        "compressed": net("small", 78_814, test_accuracy=None),
        "reference": net("plain", 92_044),
    }
    empty = ("trials", "seconds", "recipes", "data", "surrogate", "trust", "latency", "versions")
    return Result(
        met=True,
        sentence="9x smaller <script>alert(1)</script>",
        limits=(),
        compression=9.0,
        seed=0,
        folder=Path("runs/mine"),
        **nets,
        **{name: {} for name in empty},
    )


def read(html):
    """The sentence, the heads and the rows of what is well-formed HTML, with no other tags."""
    tree = ElementTree.fromstring(f"<div>{html}</div>")
    assert {one.tag for one in tree.iter()} == {
        "div",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    heads, *rows = ([cell.text or "" for cell in row] for row in tree.iter("tr"))
    return tree.find("p").text, heads, {first: others for first, *others in rows}


def test_a_result_is_a_table_of_its_nets_with_n_and_spread(result):
    sentence, heads, rows = read(result._repr_html_())
    assert sentence == "9x smaller <script>alert(1)</script>"
    assert heads == ["", "source: <b>mine</b> & more", "compressed", "plain hand-made net"]
    assert rows["parameters"] == ["708,458", "78,814", "92,044"]
    assert rows["latency, median, ms"] == ["1.63"] * 3
    assert rows["test accuracy"] == ["89.98% ± 0.18% (n=2)", "-", "89.98% ± 0.18% (n=2)"]


def test_a_source_as_given_says_so_and_there_may_be_no_plain_net(result):
    source = replace(result.source, given=GIVEN)
    _, heads, rows = read(replace(result, source=source, reference=None)._repr_html_())
    assert len(heads) == 3
    assert rows["validation accuracy"][0] == "90.10%, as given, not trained here"


def test_a_comparison_is_its_verdict_and_a_table_of_its_arms():
    contestants = tuple(
        Contestant(name, "for tests", "baseline", lambda _: Arm("none", iter))
        for name in ("default", "random")
    )
    comparison = Comparison(
        source={"parameters": 10},
        data={},
        limits={},
        recipes={},
        contestants=contestants,
        budget=3,
        batch=1,
        seeds=2,
        first_seed=0,
        goal="accuracy",
        runs=(),
        complete=False,
        folder=Path("runs/compared"),
    )
    html = comparison._repr_html_()
    assert html.startswith("<p>Not finished: 0 of 4 searches are done.</p><table>")
    assert "<th>validation accuracy</th>" in html
