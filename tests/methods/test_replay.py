"""Zero-shot, which trains nothing, and fine-tuning that rehearses the source in a share of its steps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.batch import LabelledBatch, LabelledPair
from tlda.errors import UserError
from tlda.methods import FineTune, ZeroShot
from tlda.methods.fine_tune import rehearses


def test_zero_shot_trains_nothing_whatever_the_optimizer() -> None:
    method = ZeroShot(backbone=Tiny(), task=CLASSES)
    before = copy.deepcopy(method.state_dict())
    trainer(2).fit(method, Toy())
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


@pytest.mark.parametrize(("share", "steps"), [(0.1, [9, 19]), (0.5, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]), (0.3, [3, 6, 9, 13, 16, 19])])
def test_a_share_of_the_steps_rehearses_at_equal_distances(share: float, steps: list[int]) -> None:
    assert [step for step in range(20) if rehearses(step, share)] == steps


class Told(FineTune):
    """Notes whose labels each step learns."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.fields: list[str] = []

    def learnt(self, batch: LabelledPair | LabelledBatch) -> Any:
        found = super().learnt(batch)
        self.fields.append(next(name for name, part in batch._asdict().items() if part is found))
        return found


def test_fine_tuning_rehearses_the_source() -> None:
    method = Told(backbone=Tiny(), task=CLASSES, pretrain=0.0, replay=0.5)
    trainer(1, limit_val_batches=0).fit(method, Toy())
    assert method.fields[::2] == ["labelled", "source"] * 3  # it is asked twice in a step
    assert FineTune(backbone=Tiny(), task=CLASSES, pretrain=0.0).batch_type is LabelledBatch
    with pytest.raises(UserError, match=r"--model.replay is 1.0: it is a fraction of the steps, between 0 and 1$"):
        FineTune(backbone=Tiny(), task=CLASSES, replay=1.0)
