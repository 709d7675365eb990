"""The report as a reader has it: opened from the disk, in Chromium."""

import csv
import io
import shlex
import threading
from xml.etree import ElementTree

import pytest

from archpress.cli.arguments import read_net
from archpress.report import write_report
from archpress.watching import Watched, WatchServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = [(390, "light"), (390, "dark"), (1600, "light"), (1600, "dark")]
FIGURES = ["parameters", "macs", "predictions", "best", "map", "stages"]
BOXES = "[...document.querySelectorAll('[data-figure]')]"


@pytest.fixture(scope="module")
def run(tmp_path_factory, make):
    folder = make.write_explored(tmp_path_factory.mktemp("runs") / "run")
    write_report(folder)
    return folder


@pytest.fixture
def opened(run, visit):
    def open_report(**how):
        found = visit((run / "report.html").as_uri(), **how)
        found.until("!document.getElementById('explorer').hidden")
        return found

    return open_report


def draw_all(found):
    for name in FIGURES:
        found.page.locator(f"#{name}").scroll_into_view_if_needed()
        found.until(f"document.getElementById('{name}').dataset.drawn === 'yes'")


def click_a_point(found, figure, trace=0):
    """On one that no other covers."""
    found.page.locator(f"#{figure}").scroll_into_view_if_needed()
    found.until(f"document.getElementById('{figure}').dataset.drawn === 'yes'")
    box = found.page.locator(f"#{figure} .scatterlayer .trace").nth(trace).locator("path.point")
    box = box.first.bounding_box()
    found.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    found.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_all_figures_are_drawn_and_nothing_is_asked_of_anyone(run, opened, width, scheme):
    found = opened(width=width, scheme=scheme)
    draw_all(found)
    boxes = found.page.evaluate(
        f"{BOXES}.map((box) => [box.id, box.querySelector('.main-svg').getBoundingClientRect()])"
    )
    assert sorted(name for name, _ in boxes) == sorted(FIGURES)
    for name, box in boxes:
        assert min(box["width"], box["height"]) > 150, name
        assert found.page.locator(f"#{name} :is(path.point, path.js-line, .bars path)").count()
    assert found.requests == [(run / "report.html").as_uri()]
    assert found.complaints == []
    assert found.sideways <= 0


