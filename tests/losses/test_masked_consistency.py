"""MIC's loss against a closed form, its patches, and that what it teaches is learnt under source only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor

from tests.helpers.toy import Tiny, trainer
from tests.helpers.toys import ROWS, Plane
from tests.methods.test_learning import fit
from tlda.errors import UserError
from tlda.losses import MIC, masked_consistency
from tlda.losses.masked_consistency import covered
from tlda.methods import DANN, SourceOnly
from tlda.nn import MovingAverage
from tlda.optim import Adam
from tlda.tasks import Classification


def test_masked_consistency(conforms) -> None:  # type: ignore[no-untyped-def]
    teacher = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])

    def reference(logits: np.ndarray) -> float:
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        t = np.exp(teacher) / np.exp(teacher).sum(1, keepdims=True)
        return float(-(t[0, 0] * log_p[0, 0] + t[1, 1] * log_p[1, 1]) / 2)

    conforms(lambda x: masked_consistency(x, torch.tensor(teacher)), reference, np.array([[0.1, 0.7, -0.4], [1.0, 0.2, 0.3]]))


def test_whole_patches_are_covered() -> None:
    torch.manual_seed(0)
    image = covered(torch.ones(200, 2, 8, 8), 0.7, 0.25)
    patches = image.view(200, 2, 4, 2, 4, 2)
    assert torch.equal(patches, patches[:, :1, :, :1, :, :1].expand_as(patches))
    assert float(image.mean()) == pytest.approx(0.3, abs=0.02)
    assert covered(torch.ones(1, 1, 5, 7), 0.5, 0.5).shape == (1, 1, 5, 7)


class Clues(Plane):
    """The first coordinate tells two classes; in the target, where a third of the rows lack it, the second does too."""

    task = Classification(["left", "right"])

    def points(self, labels: Tensor, is_target: bool, generator: torch.Generator) -> Tensor:
        side = 2.0 * labels - 1
        first = side * (torch.arange(ROWS) % 6 > 1) if is_target else side
        return torch.stack((first, side * is_target), 1) + 0.15 * torch.randn(ROWS, 2, generator=generator)


def reached(loss: MIC | None) -> float:
    """The accuracy on the target at the end of a run of source only with the loss."""
    seed_everything(0, verbose=False)
    method = SourceOnly(backbone=Tiny(16, 0.0, False), task=Clues().task, optimizer=Adam(5e-3), plus=[loss] if loss else None)
    rows = fit(method, Clues()).test(method, Clues(), verbose=False)
    return next(row["test/target/accuracy"] for row in rows if "test/target/accuracy" in row)


def test_what_is_seen_beside_what_is_covered_is_learnt_and_by_a_broken_copy_not() -> None:
    class Broken(MIC):
        def forward(self, *arguments: object) -> Tensor:
            return super().forward(*arguments).detach()  # type: ignore[arg-type]

    alone, broken, found = reached(None), reached(Broken(ratio=0.5, patch=0.25)), reached(MIC(ratio=0.5, patch=0.25))
    print(f"source only {alone:.3f}, broken {broken:.3f}, MIC {found:.3f}")
    assert found >= alone + 0.05
    assert broken < alone + 0.05


def test_the_teacher_follows_the_network_and_is_in_the_checkpoint() -> None:
    method = DANN(backbone=Tiny(), task=Clues().task, hidden=8, plus=[MIC(momentum=0.5)])
    run = trainer(1, limit_val_batches=0)
    run.fit(method, Clues(steps=3))
    loss = method.losses["mic"]
    assert isinstance(loss, MIC)
    assert loss.begun
    weights = [(mine, theirs) for mine, theirs in zip(loss.teacher.parameters(), method.network.parameters(), strict=True)]
    assert all(not mine.requires_grad for mine, _ in weights)
    assert any(not torch.equal(mine, theirs) for mine, theirs in weights)
    assert any(name.startswith("losses.mic.teacher") for name in method.state_dict())


def test_the_teacher_follows_once_a_step_of_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    momenta: list[float] = []
    monkeypatch.setattr(MovingAverage, "follow", lambda self, momentum, *parts: momenta.append(momentum))
    method = SourceOnly(backbone=Tiny(), task=Clues().task, plus=[MIC(momentum=0.5)])
    trainer(1, limit_val_batches=0, accumulate_grad_batches=2).fit(method, Clues(steps=6))
    assert momenta == [0.5, 0.5], "the first step begins with the network itself"


@pytest.mark.parametrize("options", [{"ratio": 0.0}, {"ratio": 1.0}, {"patch": 0.0}, {"patch": 1.5}])
def test_bad_options_are_a_sentence(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="ratio is between 0 and 1, patch above 0 and at most 1"):
        MIC(**options)
