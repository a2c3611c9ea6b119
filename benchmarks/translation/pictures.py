"""Draw what a table's translators learned: a grid of images of each task, and how their measures went over the epochs.

TLDA_DATA=… python benchmarks/translation/pictures.py benchmarks/tables/translation.yaml
(writes grid-METHOD-TASK.png and curves.png beside the table's result files, from those and from the checkpoints that its run left there)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tlda.bench.results import Results, read_results
from tlda.bench.selection import ORACLE, TRANSLATION
from tlda.bench.table import Cell, Table, load_table
from tlda.config.build import data_of, load
from tlda.report.of_translation import translation_figure, translation_grid, translator_of
from tlda.training.checkpoint import KEY, read

SHOWN = {rule.metric: rule.label for rule in TRANSLATION} | {ORACLE: "accuracy on the target (oracle)"}


def grid(cell: Cell, folder: Path) -> None:
    """The images of a ``cell`` that translates, where its checkpoint is there."""
    checkpoint = cell.checkpoint(folder)
    translator = translator_of(load(checkpoint)) if checkpoint.is_file() else None
    if translator is None:
        return
    data = data_of(read(checkpoint)[KEY]["data"], checkpoint, {})
    data.setup("fit")
    path = folder / f"grid-{cell.method}-{cell.task}.png"
    translation_figure(translation_grid(translator.eval(), data)).savefig(path, dpi=110)
    print(path)


def curves(table: Table, results: Results) -> Any:
    """A figure: a measure down, a task across, a colour a method, a line a seed."""
    measured = {
        place: r["history"] for place, r in results.items() if (r.get("history") or [{}])[-1].get(TRANSLATION[0].metric) is not None
    }
    methods = [m for m in table.methods if any(m == method for method, _, _ in measured)]
    shown = {metric: label for metric, label in SHOWN.items() if any(metric in history[-1] for history in measured.values())}
    figure = Figure(figsize=(4.5 * len(table.tasks), 2.2 * len(shown)), layout="constrained")
    for row, (axes, (metric, label)) in enumerate(
        zip(figure.subplots(len(shown), len(table.tasks), squeeze=False), shown.items(), strict=True)
    ):
        for panel, task in zip(axes, table.tasks, strict=True):
            for (method, of, seed), history in measured.items():
                if of == task:
                    points = [(i, epoch[metric]) for i, epoch in enumerate(history) if epoch.get(metric) is not None]
                    name = table.label(method) if seed == table.seeds[0] else None
                    panel.plot(*zip(*points, strict=True), color=f"C{methods.index(method)}", linewidth=1.2, label=name)
            panel.set(title=table.label(task) if row == 0 else "", ylabel=label if panel is axes[0] else "")
            panel.grid(alpha=0.3)
    figure.supxlabel("epoch; a run's distances are over the features of its own judge, so that epochs compare and lines do not", fontsize=9)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(methods), frameon=False)
    return figure


def main() -> None:
    table = load_table(sys.argv[1])
    cells = table.cells()
    for cell in cells:
        if cell.leads and cell.seed == table.seeds[0]:
            grid(cell, table.results)
    curves(table, read_results(table.results, cells)).savefig(table.results / "curves.png", dpi=110)


if __name__ == "__main__":
    main()