def test_it_is_the_same_where_it_is_served(run, visit):
    with WatchServer(Watched(run)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            found = visit(f"{server.url}report.html")
            draw_all(found)
            assert found.saved("parameters", "csv").startswith("series,trial,parameters,")
            assert ElementTree.fromstring(found.saved("map", "svg")).get("width") == "900"
            asked = [address for address in found.requests if not address.startswith("blob:")]
            assert asked == [f"{server.url}report.html"]
            assert found.complaints == []
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_everyone_can_use_it(opened, width, scheme):
    found = opened(width=width, scheme=scheme)
    draw_all(found)
    click_a_point(found, "parameters")
    found.page.locator("details summary").first.click()
    assert found.audit() == []
    assert found.sideways <= 0


def test_the_audit_finds_what_keeps_people_out(opened):
    found = opened()
    found.page.evaluate("document.documentElement.removeAttribute('lang')")
    assert [rule for rule, *_ in found.audit()] == ["html-has-lang"]


@pytest.mark.parametrize("figure", ["parameters", "macs", "predictions"])
def test_a_trial_that_is_clicked_shows_its_layers_and_its_command(run, opened, figure):
    found = opened()
    click_a_point(found, figure, trace=1 if figure == "predictions" else 0)
    panel = found.page.locator("#trial-panel")
    panel.wait_for()
    assert panel.locator("h3").inner_text().startswith("Trial ")
    words = shlex.split(panel.locator("pre").inner_text())
    net = read_net(f"{run}/{words[2]}")
    assert words[:2] == ["archpress", "train"]
    assert panel.locator("[data-part=layers] tr").count() == len(net.layers)
    assert panel.locator("[data-part=cost]").first.inner_text() == f"{net.parameters:,}"
    assert found.complaints == []


def test_a_trial_on_the_map_shows_its_command_until_it_is_let_go(run, opened):
    found = opened()
    before = found.page.locator("#explorer-panel h3").inner_text()
    click_a_point(found, "map")
    found.page.mouse.move(2, 2)
    panel = found.page.locator("#explorer-panel")
    assert panel.locator("h3").inner_text().startswith("Trial ")
    words = shlex.split(panel.locator("pre").inner_text())
    net = read_net(f"{run}/{words[2]}")
    assert panel.locator("[data-part=layers] tr").count() == len(net.layers)
    found.page.locator("#explorer-map").focus()
    found.page.keyboard.press("Escape")
    assert panel.locator("h3").inner_text() == before


def test_the_slider_moves_by_keys_and_says_what_it_means(run, opened):
    found = opened()
    slider, panel = found.page.locator("#explorer-limit"), found.page.locator("#explorer-panel")
    told = found.page.locator("#explorer-told")
    limit = told.inner_text()
    slider.focus()
    found.page.keyboard.press("ArrowRight")
    other = told.inner_text()
    command = panel.locator("pre").inner_text()
    assert int(limit.replace(",", "")) < int(other.replace(",", ""))
    assert slider.get_attribute("aria-valuetext") == f"At most {other} parameters"
    assert read_net(f"{run}/{shlex.split(command)[2]}").parameters == int(other.replace(",", ""))


def test_keys_lead_through_the_table_of_trials(opened):
    found = opened()
    found.page.locator("#trial-table summary").focus()
    found.page.keyboard.press("Enter")
    found.until("document.getElementById('trial-rows').rows.length > 50")
    for _ in range(3):  # the table, its first trial, its second
        found.page.keyboard.press("Tab")
    found.page.keyboard.press("Enter")
    panel = found.page.locator("#trial-panel")
    panel.wait_for()
    assert panel.locator("h3").inner_text() == "Trial 2"
    row = found.page.locator("#trial-rows tr").nth(1)
    parameters = row.locator("td").nth(2).inner_text()
    assert panel.locator("[data-part=cost]").first.inner_text() == parameters


def test_of_many_trials_all_points_are_drawn_and_the_table_is_made_as_it_is_read(
    tmp_path, make, visit
):
    trials = make.some_trials(2600)
    count = len({one.architecture.key for one in trials if one.done})
    assert count > 1500
    found = visit(write_report(make.write_run(tmp_path, None, trials)).as_uri())
    found.until("document.getElementById('parameters').dataset.drawn === 'yes'")
    traces = found.page.locator("#parameters .scatterlayer .trace")
    drawn = [traces.nth(index).locator("path.point").count() for index in range(traces.count())]
    assert sum(drawn) == count + 2  # and a ring each around source and result
    found.page.locator("#trial-table summary").click()
    made = 0
    while made < count:
        made = min(made + 250, count)
        found.until(f"document.getElementById('trial-rows').rows.length === {made}")
        found.page.evaluate(
            f"document.getElementById('trial-rows').rows[{made - 1}].scrollIntoView()"
        )
    assert found.complaints == []


def test_keys_lead_over_the_map(opened):
    found = opened()
    panel = found.page.locator("#explorer-panel h3")
    found.page.locator("#explorer-map").focus()
    before = panel.inner_text()
    found.page.keyboard.press("ArrowRight")
    found.page.keyboard.press("Enter")
    after = panel.inner_text()
    found.page.keyboard.press("Tab")
    assert panel.inner_text() == after != before


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_saved_as_a_picture_that_needs_nothing_else(opened, figure):
    found = opened(width=390, scheme="dark")
    text = found.saved(figure, "svg")
    picture = ElementTree.fromstring(text)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert (picture.get("width"), int(picture.get("height")) > 150) == ("900", True)
    assert picture[0].text == found.page.locator(f"#{figure}").get_attribute("aria-label")
    assert "rgb(255, 255, 255)" in picture[1].get("style")  # of the ground
    assert "rgb(232, 234, 239)" not in text  # ink of the dark theme
    assert "var(" not in text
    assert found.complaints == []


@pytest.mark.parametrize("figure", FIGURES)
def test_the_values_of_a_figure_are_saved_as_a_table(opened, figure, make):
    text = opened().saved(figure, "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)
    heads = {
        "parameters": "series,trial,parameters,validation accuracy, trial recipe (%)",
        "macs": "series,trial,multiply-adds an image,validation accuracy, trial recipe (%)",
        "predictions": "series,trial,predicted before the training (%),measured, trial recipe (%),"
        "round",
        "best": "series,architectures trained,best accuracy so far (%)",
        "map": "series,trial,first axis (50 % of the spread),second axis (25 % of the spread),"
        "accuracy of the brief trial (%),parameters,limit on parameters",
        "stages": "series,wall time (s),stage",
    }
    assert ",".join(rows[0]) == heads[figure]
    done = {one.architecture.key: one for one in reversed(make.some_trials()) if one.done}
    if figure in ("parameters", "map"):
        sizes = sorted(int(row["parameters"]) for row in rows if row["trial"])
        assert sizes == sorted(one.architecture.parameters for one in done.values())
