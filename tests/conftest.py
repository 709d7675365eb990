"""Small real images, for runs that are brief; a browser, for pages."""

import importlib.util
import os
import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry

from archpress.compression import explorer, timing
from archpress.data import ImageData, load_data
from archpress.data.images import Split
from archpress.evaluation import Pool, SerialEvaluator, Trial, TrialState, pool, pools
from archpress.evaluation.job import longest_first


def part(split, count):
    return Split(split.images[:count], split.labels[:count])


@pytest.fixture(scope="session")
def images():
    full = load_data("fashion-mnist-sample", max_train=300)
    test = part(full.read_test(), 100)
    return ImageData.of(
        "small",
        full.train,
        part(full.validation, 100),
        full.class_names,
        test_reader=lambda: test,
        test_identity="the first 100",
    )


# --- what a run as brief as those of tests would spend most of its time on ---


class SerialPool(SerialEvaluator, Pool):
    """A pool without processes."""

    def run(self, jobs):
        yield from super().run(longest_first(jobs, self.data))

    def close(self):
        pass


def pool_of(data, recipe, *, workers, device, **limits):
    """A pool without processes where one worker is asked for; no trial here comes near a limit."""
    if workers not in (None, 1):
        return pool.ProcessPool(data, recipe, workers=workers, device=device, **limits)
    return SerialPool(data, recipe, device=device)


@pytest.fixture(scope="module", autouse=True)
def brief_runs(request):
    """Runs in this process train in it too, time nets briefly and end with few other limits.

    As many test processes as there are cores have work for all of them.
    """
    name = request.node.path.stem
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pool, "cores", lambda: 1)
        patched.setattr(pools, "ProcessPool", pool_of)
        if name not in ("test_timing", "test_profile"):
            for how in ("BRIEFLY", "CAREFULLY", "FINALLY"):
                patched.setattr(timing, how, (0.001, 1))
        if "explor" not in name:
            patched.setattr(explorer, "COUNT", 4)
        yield


@pytest.fixture(scope="session", autouse=True)
def operators_of_onnx_once():
    """For each file torch reads the source of all operators again, a second and a half."""
    with pytest.MonkeyPatch.context() as patched:
        once = staticmethod(cache(ONNXRegistry.from_torchlib))
        patched.setattr(ONNXRegistry, "from_torchlib", once)
        yield


# --- pages in a browser ---

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass
class Opened:
    """A page, what it asked for, and what it complained about."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def until(self, condition):
        """Waits for an expression; Playwright's own waiting is what the page's policy forbids."""
        for _ in range(300):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never: {condition}")

    def audit(self):
        """Serious and critical findings of axe-core."""
        found = importlib.util.find_spec("axe_playwright_python")
        if found is None:
            pytest.skip("needs pip install 'archpress[browser]'")
        self.page.evaluate(Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
        results = self.page.evaluate("axe.run()")
        return [
            (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]])
            for one in results["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def saved(self, figure, form, button="button[data-of={figure}]"):
        """What the button for a form gives when it is pressed."""
        where = f"{button.format(figure=figure)}[data-save={form}]"
        self.page.locator(where).focus()
        with self.page.expect_download() as download:
            self.page.keyboard.press("Enter")
        assert download.value.suggested_filename == f"{figure}.{form}"
        return download.value.path().read_bytes().decode()

    @property
    def sideways(self):
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.fixture(scope="session")
def chromium():
    """Chromium without a window."""
    driving = pytest.importorskip(
        "playwright.sync_api", reason="needs pip install 'archpress[browser]'"
    )
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("needs chromium")
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with driving.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=as_root)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens an address in a window of its own."""
    contexts = []

    def opened(address, width=1600, scheme="light"):
        viewport = {"width": width, "height": 900}
        contexts.append(chromium.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        found = Opened(page)
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda message: found.complaints.append(message.text))
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        page.goto(address)
        return found

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def wider_is_better():
    """Trials in which the size is the accuracy, for want of a training."""

    def evaluate(candidates):
        for one in candidates:
            accuracy = float(1 - np.exp(-one.architecture.parameters / 1000))
            yield Trial(
                one.architecture,
                "data",
                "recipe",
                0,
                TrialState.DONE,
                {"accuracy": accuracy},
                origin=one.origin,
                round=one.round,
            )

    return evaluate
