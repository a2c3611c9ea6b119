"""The pictures of a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.helpers.toy import Toy
from tlda.report import pictures


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_said_and_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: float
) -> None:
    features = torch.tensor([[0.0, 1.0], [bad, 1.0]])
    monkeypatch.setattr(pictures, "collect", lambda *_: (features, torch.zeros(2), torch.zeros(2)))
    data = Toy()
    data.setup("fit")
    trainer: Any = SimpleNamespace(is_global_zero=True, datamodule=data, loggers=[])
    pictures.Pictures(tmp_path).on_fit_end(trainer, SimpleNamespace())  # type: ignore[arg-type]
    assert "the features are not finite (NaN or infinite), so that there are no pictures" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
