"""DACS: its teacher, what a batch becomes, and its terms by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.helpers.masked import Scenes, TinyDense, setup
from tests.helpers.toy import Tiny, trainer
from tlda.batch import Pair
from tlda.errors import UserError
from tlda.methods import DACS
from tlda.optim import Adam


def batch_of(data: Any, n: int = 4) -> Any:
    rows = torch.arange(n)
    return data.augmented(Pair(*(data.training_rows()[field][rows] for field in Pair._fields)))


def made(**options: Any) -> DACS:
    torch.manual_seed(0)
    return DACS(backbone=TinyDense(), task=Scenes().task, **options)


def test_labels_of_the_teacher_weigh_what_is_sure_of_them_and_those_of_the_source_1() -> None:
    batch, method = batch_of(setup(Scenes())), made(threshold=0.6, strong=[])
    confidence, labels = method.teacher(batch.target.x).softmax(1).max(1)
    (_, target), weights = method.mixed(batch)
    sure = float((confidence >= 0.6).float().mean())
    assert 0 < sure < 1
    pasted = weights == 1
    assert torch.equal(weights[~pasted], torch.full_like(weights[~pasted], sure))
    assert torch.equal(target.y, torch.where(pasted, batch.source.y, labels))
    positions = target.x[:, :, ::2, ::2].permute(0, 2, 3, 1).flatten(0, 2)
    expected: Any = [x[:, :, ::2, ::2].permute(0, 2, 3, 1).flatten(0, 2) for x in (batch.source.x, batch.target.x)]
    assert torch.equal(positions, torch.where(pasted[:, None], expected[0], expected[1]))
    assert torch.equal(target.row, batch.target.row)


def test_mixed_images_change_as_in_the_authors_code() -> None:
    strong: Any = made().strong
    colours, blur = strong
    assert (colours.transform, colours.options, colours.p) == (
        "ColorJitter",
        dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.25),
        0.8,
    )
    assert (blur.transform, blur.options["sigma"], blur.p) == ("GaussianBlur", (0.15, 1.15), 0.5)
    x = torch.rand(64, 3, 8, 8)
    assert 0.2 < (blur(x) == x).flatten(1).all(1).float().mean() < 0.8
    assert 0.05 < (colours(x) == x).flatten(1).all(1).float().mean() < 0.4


def test_a_step_learns_the_source_and_the_mixed_images(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, method = batch_of(setup(Scenes())), made(strong=[], trade_off=0.5)
    mixed, weights = method.mixed(batch)
    monkeypatch.setattr(method, "mixed", lambda batch: (mixed, weights))
    monkeypatch.setattr(method, "total", lambda terms: terms)
    terms: Any = method.training_step(batch, 0)
    of_source = method(batch.source.x).logits
    assert terms["task"] == cross_entropy(of_source, batch.source.y)
    losses = cross_entropy(method(mixed[1].x).logits, mixed[1].y, reduction="none")
    torch.testing.assert_close(terms["mixed"], 0.5 * (weights * losses).mean())


def test_the_teacher_is_the_mean_of_the_weights_and_then_follows() -> None:
    """Of the first ones it is the plain mean; a checkpoint has it, and a run that goes on goes on with it."""
    seen: list[torch.Tensor] = []

    class Watched(DACS):
        """A DACS that remembers its first weight at the beginning of each step."""

        def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
            seen.append(next(self.network.parameters()).detach().clone())
            super().on_train_batch_start(batch, batch_idx)

    torch.manual_seed(0)
    method = Watched(backbone=TinyDense(), task=Scenes().task, momentum=0.6, optimizer=Adam(0.1))
    trainer(1, limit_val_batches=0).fit(method, Scenes())
    expected = torch.stack(seen[:2]).mean(0)
    for weights in seen[2:]:
        expected = 0.6 * expected + 0.4 * weights
    assert len(seen) == 4
    torch.testing.assert_close(next(method.teacher.parameters()), expected)
    assert any(name.startswith("teacher.") for name in method.state_dict())
    assert not any(parameter.requires_grad for parameter in method.teacher.parameters())


def test_a_task_without_pixels_is_refused() -> None:
    with pytest.raises(UserError, match="DACS pastes the pixels of classes, and Classification has none"):
        DACS(backbone=Tiny(), task=3)
