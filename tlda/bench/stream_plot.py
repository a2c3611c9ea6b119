"""The error of each method over the stream on which it was tested."""

from __future__ import annotations

import io
from itertools import cycle
from typing import TYPE_CHECKING

from tlda.bench.plot import DASHES
from tlda.bench.results import Results
from tlda.bench.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def over_stream(table: Table, results: Results) -> dict[str, dict[str, list[float]]]:
    """By task and method, the error in percent in each part of the stream, the mean over seeds; without tasks that are no stream."""
    found: dict[str, dict[str, list[float]]] = {}
    for task in table.tasks:
        for method in table.methods:
            curves = [r["stream"] for (m, t, _), r in results.items() if (m, t) == (method, task) and r.get("stream")]
            if curves:
                found.setdefault(task, {})[method] = [100 * sum(part) / len(curves) for part in zip(*curves, strict=True)]
    return found


def stream_figure(table: Table, curves: dict[str, dict[str, list[float]]]) -> Figure:
    """A matplotlib figure of :func:`over_stream`: one panel per task, one line per method."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4.2 * len(curves) + 1.6, 3.8), layout="constrained")
    panels = drawn.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for panel, (task, lines) in zip(panels, curves.items(), strict=True):
        for place, (method, dash) in enumerate(zip(table.methods, (d for d in cycle(DASHES) for _ in range(10)), strict=False)):
            if errors := lines.get(method):
                middles = [100 * (part + 0.5) / len(errors) for part in range(len(errors))]
                panel.plot(middles, errors, dash, color=f"C{place % 10}", label=table.label(method), linewidth=1.3)
        panel.set(title=table.label(task), xlabel="% of the stream")
        panel.grid(axis="y", alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("error on the target, %")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return drawn


def stream_plot(table: Table, results: Results) -> str | None:
    """The :func:`stream_figure` as SVG, the same bytes each time; None where no result is of a stream."""
    import matplotlib

    if not (curves := over_stream(table, results)):
        return None
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": table.path.stem}):
        stream_figure(table, curves).savefig(text, format="svg", metadata={"Date": None, "Title": table.title})
    return text.getvalue()
