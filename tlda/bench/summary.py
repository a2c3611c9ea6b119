"""Means and deviations of a table, from its results alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from tlda.bench.results import Results
from tlda.bench.table import METRIC, Table
from tlda.errors import UserError, near


@dataclass(frozen=True)
class Entry:
    """Values over seeds (percentages, unless they have three decimals), and how many there should be."""

    values: dict[int, float]
    wanted: int
    decimals: int = 1

    @property
    def complete(self) -> bool:
        """Whether every seed is there."""
        return len(self.values) == self.wanted

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.values.values())

    @property
    def std(self) -> float:
        """The sample standard deviation over seeds; 0 for a single one."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else 0.0

    def __str__(self) -> str:
        if not self.values:
            return "–"
        spread = f" ± {self.std:.{self.decimals}f}" if len(self.values) > 1 else ""
        return f"{self.mean:.{self.decimals}f}{spread}" + ("" if self.complete else f" ({len(self.values)}/{self.wanted})")


@dataclass(frozen=True)
class Row:
    """A method's entries by task, their average, and its gain over the baseline, the last two paired by seed.

    ``selection`` is the label-free measure that the table selects by, averaged over tasks, where it names one.
    """

    method: str
    oracle: bool
    tasks: dict[str, Entry]
    average: Entry
    gain: Entry
    selection: Entry


def summarize(table: Table, results: Results) -> list[Row]:
    """The rows of ``table``. Results from different data for one task are refused."""
    _require_same_data(table, results)
    tasks = {m: {t: _entry(table, results, m, t) for t in table.tasks} for m in table.methods}
    averages = {m: _average(table, entries) for m, entries in tasks.items()}
    base = averages.get(table.baseline, Entry({}, 0)).values
    rows = []
    for method, average in averages.items():
        gain = {seed: value - base[seed] for seed, value in average.values.items() if seed in base and method != table.baseline}
        selection = _average(table, {t: _entry(table, results, method, t, table.select_by or METRIC, 1) for t in table.tasks})
        selection = replace(selection, decimals=3)
        rows.append(Row(method, _is_oracle(method, results), tasks[method], average, Entry(gain, len(table.seeds)), selection))
    return rows


def _entry(table: Table, results: Results, method: str, task: str, metric: str = METRIC, scale: float = 100) -> Entry:
    found = {s: results[method, task, s]["metrics"] for s in table.seeds if (method, task, s) in results}
    for metrics in found.values():
        if metric not in metrics:
            raise UserError(f"{table.path}: nothing measures '{metric}', which it selects by{near(metric, metrics)}")
    return Entry({s: scale * metrics[metric] for s, metrics in found.items()}, len(table.seeds))


def _average(table: Table, entries: dict[str, Entry]) -> Entry:
    """The mean over tasks of each seed that is finished on all of them."""
    seeds = [s for s in table.seeds if all(s in entry.values for entry in entries.values())]
    return Entry({s: statistics.fmean(entry.values[s] for entry in entries.values()) for s in seeds}, len(table.seeds))


def _is_oracle(method: str, results: Results) -> bool:
    return any("oracle" in result["sees"] for (name, _, _), result in results.items() if name == method)


def _require_same_data(table: Table, results: Results) -> None:
    for task in table.tasks:
        prints: dict[str, str] = {}
        for (method, of, seed), result in results.items():
            if of == task:
                prints.setdefault(result["data"], f"{method}-{task}-{seed}")
        if len(prints) > 1:
            raise UserError(
                f"the results of task '{task}' were measured on different data ({' and '.join(sorted(prints.values()))} differ): "
                "delete the files of the old data among the results"
            )
