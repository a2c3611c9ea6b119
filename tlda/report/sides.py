"""The sides of a comparison of runs: what they are called, their colours, and their curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tlda.documents import svg
from tlda.report.seen import FinishedRun


class Sided(Protocol):
    """A run with its printed name and its colour."""

    @property
    def label(self) -> str: ...
    @property
    def colour(self) -> str: ...
    @property
    def run(self) -> FinishedRun: ...


def title_and_about(sides: Sequence[Sided], what: str) -> tuple[str, str]:
    """The heading of a page, and the sentence that says which runs of ``what`` it compares."""
    run = sides[-1].run
    task = run.data.transfer.replace("_to_", " → ")
    each = [f"{side.label[0].upper()}{side.label[1:]}, seed {side.run.seed}, {side.run.folder}." for side in sides]
    return f"{run.name} on {task}", " ".join([f"Task {task}, {what}.", *each])


def legend_of(sides: Sequence[Sided]) -> list[tuple[str, str]]:
    """The colour and the name of each side."""
    return [(side.colour, side.label) for side in sides]


def lines(sides: Sequence[Sided], name: str) -> list[svg.Series]:
    """The curve ``name`` of each side that has it."""
    return [svg.Series(side.label, side.colour, svg.smooth(side.run.curves[name])) for side in sides if side.run.curves.get(name)]
