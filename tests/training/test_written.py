"""What a test writes as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from tests.conftest import Tlda
from tlda.training.measured import Measured
from tlda.training.written import outcome, per_class, write_outcome


@pytest.mark.slow
def test_numbers_are_those_of_the_test(tlda: Tlda, trained: Path) -> None:
    done = tlda("test", "--ckpt_path", trained, "--output", "there/metrics.json", "--trainer.enable_progress_bar=false")
    assert done.code == 0, done.err
    found = json.loads(Path("there/metrics.json").read_text())
    counts = torch.tensor(found["confusion"]["counts"])
    assert counts.shape == (10, 10)
    assert found["metrics"]["test/target/accuracy"] == pytest.approx(float(counts.trace() / counts.sum()))
    assert found["accuracy_per_class"]["3"] == pytest.approx(float(counts[3, 3] / counts[3].sum()))
    assert found["confusion"]["classes"] == [str(digit) for digit in range(10)]
    assert found["checkpoint"] == str(trained / "checkpoints" / "last.ckpt")
    (config,) = Path("runs").rglob("config.yaml")
    assert "output:" not in config.read_text(), "by its configuration a run can be trained again"


def test_what_has_no_value_is_null(tmp_path: Path) -> None:
    assert per_class(["a", "b"], [[3, 1], [0, 0]]) == {"a": 0.75, "b": None}
    measures = SimpleNamespace(matrix=lambda: None, first=SimpleNamespace(task=SimpleNamespace(classes=())))
    method = cast(Any, SimpleNamespace(measures=measures, recipe={}))
    found = outcome(cast(Measured, method), {"test/target/rmse": torch.tensor(torch.nan), "test/source/rmse": torch.tensor(0.5)})
    assert found == {"method": "SimpleNamespace", "metrics": {"test/target/rmse": None, "test/source/rmse": 0.5}}
    write_outcome(tmp_path / "m.json", found)
    assert json.loads((tmp_path / "m.json").read_text()) == found
