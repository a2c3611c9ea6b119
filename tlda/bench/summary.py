"""Means, deviations and significance of a table, from its results alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import NamedTuple

from tlda.bench.results import Results
from tlda.bench.table import Table, scale_of
from tlda.config.protocol import Lines, decisive, differing, digest
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


class Test(NamedTuple):
    """A test of a gain in points: its p-value, and the 95 % confidence interval of the gain, which is not corrected."""

    p: float
    low: float
    high: float


SECONDS = "seconds"
"""The measure of a table's ``also`` that is how long a run took."""

FEW_TASKS = 4
"""The fewest tasks of a test over tasks. With fewer, the test is over seeds, and says nothing about other tasks."""


@dataclass(frozen=True)
class Row:
    """A method's entries by task, their average, and its gain over the baseline, paired by seed.

    ``selection`` is the label-free measure that the table selects by, averaged over tasks, where it names one. The baseline
    is the one measured under the same protocol: a gain across protocols is refused, and ``differs`` says by which lines
    the row's protocol is not the table's. ``test`` is that of :func:`paired_test`, its p-value corrected over the rows after Holm.
    ``reference`` is the method that the gain is over. ``harms`` says whether it is worse than the table's baseline at the table's
    control by more than the baseline's standard deviation.
    """

    method: str
    oracle: bool
    tasks: dict[str, Entry]
    average: Entry
    gain: Entry
    selection: Entry
    differs: str = ""
    test: Test | None = None
    reference: str | None = None
    harms: bool = False

    @property
    def p(self) -> float | None:
        """The p-value of the gain, corrected; None where there is no test."""
        return self.test and self.test.p

    @property
    def worse(self) -> bool:
        """Whether it is below the baseline."""
        return bool(self.gain.values) and self.gain.mean < 0


def summarize(table: Table, results: Results) -> list[Row]:
    """The rows of ``table``. Results from different data for one task are refused."""
    _require_same_data(table, results)
    entries = {m: {t: _entry(table, results, m, t) for t in table.tasks} for m in table.methods}
    rows = [_row(table, results, m, entries) for m in table.methods]
    p = holm({row.method: row.test.p for row in rows if row.test and not row.oracle})
    return [replace(row, test=row.test._replace(p=p[row.method]) if row.test and row.method in p else None) for row in rows]


def _row(table: Table, results: Results, method: str, entries: dict[str, dict[str, Entry]]) -> Row:
    average, base = average_over_tasks(table, entries[method]), reference(table, method)
    gain, test = Entry({}, len(table.seeds)), None
    if base and base != method:
        below = average_over_tasks(table, entries[base]).values
        sign = -1 if table.is_error else 1  # a gain is what an error loses
        gain = replace(gain, values={seed: sign * (value - below[seed]) for seed, value in average.values.items() if seed in below})
        test = paired_test(entries[method], entries[base], sign)
    measured = {t: _entry(table, results, method, t, table.select_by or table.shows(t), 1) for t in table.tasks}
    selection = replace(average_over_tasks(table, measured), decimals=3)
    oracle, harms = _is_oracle(table, method, results), _harms(table, method, entries)
    return Row(method, oracle, entries[method], average, gain, selection, differs(table, method), test, base, harms)


def _harms(table: Table, method: str, entries: dict[str, dict[str, Entry]]) -> bool:
    """Whether the finished ``method`` is worse than the baseline by more than its standard deviation at the control."""
    if table.control is None:
        return False
    own, base = entries[method][table.control], entries[table.baseline][table.control]
    loss = (own.mean - base.mean if table.is_error else base.mean - own.mean) if own.complete and base.complete else 0.0
    return len(base.values) > 1 and loss > base.std  # of one seed there is no deviation to be beyond


def reference(table: Table, method: str) -> str | None:
    """The baseline of ``method``: the table's, or the row that is the same but for the protocol, which is that of ``method``, or none."""
    wanted, own = table.measured_under(method), _own(table, table.baseline)
    candidates = [table.baseline, *(other for other in table.methods if _own(table, other) == own)]
    return next((other for other in candidates if table.measured_under(other) == wanted), None)


