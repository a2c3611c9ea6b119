"""The pages of scripts that measure: numbers are kept as JSON, and a page is written from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tlda.writing import write_text


def write_measured(folder: Path, measure: Callable[[], dict[str, Any]], page: Callable[[dict[str, Any]], str]) -> None:
    """Write what ``measure`` gives to ``results.json`` in ``folder``, and its ``page`` to ``README.md`` there.

    With ``--render`` in the command nothing is measured: the page is written from the numbers that are there.
    """
    path = folder / "results.json"
    if "--render" not in sys.argv[1:]:
        write_text(path, json.dumps(measure(), indent=1) + "\n")
    write_text(folder / "README.md", page(json.loads(path.read_text(encoding="utf-8"))))
    print(f"wrote {path.name} and README.md")


def task_columns(tasks: Iterable[str]) -> dict[str, str]:
    """The heads of a page's columns, one per transfer task ``SOURCE_TARGET`` by its initials, and the rule below them."""
    short = [" → ".join(name[0].upper() for name in task.split("_")) for task in tasks]
    return {"tasks": " | ".join(short), "rule": "---|" * len(short)}
