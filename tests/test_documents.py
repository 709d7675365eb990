"""What README, docs/ and examples/ tell a user to type works.

All command lines are parsed, so a wrong option, a missing argument or an unknown name fails, and
the short ones truly run in a folder that holds a run: `RUN`. The others are parsed only:

- compress, compare, reproduce, analyse, train, evaluate: they train nets, for a minute up to days,
  or time them first (`--plan`); tests/cli/test_commands.py, tests/comparison/test_command.py and
  tests/reproduction/ run them on small images.
- fit, report: they need a run that ended; tests/cli/test_commands.py has one.
- profile: times nets for minutes; tests/cli/test_profile.py runs it with few.
- count: counts for half a minute; tests/cli/test_count.py runs it on less.
- watch: serves until Ctrl-C; tests/cli/test_watch.py starts and ends it.
- merge: needs stores of several runs; tests/store/test_merging.py makes some.
- inspect and diff of mymodel.py and mymodel.onnx, table of nets.csv: files that only the user has.
- export to onnx-int8: of a run on other images than the one here; tests/shipping/ writes it.
"""

import ast
import importlib
import inspect
import re
import shlex
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

import archpress as ap
from archpress.architecture.export import Preprocessing, to_source
from archpress.cli import app, main
from archpress.cli.amounts import BYTES, COUNTS, MILLISECONDS, read_amount

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}.*\n(?:(?:\n)*^ {4}.*\n)*", re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
COMMANDS = typer.main.get_command(app).commands
UNITS = {
    "--max-parameters": COUNTS,
    "--max-macs": COUNTS,
    "--max-peak-memory": BYTES,
    "--max-file-size": BYTES,
    "--max-latency": MILLISECONDS,
}
RUN = re.compile(
    r"zoo|data|inspect conv7|diff runs/\S+ runs/\S+|trials runs/.*|table examples/.* --seeds 5"
    r"|export runs/demo --to (onnx|torch-export)"
)
PARSED_ONLY = re.compile(
    r"(compress|compare|reproduce|analyse|train|evaluate|fit|report|profile|count|watch|merge) .*"
    r"|(inspect|diff) mymodel\S+ .*|table nets\.csv .*|table examples/.* --seeds 10"
    r"|export runs/demo --to onnx-int8 .*"
)

# --- what the pages say ---


@dataclass(frozen=True)
class Snippet:
    """A command, an option or Python, and the page that has it."""

    page: str
    text: str

    @property
    def words(self):
        """Of a command, without `archpress` and the comment."""
        return shlex.split(self.text, comments=True)[1:]

    def __str__(self):
        return f"{self.page}: {self.text}"


def texts():
    for page in PAGES:
        yield page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
    for path in EXAMPLES:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        yield path.relative_to(ROOT).as_posix(), (docstring or "") + "\n"


def blocks():
    """Page, language and text of fenced blocks, and of indented ones, which have no language."""
    for page, text in texts():
        yield from ((page, one[1], one[2]) for one in FENCE.finditer(text))
        rest = FENCE.sub("\n", text)
        yield from ((page, "", textwrap.dedent(one[0])) for one in INDENTED.finditer(rest))


def lines(start):
    """Lines of shell blocks that begin so; continued lines are one."""
    return [
        Snippet(page, " ".join(line.split()))
        for page, language, block in blocks()
        if language in ("", "sh", "bash", "console")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith(start)
    ]


def spans(pattern):
    """What stands between backticks in running text and matches."""
    return [
        Snippet(page, found)
        for page, text in texts()
        for one in SPAN.finditer(INDENTED.sub("\n", FENCE.sub("\n", text)))
        if re.match(pattern, found := " ".join(one[1].split()))
    ]


def of_help():
    """The command lines in the help of the commands."""
    for name, command in COMMANDS.items():
        for paragraph in inspect.cleandoc(command.callback.__doc__).split("\n\n"):
            text = " ".join(paragraph.split())
            if found := re.fullmatch(r"(?:\*\*Examples?:?\*\* )?(archpress .*)", text):
                for one in re.split(r" (?=archpress )", found[1]):
                    yield Snippet(f"archpress {name} --help", one)


LINES = [*lines("archpress "), *of_help()]
PYTHON = [
    Snippet(page, block)
    for page, language, block in blocks()
    if language == "python" or (not language and re.match("import |from ", block))
]

# --- commands ---


def parse(words):
    """What a command makes of its arguments, without running it."""
    return COMMANDS[words[0]].make_context(words[0], words[1:]).params


def options_of(command):
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def test_the_pages_have_commands_of_every_kind():
    """Else the reading of the pages is broken, and all tests below test nothing."""
    assert len(LINES) > 70
    assert {one.words[0] for one in LINES} == set(COMMANDS)
    assert {"README.md", "docs/quickstart.md", "examples/make_table.py"} < {o.page for o in LINES}
    assert len(PYTHON) > 5
    assert "docs/extending.md" in {one.page for one in PYTHON}


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_command_line_is_understood(line):
    from archpress.architecture import ZOO
    from archpress.comparison import contestants
    from archpress.data import NAMES

    said = parse(line.words)
    for option, units in UNITS.items():
        if option in line.words:
            read_amount(line.words[line.words.index(option) + 1], option, units)
    if line.words[0] == "compare":
        assert set(said["arms"].split(",")) <= set(contestants())
    known = {"net": ZOO, "data": NAMES, "a": ZOO, "b": ZOO}
    for name, names in known.items():
        given = said.get(name)
        assert given is None or given in names or re.search("[./]", str(given)), given


