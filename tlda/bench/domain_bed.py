"""DomainBed's three rules of selection, from the same runs (Gulrajani et al., In search of lost domain generalization, ICLR 2021)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tlda.bench.folds import folds
from tlda.bench.results import Results, read_results
from tlda.bench.selection import BEST, SOURCE, Rule, measured_of, rule_of
from tlda.bench.summary import Entry, average_over_tasks
from tlda.bench.table import Table, scale_of
from tlda.bench.tune import trials_of
from tlda.documents.grid import Grid

Values = list[float]
"""A value after each epoch, of which higher is better."""


class Run(NamedTuple):
    """What the rules look at in one run.

    ``measured`` is the target, in percent; ``source`` are the held-out rows of the sources; ``oracle`` the rows of the target that an
    oracle sees; and ``left_out`` the sources that the run's folds leave out, the mean over them, None where a fold is missing.
    """

    measured: Values
    source: Values
    oracle: Values
    left_out: Values | None


Choice = tuple[float, float]
"""What a rule goes by, and what is measured there; the greatest is chosen."""


def _by_source(run: Run) -> list[Choice]:
    return list(zip(run.source, run.measured, strict=True))


def _left_out(run: Run) -> list[Choice]:
    return list(zip(run.left_out, run.measured, strict=True)) if run.left_out else []


def _last(run: Run) -> list[Choice]:
    return [(run.oracle[-1], run.measured[-1])]


RULES: dict[str, Callable[[Run], list[Choice]]] = {
    "training-domain validation": _by_source,
    "leave-one-domain-out": _left_out,
    "oracle, last epoch": _last,
}
"""DomainBed's rules by name: the choices that each has in a run."""


def chosen(runs: Sequence[Run], rule: Callable[[Run], list[Choice]]) -> float | None:
    """What is measured where ``rule`` is greatest, over epochs and ``runs``; the first of equals, None where it has no choice."""
    choices = [choice for run in runs for choice in rule(run)]
    return max(choices, key=lambda choice: choice[0])[1] if choices else None


def blocks(table: Table, results: Results) -> list[str | Grid]:
    """The grid of methods and DomainBed's rules, averaged over tasks; empty where the table does not ask for it, or nothing is measured."""
    found = {place: result for place, result in results.items() if result.get("history")}
    if not table.leave_one_out or not found:
        return []
    runs = dict(_runs(table, found))
    entries = {m: [_entry(table, runs, m, rule) for rule in RULES.values()] for m in table.methods if any(m == name for name, _, _ in runs)}
    rows = [[table.label(m), *map(str, own)] for m, own in entries.items()]
    columns = [[own[j] for own in entries.values()] for j in range(len(RULES))]
    whole = [[entry.mean if entry.values and entry.complete else float("-inf") for entry in column] for column in columns]
    bold = {(column.index(max(column)), 1 + j) for j, column in enumerate(whole) if max(column) > float("-inf")}
    trials = max((len(own) for own in runs.values()), default=1)
    text = (
        f"DomainBed's three rules from the same runs, the {table.metric_name} on the target, the mean over tasks. Training-domain "
        "validation takes the epoch that is best on the held-out rows of the training domains; leave-one-domain-out the epoch that is best "
        "on a source left out, the mean over as many runs as there are sources, each on the others; the oracle takes the last epoch. "
        + (
            f"Each chooses among {trials} draws of the options too, the oracle by target labels."
            if trials > 1
            else "The options are fixed."
        )
    )
    return [text, Grid(["method", *RULES], rows, bold, "domainbed")]


def _entry(table: Table, runs: dict[tuple[str, str, int], list[Run]], method: str, rule: Callable[[Run], list[Choice]]) -> Entry:
    def of(task: str) -> Entry:
        values = {seed: chosen(runs.get((method, task, seed), ()), rule) for seed in table.seeds}
        return Entry({seed: value for seed, value in values.items() if value is not None}, len(table.seeds))

    return average_over_tasks(table, {task: of(task) for task in table.tasks})


def _runs(table: Table, results: Results) -> Iterator[tuple[tuple[str, str, int], list[Run]]]:
    """The runs of each method, task and seed that is finished: the table's own and, of the same seed, those of the search's trials."""
    own: dict[tuple[str, str, int], list[Run]] = {}
    for place, run in [*_own(table, results), *_of_trials(table)]:
        own.setdefault(place, []).append(run)
    yield from own.items()


def _own(table: Table, results: Results) -> Iterator[tuple[tuple[str, str, int], Run]]:
    """The runs of ``results``, which are in the table's folder, as those of their folds."""
    apart = folds(table)
    left = read_results(table.results, [cell for cell in apart.cells() if any(cell.method == method for method, _, _ in results)])
    for (method, task, seed), result in results.items():
        yield (method, task, seed), _run(result, _of_folds(apart, left, method, task, seed))


def _of_trials(table: Table) -> Iterator[tuple[tuple[str, str, int], Run]]:
    """The runs of the search's trials, as those of the methods that were searched."""
    for method in table.search.get("space", {}):
        for trial, name in trials_of(table, method) if method in table.methods else ():
            there = replace(trial, folder=table.results / "trials")
            found = read_results(there.results, [cell for cell in there.cells() if cell.method == name])
            for (_, task, seed), run in _own(there, {place: result for place, result in found.items() if result.get("history")}):
                yield (method, task, seed), run


def _of_folds(apart: Table, left: Results, method: str, task: str, seed: int) -> list[Any] | None:
    """The results of the folds of a run; None where one is missing."""
    names = [name for name in apart.tasks if name.rpartition("+")[0] == task]
    found = [left.get((method, name, seed)) for name in names]
    return found if names and all(result and result.get("history") for result in found) else None


def _run(result: dict[str, Any], left: list[Any] | None) -> Run:
    measured = measured_of(result)
    of_folds = [_values(one, measured_of(one)) for one in left or ()]
    means = [statistics.fmean(values) for values in zip(*of_folds, strict=True)] if of_folds else None
    own = _values(result, measured)
    scale = scale_of(result["metric"]) * (1 if measured.higher_is_better else -1)
    return Run([scale * value for value in own], _values(result, rule_of(SOURCE, result)), _values(result, rule_of(BEST, result)), means)


def _values(result: dict[str, Any], rule: Rule) -> Values:
    """The values of ``rule`` after each epoch, with the sign that makes higher better; minus infinity where one is not finite."""
    sign = 1 if rule.higher_is_better else -1
    return [float("-inf") if (value := epoch.get(rule.metric)) is None else sign * value for epoch in result["history"]]
