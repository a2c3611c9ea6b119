"""A table as a document, and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tlda.bench import domain_bed, edges, selection
from tlda.bench.folds import folds
from tlda.bench.machine import kind
from tlda.bench.results import Results, read_results
from tlda.bench.summary import FEW_TASKS, Entry, Row, averages, summarize
from tlda.bench.table import METRICS, Table, is_error, scale_of
from tlda.config.protocol import class_sets, digest
from tlda.documents.grid import Document, Grid
from tlda.errors import UserError
from tlda.writing import write_text


def document(table: Table, results: Results) -> Document:
    """The table for people: what :func:`brief` shows, then what each rule of selection gives, and the published numbers."""
    blocks = selection.blocks(table, results), domain_bed.blocks(table, results)
    return [*brief(table, results), *_also(table, results), *(block for found in blocks for block in found), *_published(table)]


def brief(table: Table, results: Results) -> Document:
    """Mean ± std in percent. The best of each column is bold; missing runs and rows below the baseline, or at the control, are marked."""
    rows = summarize(table, results)
    return [table.title, *_protocol(table, results), _main(table, rows), *_notes(table, rows)]


def _main(table: Table, rows: list[Row]) -> Grid:
    columns = _columns(table)
    gain = f"gain over {table.label(table.baseline)}"
    # A gain over another baseline is no better or worse than one over the table's.
    alike = [row for row in rows if row.reference == table.baseline]
    lower = {name for name in columns if table.is_error and name != gain}
    best = [_best(alike if name == gain else rows, entry, name in lower) for name, entry in columns.items()]
    text = [[_name(table, row), *(str(entry(row)) for entry in columns.values())] for row in rows]
    header = ["method", *columns]
    if not table.select_by:
        header += ["95 % CI", "p"]
        for row, line in zip(rows, text, strict=True):
            if row.harms:
                line[1 + list(columns).index(table.label(str(table.control)))] += " ▼"
            line[-1] += " ▼" * row.worse
            line += [f"{row.test.low:+.1f} to {row.test.high:+.1f}" if row.test else "–"]
            line += ["–" if row.p is None else f"{row.p:.3f}" if row.p >= 0.001 else "< 0.001"]
    return Grid(header, text, {(rows.index(row), 1 + j) for j, row in enumerate(best) if row}, "table")


def _also(table: Table, results: Results) -> Iterator[str | Grid]:
    """The averages of further metrics of the same runs."""
    if table.also:
        names = [_metric(metric) + " (lower is better)" * is_error(metric) for metric in table.also]
        found = [averages(table, results, metric) for metric in table.also]
        yield "Of the same runs, the average over the transfer tasks, mean ± standard deviation over seeds."
        yield Grid(["method", *names], [[table.label(m), *(str(entries[m]) for entries in found)] for m in table.methods], name="also")


def _metric(metric: str) -> str:
    """The printed name of a metric, with its place where that is not the target; that of ``seconds`` has none."""
    place, name = metric.split("/")[1:] if "/" in metric else ("target", metric)
    kind, _, one = name.rpartition("_")  # of one class, such as ap50_cell
    called = METRICS.get(name) or (f"{METRICS[kind]} {one}" if kind in METRICS else name.replace("_", " "))
    return called + f" on the {place}" * (place != "target")


def _name(table: Table, row: Row) -> str:
    return table.label(row.method) + " (oracle)" * row.oracle + " †" * bool(row.differs and not table.select_by)


def _columns(table: Table) -> dict[str, Callable[[Row], Entry]]:
    def of_task(task: str) -> Callable[[Row], Entry]:
        return lambda row: row.tasks[task]

    columns: dict[str, Callable[[Row], Entry]] = {table.label(task): of_task(task) for task in table.tasks}
    columns["average"] = lambda row: row.average
    if table.select_by:
        # Before the accuracies, which nothing is selected by. Its rows are settings, not methods to compare with a baseline.
        return {table.select_by: lambda row: row.selection} | columns
    return columns | {f"gain over {table.label(table.baseline)}": lambda row: row.gain}


def _best(rows: list[Row], entry: Callable[[Row], Entry], lower: bool = False) -> Row | None:
    """The best finished row that saw no target label."""
    honest = [row for row in rows if not row.oracle and entry(row).values and entry(row).complete and math.isfinite(entry(row).mean)]
    return (min if lower else max)(honest, key=lambda row: entry(row).mean) if len(honest) > 1 else None


def capital(text: str) -> str:
    """The text with a capital letter first, but for one that is written as mIoU is."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def _protocol(table: Table, results: Results) -> list[str]:
    versions = sorted({f"torch {r['versions']['torch'].split('+')[0]}" for r in results.values()})
    return [
        f"{capital(table.metric_name)} on the target{_unit(table)}, mean ± standard deviation over seeds "
        f"{', '.join(map(str, table.seeds))}; "
        "after the last epoch, nothing selected. (k/n): only k of n seeds are done. An oracle has seen target labels and is never bold.",
        f"{table.protocol}{_class_sets(table)} Protocol `{table.path.stem}` {digest(table.measured_under(table.baseline))}. "
        f"Measured with {', '.join(versions) or 'nothing yet'}{_on(results)}{_took(table, results)}.".strip(),
    ]


