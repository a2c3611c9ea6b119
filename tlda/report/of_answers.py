"""The report of a run whose answers are not one class a row: what it measures of both domains, and what it writes."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from tlda.documents import svg
from tlda.documents.grid import Grid
from tlda.report.decision import Answer, Verdict
from tlda.report.page import AFTER, BEFORE, Block, Figure, Report, Section, Tile
from tlda.report.seen import FinishedRun
from tlda.report.sides import legend_of, lines, title_and_about
from tlda.training.fitting import measures_of

LEAST = 0.01
"""The fraction of its former value by which the target's measure must move to count."""

FORGOTTEN = 0.05
"""The fraction by which the source's measure gets worse from which on the page says that the source is forgotten."""


class Measured(NamedTuple):
    """One side of a comparison: its printed name, its colour, the run, and its measures by name."""

    label: str
    colour: str
    run: FinishedRun
    metrics: Mapping[str, float]

    def of(self, role: str) -> float | None:
        """The headline measure of the domain ``role``, where it is measured."""
        return self.metrics.get(f"test/{role}/{self.run.data.task.headline}")


def of_answers(run: FinishedRun, before: FinishedRun | None) -> Report:
    """The report of ``run``, beside that of ``before``, where one is given: measures with labels, curves, and what is written or drawn."""
    runs = [("before", BEFORE, before)] if before else []
    sides = [_measured(word, colour, of) for word, colour, of in [*runs, ("after", AFTER, run)]]
    sections = [_measures(sides), _curves(sides), *_written(sides), *_drawn(sides)]
    return Report(*title_and_about(sides, type(run.data.task).__name__), _verdict(sides), _tiles(sides), sections)


def _measured(word: str, colour: str, run: FinishedRun) -> Measured:
    found = run.trainer.test(run.method, run.data, verbose=False)
    run.method.cpu()
    return Measured(f"{word}: {run.name}", colour, run, {name: value for part in found for name, value in part.items()})


def _higher(run: FinishedRun) -> bool:
    """Whether a higher headline measure is better."""
    return measures_of(run.method).directions().get(f"oracle/target/{run.data.task.headline}", True)


def _worse(was: float, now: float, higher: bool) -> float:
    """The fraction of ``was`` by which ``now`` is worse; negative where it is better."""
    return (was - now if higher else now - was) / max(abs(was), 1e-12)


def _verdict(sides: Sequence[Measured]) -> Verdict:
    headline, after = sides[-1].run.data.task.headline.replace("_", " "), sides[-1]
    if len(sides) == 1:
        return Verdict("cannot tell", "there is nothing to compare with: name a run that was not adapted by --before")
    was, now, higher = sides[0].of("target"), after.of("target"), _higher(after.run)
    if was is None or now is None:
        return Verdict("cannot tell", f"the target has no labels, by which {headline} is measured")
    worse = _worse(was, now, higher)
    alarms = []
    first, last = sides[0].of("source"), after.of("source")
    if first is not None and last is not None and _worse(first, last, higher) > FORGOTTEN:
        alarms.append(f"It forgets the source, whose {headline} goes from {first:.3g} to {last:.3g}.")
    because = f"the target's {headline} ({'higher' if higher else 'lower'} is better) goes from {was:.3g} to {now:.3g}, by its labels"
    answer: Answer = "yes" if worse < -LEAST else "no" if worse > LEAST else "cannot tell"
    return Verdict(answer, because, tuple(alarms), "One run of each says nothing of chance: a table over seeds does (tlda bench).")


def _tiles(sides: Sequence[Measured]) -> list[Tile]:
    headline = sides[-1].run.data.task.headline
    roles = [role for role in ("source", "target") if all(side.of(role) is not None for side in sides)]
    return [Tile(" → ".join(f"{side.of(role):.4g}" for side in sides), f"{headline.replace('_', ' ')} of the {role}") for role in roles]


def _measures(sides: Sequence[Measured]) -> Section:
    names = dict.fromkeys(name for side in sides for name in side.metrics)
    values = [[f"{side.metrics[name]:.4g}" if name in side.metrics else "–" for side in sides] for name in names]
    rows = [[name.removeprefix("test/"), *row] for name, row in zip(names, values, strict=True)]
    return Section("Measures", [Grid(["measure", *(side.label for side in sides)], rows)])


def _curves(sides: Sequence[Measured]) -> Section:
    names = dict.fromkeys(name for side in sides for name in side.run.curves if name.startswith(("val/", "oracle/", "train/")))
    drawn = {name: lines(sides, name) for name in names}
    plots = [svg.curves(name, each, "step" if name.startswith("train/") else "epoch") for name, each in drawn.items() if each]
    caption = "What was measured after each epoch, and the terms of the training loss by step."
    return Section(
        "Training", [Figure(plots, caption, legend_of(sides))] if plots else ["The run has no metrics.csv, so there are no curves."]
    )


def _written(sides: Sequence[Measured]) -> list[Section]:
    """What each run wrote of some rows at its end; no section where the answers are no words."""
    blocks: list[Block] = []
    for side in sides:
        rows = _samples(side.run.folder / "samples.csv")
        if rows:
            blocks += [side.label, Grid(list(rows[0]), [list(row.values()) for row in rows])]
    return [Section("What it writes", blocks)] if blocks else []


def _drawn(sides: Sequence[Measured]) -> list[Section]:
    """The pictures that each run drew at its end, such as images with the boxes that it finds; no section where there are none."""
    figures = []
    for side in sides:
        for path in sorted(side.run.folder.glob("*.png")):
            drawn = f'<img alt="{escape(path.stem)}" style="grid-column: 1 / -1; width: 100%" src="{svg.address(path.read_bytes())}"/>'
            figures.append(Figure([drawn], side.label))
    return [Section("Pictures", figures)] if figures else []


def _samples(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
