"""What the documents show is what the files hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def marked(document: str, mark: str) -> str:
    text = (ROOT / document).read_text(encoding="utf-8")
    match = re.search(rf"<!-- {re.escape(mark)} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert match, f"{document} has no place marked {mark}"
    return match[1].strip()


@pytest.mark.parametrize("name", ["my_method.py", "my_table.yaml"])
def test_contributing_shows_the_tested_example(name: str) -> None:
    path = ROOT / "tests/examples" / name
    language = "python" if path.suffix == ".py" else "yaml"
    assert marked("CONTRIBUTING.md", f"example tests/examples/{name}") == f"```{language}\n{path.read_text(encoding='utf-8').strip()}\n```"


def test_readme_shows_the_committed_table() -> None:
    from tlda.bench.grid import markdown
    from tlda.bench.render import brief
    from tlda.bench.results import read_results
    from tlda.bench.table import load_table

    table = load_table(ROOT / "benchmarks/tables/digits.yaml")
    text = markdown(brief(table, read_results(table.results, table.cells())))
    assert marked("README.md", "table digits") == text.split("\n", 1)[1].strip()


def test_the_page_of_the_methods_is_what_docstrings_and_results_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/methods"))
    import describe  # type: ignore[import-not-found]

    assert (ROOT / "docs/methods.md").read_text(encoding="utf-8") == describe.page()


def test_every_committed_table_is_what_its_result_files_give() -> None:
    from tlda.bench.grid import latex, markdown, page
    from tlda.bench.render import csv_text, document
    from tlda.bench.results import read_results
    from tlda.bench.table import load_table

    for path in sorted((ROOT / "benchmarks/tables").glob("*.yaml")):
        table = load_table(path)
        if (table.results / "table.md").exists() and path.stem != "quickstart":
            results = read_results(table.results, table.cells())
            shown = document(table, results)
            for ending, text in {"md": markdown(shown), "tex": latex(shown), "html": page(shown), "csv": csv_text(table, results)}.items():
                assert (table.results / f"table.{ending}").read_text(encoding="utf-8") == text