def _class_sets(table: Table) -> str:
    """The sets of classes of the tasks, where a domain has classes of its own."""
    found: dict[str, list[str]] = {}
    for task, lines in table.measured_under(table.baseline).items():
        if sets := class_sets(lines):
            said = "; ".join(f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in sets.items())
            found.setdefault(said.replace("_", " "), []).append(table.label(task))
    each = [said if len(tasks) == len(table.tasks) else f"{', '.join(tasks)}: {said}" for said, tasks in found.items()]
    return "".join(f" Classes: {said}." for said in each)


def _is_in_units(table: Table) -> bool:
    """Whether the table shows numbers as they are, and no fractions."""
    return scale_of(table.shows(next(iter(table.tasks)))) == 1


def _unit(table: Table) -> str:
    percent = "" if _is_in_units(table) else " in percent"
    return f"{percent} (lower is better; a gain is what it falls by)" if table.is_error else percent


def _on(results: Results) -> str:
    """Name the machines of the ``results``; where they are several, with the runs on each and a note that last digits differ."""
    runs = Counter(kind(result.get("machine")) for result in results.values())
    if len(runs) < 2:
        return "".join(f", on {name}" for name in runs)
    counted = ", ".join(f"{count} on {name}" for name, count in sorted(runs.items()))
    return f" on mixed machines ({counted}), so that equal runs may differ in their last digits"


def _took(table: Table, results: Results) -> str:
    """How long the runs took, one after the other, those that leave a source out too; a run that measures several tasks counts once."""
    every = [*results.values(), *read_results(table.results, folds(table).cells()).values()]
    runs = {(result["method"], result["seed"], result["seconds"]) for result in every if "seconds" in result}
    seconds = sum(each for *_, each in runs)
    return f", in {seconds / 3600:.1f} hours" if seconds >= 3600 else f", in {seconds / 60:.0f} minutes" if seconds else ""


def _notes(table: Table, rows: list[Row]) -> Iterator[str]:
    """Explain the marks that occur."""
    if table.select_by:
        if at_edge := edges.grids(table, rows):
            yield f"At an edge of their grid, so that values beyond it are not excluded: {'; '.join(at_edge)}."
        return
    base = table.label(table.baseline)
    if tests := sum(row.p is not None for row in rows):
        yield _tested(table, tests)
    if any(row.gain.values and row.reference != table.baseline for row in rows):
        yield f"Bold among the gains compares only those over {base} itself."
    if worse := [row.method for row in rows if row.worse]:
        yield " ".join((f"▼: below {base}.", *(_note(table, method) for method in worse if method in table.notes)))
    if any(row.harms for row in rows):
        yield f"▼ at {table.label(str(table.control))}, the control: worse than {base} by more than its standard deviation."
    if others := [row.method for row in rows if row.method in table.notes and not row.worse]:
        yield " ".join(_note(table, method) for method in others)
    alike: dict[tuple[str, str | None], list[str]] = {}
    for row in rows:
        alike.setdefault((row.differs, row.reference), []).append(table.label(row.method))
    for (differs, reference), names in alike.items():
        if differs:
            over = f"a gain is over {table.label(reference)}" if reference else "no row of the baseline's model is under the same protocol"
            yield f"† {'; '.join(names)}: {differs}; {over}."


