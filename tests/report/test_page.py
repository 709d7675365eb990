import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from archpress.errors import StoreError
from archpress.report import write_report

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """The page's tags, its text by section, and what a checker of HTML would complain about."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.figures = [], [], [], {}
        self.section, self.sections = "top", {"top": ""}
        self.values = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "section":
            self.section = attributes["aria-labelledby"]
            self.sections[self.section] = ""
        self.values = attributes.get("id") if attributes.get("type") == "application/json" else None
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.values:
            self.figures[self.values] = json.loads(data)
            self.values = None
        elif not {"script", "style"} & set(self.open):
            self.sections[self.section] += data

    def text(self, section):
        return " ".join(self.sections[section].split())


def page_of(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, make):
    return make.write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(run):
    return page_of(run)


def rewritten(tmp_path, make, trials=None, **changes):
    return make.write_run(tmp_path / "run", make.result() | changes, trials)


def test_the_report_lies_in_the_run_folder(run):
    assert write_report(run) == run / "report.html"


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_plotly_is_in_the_page_once(run):
    text = write_report(run).read_text(encoding="utf-8")
    assert text.count("* plotly.js v") == 1
    assert len(text) < 6_000_000


def test_all_tags_are_closed_and_ids_are_unique(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_what_points_at_an_id_finds_it(page):
    for _, attributes in page.tags:
        target = attributes.get("aria-labelledby") or attributes.get("data-figure")
        target = target or attributes.get("data-copy") or attributes.get("href", "")[1:]
        assert not target or target in page.ids


def test_the_answer_comes_first(page, make):
    text = page.text("top")
    sentence = make.result()["sentence"]
    assert sentence in text.replace("\u00a0", " ")
    assert "Every limit is met" in text
    assert "✓ met – at most 93,000 parameters: 61,042" in text
    assert "✓ met – at most 1.00 points of accuracy lost: 0.30 points" in text
    assert "90.20 % ± 0.20n = 3 trainings" in text
    assert "n = 50 runs, batch 1, 1 thread, cpu" in text


def test_a_limit_that_is_not_met_is_said_so(tmp_path, make):
    limits = [{"name": "min_accuracy", "limit": 0.95, "value": 0.902, "met": False}]
    text = page_of(rewritten(tmp_path, make, met=False, limits=limits)).text("top")
    assert "Not every limit is met" in text
    assert "✗ not met – at least 95.00 % validation accuracy: 90.20 %" in text


def test_only_trials_of_this_runs_data_and_recipe_count(page, make):
    done = [trial for trial in make.some_trials() if trial.done]
    unique = {trial.architecture.key for trial in done}  # the store keeps the first of each
    assert page.text("trials").startswith(f"What was tried {len(unique)} architectures")


def test_trial_accuracies_are_kept_apart_from_final_ones(page):
    assert "not comparable" in page.text("trials")


def test_the_rank_correlation_has_its_n_and_interval(page):
    assert re.search(
        r"Kendall's tau 0\.\d\d \(95 % bootstrap interval 0\.\d\d to 0\.\d\d, n = \d+\)",
        page.text("predictions-section"),
    )


def test_both_nets_are_compared_layer_by_layer(page, make):
    text = page.text("layers")
    assert "conv 3×3, padding 1 → 256" in text
    assert f"{make.compressed.layer_macs[0]:,}" in text


def test_the_reasons_of_failures_are_told_and_escaped(page, run):
    assert "RuntimeError: loss is not finite" in page.text("work")
    assert "MemoryError: <script>x</script>" in page.text("work")
    assert "<script>x" not in (run / "report.html").read_text(encoding="utf-8")


def test_the_code_to_load_the_result_is_shown(page):
    assert "python network.py weights.pt" in page.text("load")
    assert "from network import load, preprocess" in page.text("load")


def test_versions_seed_and_recipes_are_shown(page):
    text = page.text("settings")
    for part in ("torch2.13.0", "seed0", "epochs320"):
        assert part in text.replace(" ", "")


def test_every_figure_is_there_for_both_themes_and_says_what_it_shows(page):
    names = {"parameters", "macs", "predictions", "best", "stages"}
    assert set(page.figures) == {f"{name}-values" for name in names}
    assert all(set(figure) == {"light", "dark"} for figure in page.figures.values())
    boxes = [attributes for _, attributes in page.tags if "data-figure" in attributes]
    assert all(box["role"] == "img" and len(box["aria-label"]) > 20 for box in boxes)


def test_every_table_has_a_caption_and_can_be_scrolled_by_keyboard(page):
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 5
    regions = [attributes for _, attributes in page.tags if attributes.get("role") == "region"]
    assert len(regions) == tags.count("table")
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


def test_there_is_one_main_heading_and_no_level_is_left_out(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= level + 1 for level, later in pairwise(levels))


def test_text_from_files_cannot_become_markup(tmp_path, make):
    evil = "</script><img src=http://example.org/x>"
    content = make.result()
    content["source"]["name"] = content["data"]["name"] = content["sentence"] = evil
    content["seconds"] = {evil: 1.0}
    content["versions"] = {evil: evil}
    trials = [make.trial(make.source, 0.8, origin=evil)]
    page = page_of(make.write_run(tmp_path / "run", content, trials))
    assert "img" not in {tag for tag, _ in page.tags}
    assert evil in page.text("top")


def test_the_values_of_a_figure_cannot_end_their_script(run):
    text = (run / "report.html").read_text(encoding="utf-8")
    values = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert len(values) == 5
    assert not any("<" in value for value in values)


def test_a_result_without_its_optional_parts_still_gives_a_report(tmp_path, make):
    content = make.result()
    needed = {"format", "version", "met", "sentence", "data", "recipes"}
    bare = {name: content[name] for name in needed}
    bare["data"] = content["data"] | {"test": None}
    bare["source"] = {
        name: content["source"][name]
        for name in ("name", "parameters", "macs", "peak_memory", "layers")
    }
    (tmp_path / "result.json").write_text(json.dumps(bare))
    page = page_of(tmp_path)
    assert page.figures == {}
    assert "not measured" in page.text("top")
    assert "No trial of this run ended with an accuracy." in page.text("trials")
    assert "no two architectures to compare" in page.text("layers")
    assert "not measured" in page.text("surrogate")
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"result.json", "report.html"}  # no empty store was made on the way


def test_no_reference_and_an_unmeasured_surrogate_are_said_so(tmp_path, make):
    surrogate = dict.fromkeys(make.result()["surrogate"])
    page = page_of(rewritten(tmp_path, make, reference=None, surrogate=surrogate))
    assert "No plain hand-made net was trained" in page.text("top")
    assert page.text("surrogate").count("not measured") == len(surrogate) - 1  # all but n


def test_a_run_that_predicted_nothing_says_so(tmp_path, make):
    trials = [make.trial(make.source, 0.8), make.trial(make.narrow(4, 4), 0.6, 1)]
    page = page_of(rewritten(tmp_path, make, trials))
    assert "No trial has a prediction" in page.text("predictions-section")
    assert "predictions-values" not in page.figures
    assert "The result was not trained under the trial recipe" in page.text("trials")


def test_a_source_without_a_trial_is_a_line_at_its_cost(tmp_path, make):
    page = page_of(rewritten(tmp_path, make, [make.trial(make.narrow(4), 0.5)]))
    layout = page.figures["macs-values"]["light"]["layout"]
    assert [line["x0"] for line in layout["shapes"]] == [make.source.macs]
    assert [line["text"] for line in layout["annotations"]] == ["source"]
    assert "only its costs are marked" in page.text("trials")


def test_a_run_in_which_every_trial_failed_says_so(tmp_path, make):
    trials = [make.trial(make.source, None), make.trial(make.narrow(4), None, 1)]
    page = page_of(rewritten(tmp_path, make, trials))
    assert set(page.figures) == {"stages-values"}
    assert "2RuntimeError: loss is not finite" in page.text("work")


def test_one_training_is_shown_without_a_spread(tmp_path, make):
    source = make.result()["source"] | {"test_accuracy": {"mean": 0.9, "std": None, "n": 1}}
    text = page_of(rewritten(tmp_path, make, source=source)).text("top")
    assert "90.00 %n = 1 training, so no spread" in text


def test_a_folder_that_is_no_finished_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not finished"):
        write_report(tmp_path)