@pytest.mark.parametrize(
    "line",
    [
        "compress conv7 --data digits --run r --max-parameter 93",
        "compress conv7 --data digits",
        "trials runs/demo --sort size",
        "zoo conv7",
    ],
)
def test_a_wrong_line_is_not_understood(line):
    with pytest.raises(Exception, match=r"No such option|Missing|is not one of|unexpected"):
        parse(line.split())


@pytest.mark.parametrize("mentioned", spans("archpress "), ids=str)
def test_a_command_in_running_text_exists_with_its_options(mentioned):
    name, *others = mentioned.words
    assert {word for word in others if word.startswith("--")} <= options_of(COMMANDS[name])


@pytest.mark.parametrize("mentioned", spans("--"), ids=str)
def test_an_option_in_running_text_exists(mentioned):
    known = {"--help"}.union(*map(options_of, COMMANDS.values()))
    given = {word for word in mentioned.text.split() if word.startswith("--")}
    assert given <= known


@pytest.mark.parametrize("line", [*lines("make "), *lines("python ")], ids=str)
def test_targets_and_programs_exist(line):
    program, what, *_ = shlex.split(line.text, comments=True)
    if program == "make":
        assert re.search(rf"^{what}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        assert (ROOT / what).is_file() or what == "runs/demo/network.py"


def test_every_line_is_run_or_parsed_only_for_a_reason():
    for line in LINES:
        text = shlex.join(line.words)
        assert bool(RUN.fullmatch(text)) != bool(PARSED_ONLY.fullmatch(text)), text


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder like that of a user who has run archpress, at runs/demo and runs/first."""
    from archpress.compression import train_to_folder
    from archpress.data import load_data
    from archpress.evaluation import Candidate, SerialEvaluator, final, quick
    from archpress.store import Store, evaluate_once

    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(ROOT / "examples", folder / "examples")
    images, net = load_data("digits", max_train=300), ap.named("tiny", (1, 8, 8))
    demo = folder / "runs" / "demo"
    train_to_folder(net, images, final(epochs=1), demo, seed=0)
    (demo / "source.json").write_text(ap.named("plain6", (1, 8, 8)).to_json())
    with Store(demo / "trials.db") as store:
        recipe = quick(epochs=1, train_images=100, spare_images=0)
        evaluate_once(SerialEvaluator(images, recipe), store, [Candidate(net, "edit")], seed=0)
    shutil.copytree(demo, folder / "runs" / "first")
    return folder


def runnable():
    texts = {shlex.join(line.words) for line in LINES}
    return sorted(text for text in texts if RUN.fullmatch(text))


@pytest.mark.slow
@pytest.mark.parametrize("text", runnable())
def test_a_short_command_runs(text, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(text))
    captured = capsys.readouterr()
    assert stopped.value.code == 0, captured.err
    assert captured.out.strip()


@pytest.mark.slow
def test_the_network_of_a_run_is_a_program(place):
    import subprocess
    import sys

    line = next(one for one in lines("python ") if "network.py" in one.text)
    words = [sys.executable, "-I", *shlex.split(line.text)[1:]]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- Python ---


def resolved(path):
    """The object of a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def check_names(tree):
    """What is imported exists, `ap.` names are public, and calls of them have no other keywords."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for one in names:
                    importlib.import_module(one.name)
            case ast.ImportFrom(module="network", names=names):  # as a run writes it
                written: dict[str, object] = {}
                preprocessing = Preprocessing((0.5,), (0.25,), ("cat", "dog"))
                exec(to_source(ap.named("tiny", classes=2), preprocessing), written)
                assert {one.name for one in names} <= written.keys()
            case ast.ImportFrom(module=str(module), names=names):
                for one in names:
                    assert hasattr(importlib.import_module(module), one.name), one.name
            case ast.Call(func=ast.Attribute(ast.Name("ap"), name), keywords=keywords):
                known = inspect.signature(getattr(ap, name)).parameters
                assert {one.arg for one in keywords} <= set(known), name
            case ast.Attribute(ast.Name("ap"), name):
                assert name in ap.__all__


@pytest.mark.parametrize("block", PYTHON, ids=lambda one: one.page)
def test_python_compiles_and_its_names_exist(block):
    compile(block.text, block.page, "exec")
    check_names(ast.parse(block.text))


@pytest.mark.parametrize("block", spans(r"ap\.\w+"), ids=str)
def test_python_in_running_text_has_names_that_exist(block):
    check_names(ast.parse(block.text))


@pytest.mark.parametrize("block", spans(r"archpress\.[\w.]+$"), ids=str)
def test_a_path_in_running_text_exists(block):
    try:
        importlib.import_module(block.text)
    except ImportError:
        resolved(block.text)


def test_a_wrong_name_is_found():
    for wrong in ("ap.compres(1)", "ap.Limits(max_parameter=1)", "from torch import nm"):
        with pytest.raises((AssertionError, AttributeError)):
            check_names(ast.parse(wrong))


def test_the_python_page_has_every_public_name_once():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = [resolved(path) for path in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]
    public = [getattr(ap, name) for name in ap.__all__ if name != "__version__"]
    assert len(shown) == len(public)
    assert all(any(one is other for other in shown) for one in public)


# --- the site ---


def test_every_page_is_in_the_site_and_every_link_leads_somewhere():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES:
        if page.parent.name == "docs":
            assert f": {page.name}\n" in nav, page.name
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_the_site_asks_nobody_for_fonts():
    assert "  font: false" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