def _tested(table: Table, tests: int) -> str:
    """Name the test of the p-values and its units."""
    if len(table.tasks) < FEW_TASKS:
        units = "over the seeds of these tasks only (each the mean over the tasks), so that it says nothing of other tasks"
    else:
        units = f"over the {len(table.tasks)} tasks (each the mean over its seeds, which are alike)"
    return (
        f"p: of a two-sided paired t-test of the gain {units}, after Holm's correction for {tests} rows; the 95 % confidence interval (CI) "
        f"of the gain{'' if _is_in_units(table) or table.is_error else ', in points,'} is of the same test, not corrected. ± is over seeds."
    )


def _note(table: Table, method: str) -> str:
    return f"{table.label(method)}: {' '.join(table.notes[method].split())}"


def _published(table: Table) -> list[str | Grid]:
    """The published numbers with their sources. They are of other protocols, so that no differences are shown."""
    places, others = [*table.tasks, "average"], table.published.get("others", {})
    entries = [e for e in table.published.get("numbers", []) if e["task"] in places and e["method"] in {*table.methods, *others}]
    if not entries:
        return []
    tasks = [place for place in places if place in table.tasks or any(e["task"] == place for e in entries)]
    rows = [
        [others.get(method) or table.label(method), *(str(found.get(task, "–")) for task in tasks), source]
        for (method, source), found in _by_source(entries).items()
    ]
    differs = " ".join(table.published.get("protocol_differs", "").split())
    text = ["Published numbers, for orientation: the protocols differ.", *([differs] if differs else [])]
    return [*text, Grid(["method", *map(table.label, tasks), "source"], rows, name="published")]


def _by_source(entries: list[dict[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    grouped: dict[tuple[str, str], dict[str, str]] = {}
    for entry in entries:
        grouped.setdefault((entry["method"], entry["source"]), {})[entry["task"]] = entry["value"]
    return grouped


def fill(document: Path, name: str, text: str) -> None:
    """Write the markdown ``text`` without its title between the marks of the table ``name`` in ``document``."""
    before, after = place(document, name)
    write_text(document, f"{before}{text.split(chr(10), 1)[1].strip()}\n{after}")


def place(document: Path, name: str) -> tuple[str, str]:
    """The text of ``document`` before and after the part marked for the table ``name``, with the marks.

    Raises:
        UserError: the document cannot be read, or has no such place.
    """
    start, end = f"<!-- table {name} -->\n", "<!-- end -->"
    try:
        before, mark, rest = document.read_text(encoding="utf-8").partition(start)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {document} ({getattr(error, 'strerror', 'it is no UTF-8')}): check the name after --into") from error
    if not mark or end not in rest:
        raise UserError(f"{document} has no place for the table: write '{start.strip()}' and '{end}' where it belongs")
    return before + mark, end + rest.split(end, 1)[1]


def csv_text(table: Table, results: Results) -> str:
    """The table as CSV: a row per method and task, with mean, std and the number of seeds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("method", "task", "mean", "std", "seeds", "wanted", "oracle", "p", "low", "high"))
    for row in summarize(table, results):
        for task, entry in {**row.tasks, "average": row.average, "gain": row.gain}.items():
            if entry.values:
                test = [f"{number:.6f}" for number in row.test] if task == "gain" and row.test else [""] * 3
                numbers = f"{entry.mean:.4f}", f"{entry.std:.4f}", len(entry.values), entry.wanted
                writer.writerow((row.method, task, *numbers, row.oracle, *test))
    return text.getvalue()
