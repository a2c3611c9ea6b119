"""The results of a table as curves over the option in which its tasks differ."""

from __future__ import annotations

import io
from collections.abc import Collection
from itertools import cycle, takewhile
from typing import TYPE_CHECKING, Any

from tlda.bench.results import Results
from tlda.bench.summary import Row, summarize
from tlda.bench.table import Table
from tlda.config.protocol import digest
from tlda.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "osD^vP*Xph"
"""The markers of the lines in turn, so that lines differ in more than colour."""

DASHES = ("-", "--", ":")
"""The dashes: each for ten lines, since there are ten colours."""


def groups(table: Table) -> list[tuple[str, dict[float, str]]]:
    """Groups of tasks that differ only in the option: the common part of their labels, and the task by the value of the option.

    Raises:
        UserError: the option of a task is not a number, or that of two tasks that are otherwise alike is the same.
    """
    found: dict[str, dict[float, str]] = {}
    for task, overlay in table.tasks.items():
        value, rest = _taken(overlay, table.plot["option"].split("."))
        if not isinstance(value, int | float):
            raise UserError(f"{table.path}: the plot is over {table.plot['option']}, which is no number in the task '{task}': {value}")
        same = found.setdefault(digest(rest), {})
        if other := same.get(value):
            raise UserError(
                f"{table.path}: the plot is over {table.plot['option']}, by which the tasks '{other}' and '{task}' do not differ"
            )
        same[value] = task
    return [(_common([table.label(task) for task in tasks.values()]), tasks) for tasks in found.values()]


def _common(labels: Collection[str]) -> str:
    """The words that all labels begin with."""
    words = zip(*(label.split() for label in labels), strict=False)
    return " ".join(same[0] for same in takewhile(lambda word: len(set(word)) == 1, words)).strip(",:")


def _taken(config: Any, keys: list[str]) -> tuple[Any, Any]:
    """The value at ``keys`` of a nested mapping, ``None`` for none, and the mapping without it."""
    if not keys:
        return config, None
    if not isinstance(config, dict) or keys[0] not in config:
        return None, config
    value, rest = _taken(config[keys[0]], keys[1:])
    return value, {**config, keys[0]: rest}


def figure(table: Table, results: Results) -> Figure:
    """A matplotlib figure: one panel per group of tasks, one line per method, bars of one standard deviation."""
    from matplotlib.figure import Figure

    panels, rows = groups(table), summarize(table, results)
    drawn = Figure(figsize=(4.2 * len(panels) + 1.6, 3.8), layout="constrained")
    axes = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (title, tasks) in zip(axes, panels, strict=True):
        for place, (row, marker) in enumerate(zip(rows, cycle(MARKERS), strict=False)):
            _line(
                panel,
                table,
                row,
                tasks,
                {"marker": marker, "color": f"C{place % 10}", "linestyle": DASHES[place // 10 % 3]},
                place / max(1, len(rows) - 1) - 0.5,
            )
        panel.set(title=title, xlabel=table.plot["label"], xticks=sorted(tasks))
        panel.grid(axis="y", alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(f"{table.metric_name} on the target, %")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return drawn


def plot(table: Table, results: Results) -> str:
    """The :func:`figure` as SVG, the same bytes each time."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": table.path.stem}):
        figure(table, results).savefig(text, format="svg", metadata={"Date": None, "Title": table.title})
    return text.getvalue()


def _line(panel: Any, table: Table, row: Row, tasks: dict[float, str], style: dict[str, str], shift: float) -> None:
    """Draw the line of a method, moved aside by ``shift`` (-0.5 to 0.5), so that the bars of methods do not overlap."""
    step = min((b - a for a, b in zip(sorted(tasks), sorted(tasks)[1:], strict=False)), default=1.0)
    entries = {x: row.tasks[tasks[x]] for x in sorted(tasks) if row.tasks[tasks[x]].values}
    x = [value + 0.2 * step * shift for value in entries]
    means, deviations = [e.mean for e in entries.values()], [e.std for e in entries.values()]
    panel.errorbar(x, means, deviations, label=table.label(row.method), markersize=5, linewidth=1.3, elinewidth=0.8, **style)
