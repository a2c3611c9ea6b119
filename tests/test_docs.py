"""What the documents show is what the files hold."""

from __future__ import annotations

import json
import re
from functools import reduce
from pathlib import Path

import pytest
import yaml

from tests.conftest import QUICK, Tlda
from tlda import __version__

ROOT = Path(__file__).parents[1]


def marked(document: str, mark: str) -> str:
    text = (ROOT / document).read_text(encoding="utf-8")
    match = re.search(rf"<!-- {re.escape(mark)} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert match, f"{document} has no place marked {mark}"
    return match[1].strip()


@pytest.mark.parametrize(
    "name",
    [
        "examples/project/my_method.py",
        "examples/project/my_table.yaml",
        "tests/examples/my_pretraining.py",
        "tests/examples/my_task.py",
        "tests/examples/my_task_table.yaml",
    ],
)
def test_contributing_shows_the_tested_example(name: str) -> None:
    path = ROOT / name
    language = "python" if path.suffix == ".py" else "yaml"
    assert marked("CONTRIBUTING.md", f"example {name}") == f"```{language}\n{path.read_text(encoding='utf-8').strip()}\n```"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quickstart", "digits"])
def test_readme_shows_the_committed_table(name: str) -> None:
    from tlda.bench.render import brief
    from tlda.bench.results import read_results
    from tlda.bench.table import load_table
    from tlda.documents.grid import markdown

    table = load_table(ROOT / f"benchmarks/tables/{name}.yaml")
    text = markdown(brief(table, read_results(table.results, table.cells())))
    assert marked("README.md", f"table {name}") == text.split("\n", 1)[1].strip()


@pytest.mark.slow
def test_the_page_of_the_methods_is_what_docstrings_and_results_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/methods"))
    import describe

    assert (ROOT / "docs/methods.md").read_text(encoding="utf-8") == describe.page()


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks/tables").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_committed_table_can_run_and_is_what_its_result_files_give(path: Path) -> None:
    from tlda.bench.render import csv_text, document
    from tlda.bench.results import read_results
    from tlda.bench.table import load_table
    from tlda.bench.tune import with_tuned
    from tlda.documents.grid import latex, markdown, page

    table = load_table(path)
    cells = table.cells()
    # Tasks that differ in their metric alone may share a run, and a row that others start from may have one for all of them.
    assert len({(cell.key, cell.metric, cell.leads and cell.task) for cell in cells}) == len(table.methods) * len(table.tasks) * len(
        table.seeds
    )
    table = with_tuned(table, table.results)
    if (table.results / "table.md").exists():
        results = read_results(table.results, table.cells())
        shown = document(table, results)
        for ending, text in {"md": markdown(shown), "tex": latex(shown), "html": page(shown), "csv": csv_text(table, results)}.items():
            assert (table.results / f"table.{ending}").read_text(encoding="utf-8") == text


LINKED = re.compile(r"\[(?P<shown>[^\]]*)\]\((?P<path>[^)#\s]+\.json)#(?P<key>[^)\s]+)\)")
MEASURED = re.compile(
    r"(?<!Python )(?<![\w.])\d[\d,]*(?:\.\d+|(?:\.\d+)?\s?(?:%|×|percent\b|points?\b|times\b|ms\b|s\b|seconds?\b|minutes?\b|[MG]B\b))"
)


def prose(text: str) -> str:
    """What someone typed: neither code, nor what a command filled in, nor versions."""
    for generated in (r"<!-- (?:table|example) .*?<!-- end -->", r"```.*?```", r"`[^`]*`", r"\d+\.\d+\.\d+"):
        text = re.sub(generated, "", text, flags=re.DOTALL)
    return text


def false_numbers(text: str, folder: Path) -> list[str]:
    """The measured numbers of a text that no result file is behind: a measured number links to its file, and to the place in it."""

    def wrong(link: re.Match[str]) -> bool:
        try:
            value = reduce(
                lambda at, key: at[int(key) if isinstance(at, list) else key],
                link["key"].split("."),
                json.loads((folder / link["path"]).read_text()),
            )
        except (OSError, LookupError):
            return True
        number = re.search(r"-?\d[\d,]*(\.\d+)?", link["shown"])
        assert number, link[0]
        return f"{value:,.{len((number[1] or '.')[1:])}f}".replace(",", "") != number[0].replace(",", "")

    text = prose(text)
    return [link[0] for link in LINKED.finditer(text) if wrong(link)] + [found[0] for found in MEASURED.finditer(LINKED.sub("", text))]


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "methods.md"),
    ],
)
def test_a_measured_number_in_prose_has_a_result_file_behind_it(document: str) -> None:
    assert false_numbers((ROOT / document).read_text(encoding="utf-8"), (ROOT / document).parent) == []


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (__version__, "MIT")


def test_a_number_without_a_result_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"dann": {"gain": [1.26, 1200]}}')
    true = (
        "A gain of [1.3 points](r.json#dann.gain.0), [1,200 cells](r.json#dann.gain.1), Python 3.11, `lr 0.1`, in 2026.\n```\n91.3 %\n```\n"
    )
    assert false_numbers(true, tmp_path) == []
    for false in (
        "It gains 16.0.",
        "in 12 s",
        "[1.4](r.json#dann.gain.0)",
        "[1.3](r.json#dann.loss)",
        "[1.3](none.json#dann)",
        "twice: 2 ×",
    ):
        assert len(false_numbers(false, tmp_path)) == 1, false


@pytest.mark.slow
def test_the_sweep_of_the_readme_runs_as_its_agent_calls_it(tlda: Tlda) -> None:
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils", reason="wandb is not installed")
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if "method: random" in block)
    sweep = yaml.safe_load(block)
    program, *command = (str(ROOT / word) if word.startswith("experiments/") else word for word in sweep["command"])
    flags = utils.create_sweep_command_args({"args": {name: {"value": 0.5} for name in sweep["parameters"]}})["args"]
    assert (program, command.pop()) == ("tlda", "${args}")
    assert tlda(*command, *flags, *QUICK).code == 0
    (written,) = Path("runs").rglob("config.yaml")
    assert yaml.safe_load(written.read_text())["model"]["init_args"]["trade_off"] == 0.5
    (metrics,) = Path("runs").rglob("metrics.csv")
    assert sweep["metric"]["name"] in metrics.read_text()


def test_the_form_for_faults_asks_for_what_is_needed_and_hosted_ci_runs_what_a_landing_runs() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/fault.yml").read_text(encoding="utf-8"))
    asked = {part["attributes"]["label"] for part in form["body"] if part["validations"]["required"]}
    assert {"config.yaml", "tlda doctor"} <= asked
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert [step["run"] for step in ci["jobs"]["run"]["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci/run").is_file()
