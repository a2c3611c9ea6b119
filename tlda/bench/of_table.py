"""The report of a table, from its result files alone: nothing is trained, no data are read."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tlda.bench.render import document
from tlda.bench.results import Results, left_out, read_results, shown
from tlda.bench.selection import ORACLE, Rule, rules
from tlda.bench.stream_plot import over_stream
from tlda.bench.summary import Row, summarize
from tlda.bench.table import Table, scale_of
from tlda.config.sentences import import_class
from tlda.documents import svg
from tlda.errors import UserError
from tlda.metrics import MixVal
from tlda.report.decision import Compared, Verdict, should_adapt_by_table, vanished
from tlda.report.page import AFTER, BEFORE, SOURCE, TARGET, Block, Figure, Report, Section, Tile
from tlda.report.sections import confusion_figures, stream_figure

LINES = 4
"""The most methods beside the baseline in a figure of curves."""

COLOURS = (BEFORE, AFTER, SOURCE, TARGET, "var(--good)")
"""The colours of the baseline and of the other methods."""

MIXVAL = "val/target/mixval"
INFORMATION = "test/target/information_maximization"


class Choice(NamedTuple):
    """A label-free measure by which methods are ranked: its name in print, its name in the results, and who takes part."""

    label: str
    metric: str
    methods: tuple[str, ...]


def of_table(table: Table) -> Report:
    """The report of ``table``.

    Raises:
        UserError: no cell of it is finished.
    """
    if table.is_error:
        raise UserError(f"{table.path} shows errors of a regression, and reports are for classification alone: see its table.md")
    if scale_of(table.shows(next(iter(table.tasks)))) == 1:
        raise UserError(f"{table.path} shows {table.metric_name}, and reports are for classification alone: see its table.md")
    results = read_results(table.results, table.cells())
    for sentence in left_out(table.results, table.cells()):
        print(f"tlda: {sentence}")
    if not results:
        raise UserError(f"no cell of {table.path} is finished: run `tlda bench {table.path}` first")
    rows = {row.method: row for row in summarize(table, results)}
    choice = choose(table, results, rows)
    best = recommended(table, results, choice, list(table.tasks))
    drawn = _drawn(table, rows, best)
    blocks: list[Block] = list(document(table, results)[1:])
    sections = [Section("Table", blocks)]
    sections += [_task(table, results, choice, drawn, task) for task in table.tasks]
    about = f"A report of {len(results)} finished runs of {len(table.cells())}, from result files alone."
    return Report(table.title, about, _verdict(table, results, rows, choice, best), _tiles(table, rows, best), sections)


# The rule


def choose(table: Table, results: Results, rows: dict[str, Row]) -> Choice:
    """The rule that recommends a method without a target label, among those that are finished and honest.

    It is MixVal after the last epoch, which no method trains on, where every run was validated. Otherwise it is information maximisation,
    for which methods that train on certainty are no candidates. The baseline is always a candidate.
    """
    done = [m for m, row in rows.items() if not row.oracle and row.average.complete and (table.select_by or not row.differs)]
    runs = [result for (method, _, _), result in results.items() if method in done]
    if runs and all(MIXVAL in (run.get("history") or [{}])[-1] for run in runs):
        return Choice(MixVal.label, MIXVAL, tuple(done))
    unmeasured = {method for (method, _, _), result in results.items() if INFORMATION not in result["metrics"]}
    candidates = [m for m in done if m not in unmeasured and (m == table.baseline or not _on_certainty(table, m))]
    return Choice("information maximisation", INFORMATION, tuple(candidates))


def _on_certainty(table: Table, method: str) -> bool:
    model = next(iter(table.resolved[task, method] for task in table.tasks))["model"]
    losses = [loss["class_path"] for loss in model["init_args"].get("plus") or ()]
    return any(import_class(path).trains_on_certainty for path in (model["class_path"], *losses))


def recommended(table: Table, results: Results, choice: Choice, tasks: Sequence[str]) -> str | None:
    """The method that is best by ``choice`` in the mean over ``tasks`` and seeds; the first of equals, None without candidates."""

    def value(method: str) -> float:
        return statistics.fmean(_last(results[method, task, seed], choice.metric) for task in tasks for seed in table.seeds)

    return max(choice.methods, key=value, default=None)


def _last(result: dict[str, Any], metric: str) -> float:
    """The value of ``metric`` in a result, of the test or after the last epoch; minus infinity where it was not finite."""
    found = result["metrics"] if metric.startswith("test/") else result["history"][-1]
    value = found[metric]
    return -math.inf if value is None else float(value)


def _verdict(table: Table, results: Results, rows: dict[str, Row], choice: Choice, best: str | None) -> Verdict:
    base = table.label(table.baseline)
    compared = {
        m: Compared(
            table.label(m),
            row.gain.mean if row.gain.values else None,
            row.p,
            table.label(row.reference) if row.reference not in (None, table.baseline) else "",
        )
        for m, row in rows.items()
        if not row.oracle
    }
    if table.select_by:
        return Verdict("cannot tell", f"this table compares settings by {table.select_by}, not methods with {base}")
    if best is None and any(row.average.complete for row in rows.values() if row.method != table.baseline):
        return Verdict("cannot tell", "no measure that needs no target label was taken of these runs")
    if best is None:
        return Verdict("cannot tell", f"no method is finished on all tasks and seeds beside {base}")
    others = [row for m, row in compared.items() if m != table.baseline]
    return should_adapt_by_table(None if best == table.baseline else compared[best], f"{choice.label} on the target", base, others)


def _tiles(table: Table, rows: dict[str, Row], best: str | None) -> list[Tile]:
    honest = [row for row in rows.values() if not row.oracle and row.average.complete]
    tiles = [Tile(str(rows[table.baseline].average), f"{table.label(table.baseline)}, average {table.metric_name} in % (oracle)")]
    if best not in (None, table.baseline):
        tiles.append(Tile(str(rows[str(best)].average), f"{table.label(str(best))}, recommended without labels (oracle)"))
    if honest:
        top = max(honest, key=lambda row: row.average.mean)
        tiles.append(Tile(str(top.average), f"{table.label(top.method)}, the best in hindsight (oracle)"))
    return tiles


# The tasks


def _drawn(table: Table, rows: dict[str, Row], best: str | None) -> list[str]:
    """The methods of the curves: the baseline, the recommended one, and the best by the table's average."""
    ranked = sorted((r for r in rows.values() if r.average.values and not r.oracle), key=lambda r: -r.average.mean)
    chosen = [table.baseline, *([best] if best else []), *(row.method for row in ranked)]
    return list(dict.fromkeys(chosen))[: 1 + LINES]


