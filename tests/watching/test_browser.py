"""The live page as a reader has it, in Chromium."""

import csv
import io
from xml.etree import ElementTree

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = [(390, "light"), (390, "dark"), (1600, "light"), (1600, "dark")]
BUTTON = "[data-chart={figure}] button"
CHARTS = ["parameters", "best", "macs", "predictions"]


@pytest.fixture
def opened(run, make, server, visit):
    """With what a run has at its height: progress, failures, predictions, a page."""
    numbers = range(10, 40)
    make.add(
        run, *(make.trial(width, 0.6 + width / 200, width, predicted=0.7) for width in numbers)
    )
    make.tell(run)
    (run / "report.html").write_text("<p>all of it")

    def open_page(**how):
        found = visit(server.url, **how)
        found.until("document.getElementById('trials').textContent === '32'")
        return found

    return open_page


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_all_charts_are_drawn_and_only_this_machine_is_asked(server, opened, width, scheme):
    found = opened(width=width, scheme=scheme)
    for name in CHARTS:
        chart = found.page.locator(f"[data-chart={name}] svg.chart")
        box = chart.bounding_box()
        assert min(box["width"], box["height"]) > 150, name
        assert chart.locator("path").count()
    assert all(request.startswith((server.url, "data:")) for request in found.requests)
    assert found.complaints == []
    assert found.sideways <= 0


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_everyone_can_use_it(opened, width, scheme):
    found = opened(width=width, scheme=scheme)
    assert found.audit() == []


def test_keys_lead_from_mark_to_mark(opened):
    found = opened()
    chart = found.page.locator("[data-chart=parameters]")
    chart.locator("svg.chart").focus()
    found.page.keyboard.press("ArrowRight")
    assert chart.locator(".readout").inner_text().startswith("Trial 1: 80.00 %")


def test_what_is_new_comes_by_itself(run, make, opened):
    found = opened()
    make.add(run, make.trial(3, 0.99, 50))
    found.until("document.getElementById('best').textContent === '99.00 %'")
    assert found.complaints == []


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_is_saved_as_a_picture_and_as_a_table(opened, chart):
    found = opened(width=390, scheme="dark")
    text = found.saved(chart, "svg", BUTTON)
    picture = ElementTree.fromstring(text)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture[1].get("fill") == "#ffffff"
    words = list(picture.iter("{http://www.w3.org/2000/svg}text"))
    assert {one.get("fill") for one in words} == {"rgb(90, 97, 110)"}  # of the light theme
    assert "var(" not in text
    assert "class=" not in text
    head, *rows = csv.reader(io.StringIO(found.saved(chart, "csv", BUTTON), newline=""))
    assert head[0] == "series"
    assert rows
    assert all(len(row) == 3 and float(row[1]) > 0 for row in rows)
    if chart == "parameters":
        assert sum(row[0] == "edit" for row in rows) == 32
    assert found.complaints == []
