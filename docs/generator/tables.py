"""The pages of the committed tables, with their plots, and which class each row is of."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tlda.bench.table import Table, load_table
from tlda.documents.svg import Axis, axis, text

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks/results"
LINE, LETTER, CHART = 20, 7.2, 400
"""The height of a row of a plot, and the widths of a letter of its names and of its chart."""


class Line(NamedTuple):
    """A row of a committed table: its method, the table's label of it, and its average over the transfer tasks."""

    method: str
    label: str
    mean: float
    std: float
    oracle: bool


@functools.cache
def tables() -> dict[str, Table]:
    """The tables that have committed results, by name."""
    paths = sorted((ROOT / "benchmarks/tables").glob("*.yaml"))
    return {path.stem: load_table(path) for path in paths if (RESULTS / path.stem / "table.md").exists()}


@functools.cache
def averages(name: str) -> tuple[Line, ...]:
    """The finished rows of a table in its order, from the committed CSV."""
    with (RESULTS / name / "table.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == "average" and row["mean"]]
    return tuple(
        Line(row["method"], label(tables()[name], row["method"]), float(row["mean"]), float(row["std"] or 0), row["oracle"] == "True")
        for row in rows
    )


def label(table: Table, method: str) -> str:
    """The printed name of a row; a search adds rows to those that the table declares."""
    searched = method.removesuffix("_tuned")
    return table.label(method) if method in table.methods else f"{table.label(searched)}, tuned"


def class_of(table: Table, method: str) -> str:
    """The class of a row's method; empty where the row adds a loss, or is of a class that the base names."""
    model = table.methods.get(method, table.methods.get(method.removesuffix("_tuned"), {})).get("model", {})
    return "" if "plus" in model.get("init_args", {}) else str(model.get("class_path", ""))


def data_of(table: Table) -> set[str]:
    """The classes of the data of a table."""
    return {
        str(part["data"]["class_path"]).rpartition(".")[2]
        for part in (table.base, *table.tasks.values(), *table.methods.values())
        if "class_path" in (part.get("data") or {})
    }


def rows_of(class_path: str) -> Iterator[tuple[str, Line]]:
    """The rows of all tables whose method is ``class_path`` without a further loss, each with the name of its table."""
    for name, table in tables().items():
        yield from ((name, line) for line in averages(name) if class_of(table, line.method) == class_path)


def plot(name: str) -> str:
    """The averages of a table as dots with their standard deviations, in the page's own colours."""
    lines = averages(name)
    if len(lines) < 2:
        return ""
    ends = [end for line in lines for end in (line.mean - line.std, line.mean + line.std)]
    left = LETTER * max(len(line.label) for line in lines) + 24
    x, height = axis(ends, left, left + CHART), LINE * (len(lines) + 2)
    marks = [_mark(line, x, left - 12, LINE * (number + 1)) for number, line in enumerate(lines)]
    base = next((line.mean for line in lines if line.method == tables()[name].baseline), None)
    if base is not None:
        marks.insert(0, f'<line class="base" x1="{x(base)}" x2="{x(base)}" y1="6" y2="{height - 1.4 * LINE:g}"/>')
    marks += [text(x(value), height - 8, f"{value:.1f}", "middle") for value in (min(ends), (min(ends) + max(ends)) / 2, max(ends))]
    caption = "The average of each row, ± the standard deviation over seeds. Dashed: the baseline. Hollow: an oracle."
    drawn = f'<svg viewBox="0 0 {left + CHART + 30:g} {height}" role="img" aria-label="{caption}">{"".join(marks)}</svg>'
    return f'<figure class="plot" markdown="0">{drawn}<figcaption>{caption}</figcaption></figure>'


def _mark(line: Line, x: Axis, names: float, y: float) -> str:
    """A row of a plot at the height ``y``: its name up to ``names``, a line for the deviation, a dot for the mean."""
    low, mid, high = (x(value) for value in (line.mean - line.std, line.mean, line.mean + line.std))
    kind = ' class="oracle"' if line.oracle else ""
    drawn = f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}"/><circle{kind} cx="{mid}" cy="{y}" r="4"/>'
    return text(names, y + 4, line.label, "end") + drawn


def path(name: str) -> str:
    """The committed page of a table, from the root of the repository."""
    return f"benchmarks/results/{name}/table.md"


def page(name: str) -> str:
    """The page of a table: what is committed, its plot, its pictures, and the command that makes it."""
    title, rest = (ROOT / path(name)).read_text(encoding="utf-8").split("\n", 1)
    pictures = [file for file in sorted((RESULTS / name).iterdir()) if file.suffix in (".svg", ".png")]
    images = "\n\n".join(f"![{file.stem}]({file.name})" for file in pictures)
    files = f"The [table](../../tables/{name}.yaml), and its numbers as [CSV](table.csv), [LaTeX](table.tex) and [one page](table.html)."
    return f"---\nhide: [toc]\n---\n\n{title}\n\n`tlda bench {name}` makes it. {files}\n\n{rest.strip()}\n\n{plot(name)}\n\n{images}\n"