def _task(table: Table, results: Results, choice: Choice, drawn: Sequence[str], task: str) -> Section:
    best = recommended(table, results, choice, [task])
    blocks: list[Block] = [*_curves(table, results, drawn, task), *_stream(table, results, drawn, task)]
    before, after = (confusion(table, results, m, task) for m in (table.baseline, best or table.baseline))
    if before is None or after is None:
        return Section(table.label(task), [*blocks, "There are no confusion matrices to compare yet."])
    if best in (None, table.baseline):
        blocks.append(f"{choice.label} recommends no other method than {table.label(table.baseline)} here.")
        pair, labels = [before], [table.label(table.baseline)]
    else:
        blocks.append(_recommendation(table, results, choice, str(best), task))
        pair, labels = [before, after], [f"before: {table.label(table.baseline)}", f"after: {table.label(str(best))}"]
    names = class_names(table, results, task, len(before))
    return Section(table.label(task), [*blocks, *_collapse(before, after, names), *confusion_figures(pair, labels, names)])


def _recommendation(table: Table, results: Results, choice: Choice, best: str, task: str) -> str:
    found = [shown(results[best, task, s]) for s in table.seeds]
    below = [shown(results[table.baseline, task, s]) for s in table.seeds if (table.baseline, task, s) in results]
    return (
        f"{choice.label} recommends {table.label(best)} here, with the target's {table.called(task)} at "
        f"{100 * statistics.fmean(found):.1f} % (oracle) beside {100 * statistics.fmean(below):.1f} % of "
        f"{table.label(table.baseline)}. Below, the runs of all seeds together."
    )


