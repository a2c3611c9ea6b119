"""A table as markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from tlda.bench.results import Results
from tlda.bench.summary import Entry, Row, summarize
from tlda.bench.table import Table
from tlda.errors import UserError


def markdown(table: Table, results: Results) -> str:
    """The table for people: mean ± std in percent, the best of each column in bold, what is missing marked."""
    rows = summarize(table, results)
    columns = _columns(table)
    lines = [
        f"# {table.title}",
        "",
        *_protocol(table, results),
        "",
        f"| method | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    best = {name: _best(rows, entry) for name, entry in columns.items()}
    for row in rows:
        cells = (_bold(str(entry(row)), row is best[name]) for name, entry in columns.items())
        lines.append(f"| {table.label(row.method)}{' (oracle)' if row.oracle else ''} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_published(table), ""])


def _columns(table: Table) -> dict[str, Callable[[Row], Entry]]:
    def of_task(task: str) -> Callable[[Row], Entry]:
        return lambda row: row.tasks[task]

    columns: dict[str, Callable[[Row], Entry]] = {table.label(task): of_task(task) for task in table.tasks}
    if table.select_by:
        # Before the accuracies, which nothing is selected by.
        columns = {table.select_by: lambda row: row.selection} | columns
    return columns | {"average": lambda row: row.average, f"gain over {table.label(table.baseline)}": lambda row: row.gain}


def _best(rows: list[Row], entry: Callable[[Row], Entry]) -> Row | None:
    """The best finished row that no target label made."""
    honest = [row for row in rows if not row.oracle and entry(row).values and entry(row).complete]
    return max(honest, key=lambda row: entry(row).mean) if len(honest) > 1 else None


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _protocol(table: Table, results: Results) -> list[str]:
    versions = sorted({f"torch {r['versions']['torch'].split('+')[0]}" for r in results.values()})
    return [
        f"Accuracy on the target in percent, mean ± standard deviation over seeds {', '.join(map(str, table.seeds))}; "
        "after the last epoch, nothing selected. (k/n): only k of n seeds are done. An oracle has seen target labels and is never bold.",
        "",
        f"{table.protocol} Measured with {', '.join(versions) or 'nothing yet'}.".strip(),
    ]


def _published(table: Table) -> list[str]:
    """The published numbers, with their sources; they are another protocol's and nothing is subtracted from them."""
    entries = [e for e in table.published.get("numbers", []) if e["task"] in table.tasks and e["method"] in table.methods]
    if not entries:
        return []
    lines = ["", "Published numbers, for orientation: the protocols differ.", ""]
    if differs := table.published.get("protocol_differs"):
        lines += [" ".join(differs.split()), ""]
    names = [table.label(task) for task in table.tasks]
    lines += [f"| method | {' | '.join(names)} | source |", "|---" * (len(names) + 2) + "|"]
    for (method, source), found in _by_source(entries).items():
        values = [str(found.get(task, "–")) for task in table.tasks]
        lines.append(f"| {table.label(method)} | {' | '.join(values)} | {source} |")
    return lines


def _by_source(entries: list[dict[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    grouped: dict[tuple[str, str], dict[str, str]] = {}
    for entry in entries:
        grouped.setdefault((entry["method"], entry["source"]), {})[entry["task"]] = entry["value"]
    return grouped


def fill(document: Path, name: str, text: str) -> None:
    """Put the table ``text``, less its title, at the place of ``document`` that is marked for the table ``name``."""
    start, end = f"<!-- table {name} -->\n", "<!-- end -->"
    before, mark, rest = document.read_text(encoding="utf-8").partition(start)
    if not mark or end not in rest:
        raise UserError(f"{document} has no place for the table: write '{start.strip()}' and '{end}' where it belongs")
    body = text.split("\n", 1)[1].strip()
    document.write_text(f"{before}{mark}{body}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def csv_text(table: Table, results: Results) -> str:
    """The table for programs: a row per method and task, with mean, std and the number of seeds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("method", "task", "mean", "std", "seeds", "wanted", "oracle"))
    for row in summarize(table, results):
        for task, entry in {**row.tasks, "average": row.average, "gain": row.gain}.items():
            if entry.values:
                writer.writerow((row.method, task, f"{entry.mean:.4f}", f"{entry.std:.4f}", len(entry.values), entry.wanted, row.oracle))
    return text.getvalue()