def _own(table: Table, method: str) -> tuple[Lines, list[str | None]]:
    """What of a method is not the protocol's: its options, and what it comes after."""
    return table.own_lines[method], [stage.get(method) for stage in table.stages]


def differs(table: Table, method: str) -> str:
    """The lines in which the protocol of ``method`` is not that of the table's baseline, on the first task where there are any."""
    found, base = table.measured_under(method), table.measured_under(table.baseline)
    return next((text for task in table.tasks if (text := differing(found[task], base[task]))), "")


def paired_test(entries: dict[str, Entry], base: dict[str, Entry], sign: int = 1) -> Test | None:
    """The two-sided paired t-test of the gain of ``entries`` over ``base``, and its interval; None for fewer than three units.

    A unit is a task: its gain is the mean over the seeds that both have. The seeds of one task share images and domains, so that their
    gains are alike, and to count each as a unit of its own makes p too small. The t-test of means is the simplest test that is exact for a
    balanced design, and needs no bootstrap. With fewer than :data:`FEW_TASKS` tasks a unit is a seed, the mean over the tasks, and the test
    says whether the gain would hold for other seeds of these tasks, not for other tasks.
    """
    from scipy.stats import t, ttest_1samp

    gains = {
        task: {s: sign * (v - base[task].values[s]) for s, v in e.values.items() if s in base[task].values} for task, e in entries.items()
    }
    if len(entries) < FEW_TASKS:
        seeds = set.intersection(*(set(of_task) for of_task in gains.values()))
        units = [statistics.fmean(of_task[seed] for of_task in gains.values()) for seed in sorted(seeds)]
    else:
        units = [statistics.fmean(of_task.values()) for of_task in gains.values() if of_task]
    if len(units) < 3 or len({round(unit, 9) for unit in units}) == 1:
        return None
    mean, half = statistics.fmean(units), t.ppf(0.975, len(units) - 1) * statistics.stdev(units) / len(units) ** 0.5
    return Test(float(ttest_1samp(units, 0.0).pvalue), float(mean - half), float(mean + half))


def holm(p: dict[str, float]) -> dict[str, float]:
    """The p-values after Holm's correction for their number (Scandinavian Journal of Statistics, 1979)."""
    corrected: dict[str, float] = {}
    floor = 0.0
    for i, name in enumerate(sorted(p, key=p.__getitem__)):
        floor = max(floor, min(1.0, (len(p) - i) * p[name]))
        corrected[name] = floor
    return corrected


def _entry(table: Table, results: Results, method: str, task: str, metric: str | None = None, scale: float | None = None) -> Entry:
    metric = metric or table.shows(task)
    scale = scale_of(metric) if scale is None else scale
    done = {s: results[method, task, s] for s in table.seeds if (method, task, s) in results}
    found = {s: result["metrics"] | ({SECONDS: result[SECONDS]} if SECONDS in result else {}) for s, result in done.items()}
    for metrics in found.values():
        if metric not in metrics:
            raise UserError(f"{table.path}: nothing measures '{metric}', which it shows or selects by{near(metric, metrics)}")
    decimals = 3 if metric.endswith("bits_per_byte") else 1
    return Entry({s: scale * metrics[metric] for s, metrics in found.items()}, len(table.seeds), decimals)


def average_over_tasks(table: Table, entries: dict[str, Entry]) -> Entry:
    """The mean over tasks of each seed that is finished on all of them."""
    seeds = [s for s in table.seeds if all(s in entry.values for entry in entries.values())]
    decimals = max(entry.decimals for entry in entries.values())
    return Entry({s: statistics.fmean(entry.values[s] for entry in entries.values()) for s in seeds}, len(table.seeds), decimals)


def averages(table: Table, results: Results, metric: str) -> dict[str, Entry]:
    """By method: the average over tasks of a further ``metric`` of its runs."""
    return {m: average_over_tasks(table, {t: _entry(table, results, m, t, metric) for t in table.tasks}) for m in table.methods}


def _is_oracle(table: Table, method: str, results: Results) -> bool:
    """Whether ``method``, or a method that it depends on, saw target labels."""
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
