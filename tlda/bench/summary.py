"""Means, deviations and significance of a table, from its results alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from tlda.bench.results import Results
from tlda.bench.table import Table
from tlda.config.protocol import Lines, decisive, differing, digest, lines, protocol
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
    """A method's entries by task, their average, and its gain over the baseline, paired by seed.

    ``selection`` is the label-free measure that the table selects by, averaged over tasks, where it names one. The baseline
    is the one measured under the same protocol: a gain across protocols is refused, and ``differs`` says by which lines
    the row's protocol is not the table's. ``p`` is that of :func:`paired_p`, corrected over the rows after Holm.
    """

    method: str
    oracle: bool
    tasks: dict[str, Entry]
    average: Entry
    gain: Entry
    selection: Entry
    differs: str = ""
    p: float | None = None

    @property
    def worse(self) -> bool:
        """Whether it is below the baseline."""
        return bool(self.gain.values) and self.gain.mean < 0


def summarize(table: Table, results: Results) -> list[Row]:
    """The rows of ``table``. Results from different data for one task are refused."""
    _require_same_data(table, results)
    entries = {m: {t: _entry(table, results, m, t) for t in table.tasks} for m in table.methods}
    rows = [_row(table, results, m, entries) for m in table.methods]
    p = holm({row.method: row.p for row in rows if row.p is not None and not row.oracle})
    return [replace(row, p=p.get(row.method)) for row in rows]


def _row(table: Table, results: Results, method: str, entries: dict[str, dict[str, Entry]]) -> Row:
    average, base = average_over_tasks(table, entries[method]), reference(table, method)
    gain, p = Entry({}, len(table.seeds)), None
    if base and base != method:
        below = average_over_tasks(table, entries[base]).values
        gain = replace(gain, values={seed: value - below[seed] for seed, value in average.values.items() if seed in below})
        p = paired_p(entries[method], entries[base])
    measured = {t: _entry(table, results, method, t, table.select_by or table.shows(t), 1) for t in table.tasks}
    selection = replace(average_over_tasks(table, measured), decimals=3)
    return Row(method, _is_oracle(table, method, results), entries[method], average, gain, selection, differs(table, method), p)


def reference(table: Table, method: str) -> str | None:
    """The baseline of ``method``: the table's, or the row that is the same but for the protocol, which is that of ``method``, or none."""
    wanted, own = table.measured_under(method), _own(table, table.baseline)
    candidates = [table.baseline, *(other for other in table.methods if _own(table, other) == own)]
    return next((other for other in candidates if table.measured_under(other) == wanted), None)


def _own(table: Table, method: str) -> tuple[Lines, list[str | None]]:
    """What of a method is not the protocol's: its options, and what it comes after."""
    resolved = table.resolved[next(iter(table.tasks)), method]
    shared = protocol(resolved)
    return {name: value for name, value in lines(resolved).items() if name not in shared}, [stage.get(method) for stage in table.stages]


def differs(table: Table, method: str) -> str:
    """The lines in which the protocol of ``method`` is not that of the table's baseline, on the first task where there are any."""
    found, base = table.measured_under(method), table.measured_under(table.baseline)
    return next((text for task in table.tasks if (text := differing(found[task], base[task]))), "")


def paired_p(entries: dict[str, Entry], base: dict[str, Entry]) -> float | None:
    """The p-value of a two-sided paired t-test over the (task, seed) pairs that both have; None for fewer than three."""
    from scipy.stats import ttest_rel

    pairs = [
        (value, base[task].values[seed]) for task, e in entries.items() for seed, value in e.values.items() if seed in base[task].values
    ]
    if len(pairs) < 3 or len({round(own - other, 9) for own, other in pairs}) == 1:
        return None
    return float(ttest_rel(*zip(*pairs, strict=True)).pvalue)


def holm(p: dict[str, float]) -> dict[str, float]:
    """The p-values after Holm's correction for their number (Scandinavian Journal of Statistics, 1979)."""
    corrected: dict[str, float] = {}
    floor = 0.0
    for i, name in enumerate(sorted(p, key=p.__getitem__)):
        floor = max(floor, min(1.0, (len(p) - i) * p[name]))
        corrected[name] = floor
    return corrected


def _entry(table: Table, results: Results, method: str, task: str, metric: str | None = None, scale: float = 100) -> Entry:
    metric = metric or table.shows(task)
    found = {s: results[method, task, s]["metrics"] for s in table.seeds if (method, task, s) in results}
    for metrics in found.values():
        if metric not in metrics:
            raise UserError(f"{table.path}: nothing measures '{metric}', which it shows or selects by{near(metric, metrics)}")
    return Entry({s: scale * metrics[metric] for s, metrics in found.items()}, len(table.seeds))


def average_over_tasks(table: Table, entries: dict[str, Entry]) -> Entry:
    """The mean over tasks of each seed that is finished on all of them."""
    seeds = [s for s in table.seeds if all(s in entry.values for entry in entries.values())]
    return Entry({s: statistics.fmean(entry.values[s] for entry in entries.values()) for s in seeds}, len(table.seeds))


def _is_oracle(table: Table, method: str, results: Results) -> bool:
    """Whether target labels were seen by ``method``, or by what it comes after."""
    if any("oracle" in result["sees"] for (name, _, _), result in results.items() if name == method):
        return True
    return any(_is_oracle(table, stage[method], results) for stage in table.stages if method in stage)


def _require_same_data(table: Table, results: Results) -> None:
    """Raise :class:`UserError` where the same options of data gave other data in another result of the task."""
    prints: dict[tuple[str, str], dict[str, str]] = {}
    for (method, task, seed), result in results.items():
        options = digest(decisive(table.resolved[task, method])["data"])
        prints.setdefault((task, options), {}).setdefault(result["data"], f"{method}-{task}-{seed}")
    for (task, _), found in prints.items():
        if len(found) > 1:
            raise UserError(
                f"the results of task '{task}' were measured on different data ({' and '.join(sorted(found.values()))} differ): "
                "delete the files of the old data among the results"
            )
