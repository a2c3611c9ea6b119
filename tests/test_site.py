"""What the site's pages are made of."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from generator import documents, figures, markup, tables  # noqa: E402


def test_a_docstring_becomes_markdown() -> None:
    pytest.importorskip("latex2mathml", reason="the extra 'docs' is not installed")
    doc = "The gap of :func:`~tlda.mmd` and ``x``.\n\n.. math:: \\|a - b\\|^2\n\nArgs:\n    x: it.\n"
    assert list(markup.equations(doc)) == ["\\|a - b\\|^2"]
    text = markup.markdown(doc)
    assert text.startswith("The gap of `tlda.mmd` and `x`.")
    assert re.search(r'<div class="equation".*<math .*<msup>.*</math></div>\n\nArgs:', text)


def test_an_equation_may_stand_below_its_directive() -> None:
    assert list(markup.equations("It is\n\n.. math::\n    a +\n    b\n\nMore.")) == ["a + b"]


def test_a_table_of_markdown_escapes_bars_and_is_nothing_without_rows() -> None:
    assert markup.grid(["a"], []) == ""
    assert markup.grid(["a", "b"], [["x|y", "z"]]) == "| a | b |\n| --- | --- |\n| x\\|y | z |\n"


@pytest.mark.slow
def test_a_page_of_a_table_shows_what_is_committed_and_plots_its_averages() -> None:
    page = tables.page("quickstart")
    assert (ROOT / "benchmarks/results/quickstart/table.md").read_text(encoding="utf-8").split("\n", 1)[1].strip() in page
    assert page.count("<circle") == 4
    assert [(table, line.label) for table, line in tables.rows_of("MCC") if table == "quickstart"] == [("quickstart", "MCC")]


@pytest.mark.parametrize("name", list(figures.FIGURES))
def test_a_figure_is_one_block_without_blank_lines(name: str) -> None:
    drawn = figures.figure(name)
    assert drawn.startswith("<figure") and "\n" not in drawn  # noqa: PT018
    assert f"<!-- figure {name} -->" in "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/concepts").glob("*.md"))


def test_how_to_cite_is_bibtex() -> None:
    page = documents.cite(
        {"message": "Cite it.", "title": "T", "version": "1", "license": "MIT", "authors": [{"name": "A"}, {"name": "B"}]}
    )
    assert "  author = {{A and B}},\n  version = {{1}},\n" in page


def test_a_place_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"README\.md has no place marked 'nowhere'"):
        documents.marked("README.md", "nowhere")


def test_a_notebook_is_a_page_of_texts_and_code() -> None:
    page = documents.notebook("examples/first_run.ipynb")
    assert page.startswith("# A first run")
    assert page.count("```python") == sum(
        cell["cell_type"] == "code" for cell in json.loads((ROOT / "examples/first_run.ipynb").read_text())["cells"]
    )


def test_every_loss_has_an_equation_and_says_what_each_option_is() -> None:
    from generator import classes

    losses = classes.of_kind("losses")
    assert len(losses) > 20
    assert [name for name, cls in losses.items() if not classes.all_equations(cls)] == []
    unsaid = [
        f"{name}.{option}" for name, cls in losses.items() for option, _, said in classes.describe.options(cls, classes.Loss) if not said
    ]
    assert unsaid == []


def test_a_method_has_the_equation_of_its_loss_alone() -> None:
    from generator import classes

    methods = classes.of_kind("methods")
    assert list(classes.all_equations(methods["MinEnt"]).values()) == ["entropy"]
    assert list(classes.all_equations(methods["MCD"]).values()) == ["classifier_discrepancy"]


def test_links_lead_to_pages_and_copies() -> None:
    pytest.importorskip("mkdocs", reason="the extra 'docs' is not installed")
    from generator import hook

    assert hook.address("benchmarks/results/digits/table.md") == "tables/digits.md"
    assert hook.address("benchmarks/speed/README.md") == "measurements/speed.md"
    assert hook.address("docs/concepts/batches.md") == "concepts/batches.md"
    assert hook.address("experiments/method/dann.yaml") == "files/experiments/method/dann.yaml"


def test_the_files_that_guides_include_are_there() -> None:
    lines = [line for page in (ROOT / "docs").rglob("*.md") for line in page.read_text(encoding="utf-8").splitlines() if "--8" in line]
    assert len(lines) >= 9
    for line in lines:
        included = re.fullmatch(r'--8<-- "(.+)"', line)  # ruff once made `--8 < --` of it, which includes nothing
        assert included, line
        assert (ROOT / included[1]).is_file(), line
