import json

import pytest

import archpress as ap
from archpress.errors import StoreError


@pytest.fixture(scope="module")
def run(tmp_path_factory, make):
    return make.write_run(tmp_path_factory.mktemp("runs") / "run")


def test_the_figures_of_the_report_are_there_as_plotlys(run):
    figures = ap.run_figures(run)
    assert {"parameters", "macs", "predictions", "best", "stages"} <= {*figures}
    result = json.loads((run / "result.json").read_text())
    costs = {x for trace in figures["parameters"].data for x in trace.x}
    assert result["compressed"]["parameters"] in costs
    best = figures["best"].data[0].y
    assert list(best) == sorted(best) or list(best) == sorted(best, reverse=True)


def test_dark_figures_have_the_same_values_on_a_dark_ground(run):
    light, dark = ap.run_figures(run)["macs"], ap.run_figures(str(run), dark=True)["macs"]
    assert light.data[0].x == dark.data[0].x
    assert light.layout.paper_bgcolor == "#ffffff" != dark.layout.paper_bgcolor


def test_a_run_that_has_not_ended_has_none(tmp_path):
    with pytest.raises(StoreError, match="the run is not finished"):
        ap.run_figures(tmp_path)