def _collapse(before: Tensor, after: Tensor, names: Sequence[str]) -> list[Block]:
    shares = [(matrix.sum(0) / matrix.sum()).tolist() for matrix in (before, after)]
    lost = [names[c] for c in vanished(shares[0], shares[1])]
    return [f"⚠ Collapse: {', '.join(lost)} all but vanished from the predictions."] if lost else []


def confusion(table: Table, results: Results, method: str, task: str) -> Tensor | None:
    """Counts (c, c) of the target's test rows by true and predicted class, over all finished seeds."""
    found = [results[method, task, s] for s in table.seeds if (method, task, s) in results]
    counts = [torch.tensor(result["confusion"], dtype=torch.double) for result in found if result.get("confusion")]
    return torch.stack(counts).sum(0) if counts else None


def class_names(table: Table, results: Results, task: str, count: int) -> list[str]:
    """The names of the classes where the configuration has them; otherwise their numbers."""
    classes = table.resolved[task, table.baseline]["data"]["init_args"].get("classes")
    return [str(c) for c in classes] if isinstance(classes, list) and len(classes) == count else [str(c) for c in range(count)]


def _curves(table: Table, results: Results, drawn: Sequence[str], task: str) -> list[Block]:
    oracle = Rule(f"target {table.called(task)} (oracle)", table.shows(task).replace("test/", "oracle/", 1))
    measures = [oracle, *(rule for rule in rules() if rule.metric and rule.metric != ORACLE)]
    colours = dict(zip(drawn, COLOURS, strict=False))
    plots, legend = [], dict[str, str]()
    for rule in measures:
        series = [
            svg.Series(table.label(m), colours[m], points) for m in drawn if (points := mean_history(table, results, m, task, rule.metric))
        ]
        legend |= {s.colour: s.label for s in series}
        better = "" if rule is oracle else f" ({'higher' if rule.higher_is_better else 'lower'} is better)"
        plots += [svg.curves(rule.label + better, series, "epoch")] if series else []
    if not plots:
        return ["These runs were not validated after each epoch, so there are no curves."]
    return [Figure(plots, HISTORY, [*legend.items()])]


def _stream(table: Table, results: Results, drawn: Sequence[str], task: str) -> list[Block]:
    """The error of the methods ``drawn`` over the stream of ``task``; nothing where it is none."""
    errors = over_stream(table, results).get(task, {})
    lines = [(table.label(m), colour, errors[m]) for m, colour in zip(drawn, COLOURS, strict=False) if m in errors]
    return [stream_figure(lines)] if lines else []


HISTORY = (
    "After each epoch, the mean over seeds: what the table shows of the target, which an oracle knows, and the measures that need no "
    "target label. A measure that ranks the methods as the oracle's curves do can be trusted to choose among them; one that improves "
    "while accuracy falls cannot."
)


def mean_history(table: Table, results: Results, method: str, task: str, metric: str) -> list[tuple[float, float]]:
    """The mean over seeds of ``metric`` by the number of epochs done; an epoch that lacks it in a run has no point."""
    histories = [r["history"] for s in table.seeds if (r := results.get((method, task, s))) and r.get("history")]
    epochs = [[epoch.get(metric) for epoch in same] for same in zip(*histories, strict=False)] if histories else []
    return [(i, statistics.fmean(values)) for i, values in enumerate(epochs, 1) if None not in values]
