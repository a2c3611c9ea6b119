"""What the report says of rows of numbers: the kind of shift, and which columns predictions rest on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.helpers.toy import trainer
from tlda.backbones import MLP, Precomputed
from tlda.data import Tabular
from tlda.methods import SourceOnly
from tlda.optim import Adam
from tlda.report import integrated
from tlda.report.columns import ADVICE, Shift, column_sections, dependence, domain_auc, groups, importance, said, shift_of
from tlda.report.page import Figure
from tlda.report.sections import Side
from tlda.report.seen import Outcome, Seen


def drawn(n: int, share: float, move: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows (n, 2) of two classes, of which the second has a ``share``; the second column moves, and tells no class."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < share * n).astype(int)
    rows = np.stack((3.0 * labels + rng.normal(0, 1, n), rng.normal(move, 1, n)), 1)
    return torch.tensor(rows, dtype=torch.float32), torch.tensor(labels)


def predicted(rows: Tensor) -> Tensor:
    """Logits (n, 2) by the first column."""
    score = 3 * rows[:, 0] - 4.5
    return torch.stack((torch.zeros(len(rows)), score), 1)


@pytest.mark.parametrize(
    ("share", "move", "kind"),
    [(0.5, 0.0, "none"), (0.9, 0.0, "label shift"), (0.5, 2.0, "covariate shift"), (0.9, 2.0, "label and covariate shift")],
)
def test_the_kind_of_a_made_shift(share: float, move: float, kind: str) -> None:
    (source, labels), (target, hidden) = drawn(600, 0.5, 0.0, 0), drawn(600, share, move, 1)
    seen = [Seen(rows, predicted(rows), y) for rows, y in ((source, labels), (target, torch.full_like(hidden, -1)))]
    side = Side("before", "red", SimpleNamespace(), Outcome(seen[0], seen[1], {}))  # type: ignore[arg-type]
    shift = shift_of(side, source, labels, target, 2)
    assert shift.kind == kind
    assert shift.target[1] == pytest.approx(share, abs=0.05)
    assert ADVICE[kind] in said(shift, ["ill", "well"])
    assert "ill 50 → " in said(shift, ["ill", "well"])


def test_a_confusion_that_says_nothing_is_said() -> None:
    half = torch.tensor([0.5, 0.5])
    shift = Shift(half, torch.tensor([0.0, 1.0]), 1e6, 0.9, 0.9)
    assert shift.kind == "covariate shift"
    assert "Nothing is known of how frequent the classes are" in said(shift, ["a", "b"])


def test_a_classifier_of_one_domain_is_at_chance() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (800, 3))
    assert domain_auc(rows[:400], rows[400:], np.ones(400)) == pytest.approx(0.5, abs=0.06)
    assert domain_auc(rows[:400], rows[400:] + 3, np.ones(400)) > 0.99


def test_only_the_column_that_is_read_matters() -> None:
    x, labels = drawn(300, 0.5, 0.0, 0)
    found = importance(predicted, x, labels, {"a": [0], "b": [1]})
    assert found["a"] > 30
    assert found["b"] == 0
    curve = dependence(predicted, x, 0)
    assert [value for value, _ in curve] == sorted(value for value, _ in curve)
    assert curve[0][1] < 5 < 95 < curve[-1][1]
    (value, share), *_ = curve
    assert share == pytest.approx(100 / (1 + np.exp(4.5 - 3 * value)), rel=1e-3)


def test_columns_stand_together() -> None:
    names = ["age", "age is missing", "code=a", "code=b", "sex"]
    assert groups(names) == {"age": [0, 1], "code": [2, 3], "sex": [4]}


def test_the_sections_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = []
    for seed, move in ((0, 0.0), (1, 2.0)):
        rows, labels = drawn(80, 0.5, move, seed)
        frames.append(pd.DataFrame({"dose": rows[:, 0], "age": rows[:, 1], "label": labels}))
    data = Tabular.of_frames(*frames, names=("old", "new"), batch_size=20, steps=10, holdout=0.5)  # type: ignore[misc]
    torch.manual_seed(0)
    method, run = SourceOnly(backbone=MLP(2, [8]), task=data.task, optimizer=Adam(0.02)), trainer(2)
    run.fit(method, data)
    look = []
    for held, loader in zip(data.evaluation_rows, data.val_dataloader(), strict=True):
        sample = held[torch.cat([*loader.sampler])]
        look.append(Seen(sample.x, method.eval()(sample.x).logits.detach(), sample.y))
    side = Side("after", "blue", SimpleNamespace(method=method), Outcome(look[0], look[1], {}))  # type: ignore[arg-type]
    moved, reasons = column_sections([side], data)
    assert "covariate shift" in str(moved.blocks[0])
    figures = [block for block in reasons.blocks if isinstance(block, Figure)]
    assert all(name in figures[0].plots[0] for name in ("dose", "age"))
    assert ("var(--target)", "target (oracle)") in figures[0].legend
    assert "integrated gradients" in figures[-1].caption
    monkeypatch.setattr(integrated, "is_there", lambda: False)
    assert "pip install 'tlda[captum]'" in str(column_sections([side], data)[1].blocks[-1])
    assert column_sections([side], SimpleNamespace()) == []  # type: ignore[arg-type]


def test_integrated_gradients_of_a_linear_network_are_its_weights_times_the_row() -> None:
    method = SourceOnly(backbone=Precomputed(3), task=2)
    x = torch.randn(5, 3)
    weight: Tensor = method.network.head.get_parameter("weight")
    torch.testing.assert_close(integrated.integrated(method, x, 1), (x * weight[1]).detach(), atol=1e-5, rtol=1e-4)
