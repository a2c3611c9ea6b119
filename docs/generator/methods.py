"""One page per method, from its docstring, the measured costs and the committed tables."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from generator.classes import describe, of_kind, page, parts
from generator.markup import grid, section
from generator.tables import ROOT, rows_of, tables
from tlda.method import Method

COST: dict[str, dict[str, float]] = json.loads((ROOT / "benchmarks/methods/cost.json").read_text(encoding="utf-8"))
"""The cost of a training step by the row of the digits table."""


def families() -> Iterator[tuple[str, list[str]]]:
    """The headings of docs/methods.md, each with the names of its methods."""
    yield from ((heading, list(names)) for heading, names in describe.groups(of_kind("methods")))


def method_page(name: str) -> str:
    """The page of the method ``name``."""
    cls = of_kind("methods")[name]
    return page(cls, Method, section("Use", "\n".join(facts(cls))), section("Measured cost", cost(name)), section("Results", results(name)))


def facts(cls: Any) -> Iterator[str]:
    """What a method declares, and how it is named."""
    links = ", ".join(f"[`method/{path.stem}`](../../experiments/method/{path.name})" for path in overlays().get(cls.__name__, []))
    losses = sorted({thing.__name__ for thing in parts(cls)} & of_kind("losses").keys())
    if paper := describe.described(cls, []).paper:
        yield f"- Paper: {paper}"
    yield f"- Setting: {cls.setting}, see [settings](../concepts/settings.md)"
    yield f"- Training batch: `{describe.batch_of(cls)}`, see [batches](../concepts/batches.md)"
    yield f"- On the command line: `--model {cls.__name__}`" + (f"; overlays: {links}" if links else "")
    if losses:
        yield f"- Losses: {', '.join(f'[{loss}](../losses/{loss}.md)' for loss in losses)}"
    if cls.takes_no_loss:
        yield f"- It takes no further loss: {cls.takes_no_loss}"


@functools.cache
def overlays() -> dict[str, list[Path]]:
    """The overlays of each method."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "experiments/method").glob("*.yaml")):
        model = yaml.safe_load(path.read_text(encoding="utf-8")).get("model") or {}
        found.setdefault(str(model.get("class_path")), []).append(path)
    return found


def cost(name: str) -> str:
    """The processor time of a training step beside source only's, of the rows of the digits table that are of the method ``name``."""
    lines = [line for table, line in rows_of(name) if table == "digits" and line.method in COST]
    rows = [
        [line.label, *(f"{COST[line.method][key]:.{digits}f}" for key, digits in (("ratio", 2), ("milliseconds", 1)))] for line in lines
    ]
    shown = grid(["row", "× source only", "ms per step"], rows)
    measured = "A training step of LeNet at 28 x 28, 64 + 64 images, one thread: [cost.json](../../benchmarks/methods/cost.json)."
    return shown and f"{shown}\n{measured}\n"


def results(name: str) -> str:
    """The rows of all committed tables that are of the method ``name``."""
    rows = []
    for table, line in rows_of(name):
        link = f"[{tables()[table].title}](../../benchmarks/results/{table}/table.md)"
        row = f"{line.label}{' (oracle)' * line.oracle}"
        rows.append([link, row, tables()[table].metric_name, f"{line.mean:.1f} ± {line.std:.1f}"])
    said = (
        "The average over the transfer tasks, ± the standard deviation over seeds. Tables have protocols of their own: compare within one."
    )
    shown = grid(["table", "row", "metric", "average"], rows)
    return shown and f"{shown}\n{said}\n"
