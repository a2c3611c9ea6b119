"""One cell in a worker that lives long."""

from __future__ import annotations

import gc
import weakref
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tlda.bench import cell, results
from tlda.errors import UserError


class Net:
    """What refers to itself, as a network and its trainer do, and so waits for the collector."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_cell_leaves_behind_is_gone_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    left: list[weakref.ref[Net]] = []

    def run(*_: Any) -> dict[str, Any]:
        left.append(weakref.ref(Net()))
        if fails:
            raise UserError("it fails")
        return {}

    monkeypatch.setattr(results, "claim", lambda *_: nullcontext())
    monkeypatch.setattr(results, "read_result", lambda *_: None)
    monkeypatch.setattr(cell, "run_cell", run)
    one: Any = SimpleNamespace()
    gc.disable()
    try:
        cell.try_cell(tmp_path, one)
        assert left[0]() is None
    finally:
        gc.enable()
