"""From one modality to another: what pairs teach, what their absence does not, and who stays as it was."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor

from tests.helpers.toy import CLASSES, Tiny, Toy, blobs, trainer
from tlda.backbones import Pixels
from tlda.data import Domain, Images, Pairs
from tlda.method import Method
from tlda.methods import Contrastive, Distill, SourceOnly
from tlda.methods.from_pairs import FromPairs
from tlda.optim import Adam

FOLDER = tempfile.TemporaryDirectory()


class Other(Toy):
    """The blobs in another modality: the pixels in another order, in which the first network is lost."""

    def load(self) -> tuple[Domain, Domain]:
        def rows(seed: int) -> Images:
            images, labels = blobs(self.n, 0.0, seed)
            return Images(images.flatten(1)[:, torch.arange(16).roll(5)].view(-1, 1, 4, 4), labels)

        return Domain("heard", rows(5)), Domain("heard again", rows(6))


@functools.cache
def teacher() -> str:
    """The checkpoint of a network that knows the first modality."""
    seed_everything(0, verbose=False)
    run, data = trainer(1, limit_val_batches=0), Toy(steps=40)
    run.fit(SourceOnly(backbone=Tiny(dropout=0.0), task=data.task, optimizer=Adam(0.02)), data)
    run.save_checkpoint(path := f"{FOLDER.name}/teacher.ckpt")
    return path


def learnt(cls: type[FromPairs], starts: bool = True, shuffled: bool = False, **options: Any) -> tuple[FromPairs, dict[str, float]]:
    """A network that learnt the other modality from pairs, and its measures on what it has not seen."""
    seed_everything(1, verbose=False)
    data = Pairs(Toy(shift=0.0), Other(), shuffled=shuffled, batch_size=16, steps=60)
    start = teacher() if starts else None
    method = cls(backbone=Tiny(dropout=0.0), task=CLASSES, init_from=start, teacher=Tiny(dropout=0.0), optimizer=Adam(0.02), **options)
    run = trainer(1, limit_val_batches=0)
    run.fit(method, data)
    return method, {name: value for part in run.test(method, data, verbose=False) for name, value in part.items()}


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Distill, Contrastive])
def test_it_learns_from_pairs_and_not_from_torn_ones_or_from_one_who_knows_nothing(cls: type[FromPairs]) -> None:
    method, found = learnt(cls)
    assert found["test/target/accuracy"] > 0.9
    assert found["test/target/recall_at_1"] > 0.8
    assert found["test/target/of_a/recall_at_10"] >= found["test/target/of_a/recall_at_1"] > 0.8
    known = torch.load(teacher(), weights_only=True)["state_dict"]
    for name, value in method.teacher.state_dict().items():
        assert torch.equal(value, known[f"network.{name}"]), name  # bit for bit, the running statistics too
    torn, unknowing = learnt(cls, shuffled=True)[1], learnt(cls, starts=False)[1]
    assert torn["test/target/accuracy"] < 0.6 > unknowing["test/target/accuracy"]


def test_the_pairs_move_the_network_and_a_teacher_of_other_weights_moves_it_elsewhere() -> None:
    """Alive: the answers follow from what the teacher says of ``a``."""
    weights: list[Tensor] = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        heard = Tiny(dropout=0.0)
        seed_everything(0, verbose=False)
        method = Distill(backbone=Tiny(dropout=0.0), task=CLASSES, teacher=heard)
        trainer(1, limit_val_batches=0).fit(method, Pairs(Toy(), Other(), batch_size=16, steps=2))
        weights.append(torch.cat([value.flatten() for value in method.backbone.parameters()]).detach())
    assert not torch.equal(*weights)


def test_a_probe_starts_from_the_network_and_not_from_the_teacher(tmp_path: Any) -> None:
    seed_everything(0, verbose=False)
    data = Pairs(Toy(), Other(), batch_size=16, steps=2)
    method = Contrastive(backbone=Tiny(), task=CLASSES, teacher=Pixels(size=4, channels=1))
    run = trainer(1, limit_val_batches=0)
    run.fit(method, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    probe: Method = SourceOnly(backbone=Tiny(), task=CLASSES, init_from=str(tmp_path / "a.ckpt"))
    trainer().validate(probe, data, verbose=False)
    for key, value in method.backbone.state_dict().items():
        assert torch.equal(value, probe.backbone.state_dict()[key])
