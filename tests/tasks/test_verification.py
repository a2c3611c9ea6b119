"""Verification under methods: margins in training alone, exact resume, bf16, checkpoints, and that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.saves import Saves
from tests.helpers.toy import Tiny, Toy, trainer
from tlda.batch import Output
from tlda.data import Domain, Images
from tlda.data.rows import Subset
from tlda.method import Method
from tlda.methods import DANN, ImportanceWeighting, SourceOnly
from tlda.network import Head
from tlda.nn.margins import arcface_logits, cosface_logits
from tlda.optim import Adam
from tlda.tasks import Task, Verification

PEOPLE, IMAGES = 8, 6


def people(seed: int, first: int) -> Images:
    """Images (n, 1, 4, 4) of bytes: each person has two bright spots of a pattern of its own, beside much noise in the lower half."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(PEOPLE * IMAGES) % PEOPLE
    patterns = torch.stack([100.0 * torch.tensor([(n >> bit) & 1 for bit in (0, 1, 2)] * 2 + [1, 0]) for n in range(PEOPLE)])
    images = torch.cat(
        [20 + patterns[y] + 10 * torch.randn(len(y), 8, generator=generator), 255 * torch.rand(len(y), 8, generator=generator)], 1
    )
    return Images(images.clamp(0, 255).to(torch.uint8).view(-1, 1, 4, 4), y + first)


class People(Toy):
    """Two domains of eight people; four are trained on, four measured."""

    @property
    def task(self) -> Task:
        return Verification([f"person {number}" for number in range(4)], 4)

    def load(self) -> tuple[Domain, Domain]:
        parts = [people(0, 0), people(1, 0)]
        rows = [[Subset(part, flags.nonzero().flatten()) for flags in (part.labels < 4, part.labels >= 4)] for part in parts]
        unnamed = Subset(Images(parts[1].images, torch.full_like(parts[1].labels, -1)), rows[1][0].rows)
        return Domain("one", rows[0][0], rows[0][1]), Domain("two", unnamed, rows[1][1], labelled=False)


def made(cls: type[Method] = DANN, **options: Any) -> Method:
    torch.manual_seed(0)
    return cls(backbone=Tiny(), task=People().task, **{"head": Head(temperature=0.1, arcface=0.3), **options})


def same(first: Method, second: Method) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_run_goes_on_exactly_and_a_checkpoint_is_the_same(tmp_path: Path) -> None:
    whole, resumed = made(), made()
    run = trainer(2, enable_checkpointing=True, callbacks=[Saves(tmp_path, 9)])
    run.fit(whole, People())
    trainer(2).fit(resumed, People(), ckpt_path=tmp_path / "after-9.ckpt", weights_only=True)
    same(whole, resumed)
    run.save_checkpoint(tmp_path / "end.ckpt")
    other = made()
    assert trainer().test(other, People(), ckpt_path=tmp_path / "end.ckpt", verbose=False, weights_only=True) == run.test(
        whole, People(), verbose=False
    )
    same(whole, other)


def test_bf16_trains() -> None:
    method = made()
    run = trainer(1, precision="bf16-mixed", limit_val_batches=0)
    run.fit(method, People())
    measured = run.test(method, People(), verbose=False)
    assert all(0 <= value <= 1 for metrics in measured for name, value in metrics.items() if "threshold" not in name)


def auc_after(method: Method, epochs: int) -> float:
    run = trainer(epochs, limit_val_batches=0)
    run.fit(method, People(steps=30))
    return float(run.test(method, People(), verbose=False)[0]["test/source/auc"])


@pytest.mark.slow
@pytest.mark.parametrize("head", [None, Head(temperature=0.1, arcface=0.3)])
def test_names_of_some_people_teach_to_tell_others_apart(head: Head | None) -> None:
    options: dict[str, Any] = {"optimizer": Adam(lr=0.01), "head": head}
    assert auc_after(made(SourceOnly, **options), 2) > auc_after(made(SourceOnly, optimizer=Adam(lr=0.0), head=head), 1) + 0.05


class Watched(SourceOnly):
    """Keeps the logits and labels of its last step, and its loss."""

    seen: tuple[Tensor, Tensor, Tensor]

    def task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = super().task_loss(logits, labels)
        self.seen = logits.detach(), labels, loss.detach()
        return loss


@pytest.mark.parametrize(
    ("head", "logits_of"),
    [
        (Head(temperature=0.1, arcface=0.3), lambda cosines, y: arcface_logits(cosines, y, 0.3, 10.0)),
        (Head(temperature=0.1, cosface=0.2), lambda cosines, y: cosface_logits(cosines, y, 0.2, 10.0)),
    ],
    ids=["arcface", "cosface"],
)
def test_a_step_has_the_margin_of_the_head(head: Head, logits_of: Any) -> None:
    method = made(Watched, head=head)
    trainer(1, limit_val_batches=0).fit(method, People(steps=1))
    assert isinstance(method, Watched)
    logits, y, loss = method.seen
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits_of(logits / 10, y), y))
    weighted = made(ImportanceWeighting, head=head)
    torch.testing.assert_close(weighted.network.with_labels(logits, y), logits_of(logits / 10, y))


def test_people_of_no_class_of_the_head_teach_nothing_and_rows_are_compared_by_their_features() -> None:
    task = Verification(["ann", "bob"], 3)
    logits, y = torch.tensor([[2.0, 0.0], [0.0, 5.0], [1.0, 1.0]]), torch.tensor([0, 7, -1])
    assert task.loss(logits, y).item() == pytest.approx(-torch.log_softmax(logits[0], 0)[0].item())
    assert task.risk(logits, y)[1:].tolist() == [0.0, 0.0]
    output = Output(torch.rand(3, 4), logits)
    assert task.answers(output, None)["nearest"] == ["ann", "bob", "ann"]  # type: ignore[arg-type]
