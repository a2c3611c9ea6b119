"""Captions as a task: what is taught, written, measured and refused; data of emoji with their names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import tlda
from tests.helpers.toy import Tiny, trainer
from tlda.batch import Output
from tlda.data import Domain, DomainPair, Images
from tlda.errors import UserError
from tlda.methods import CDAN, DANN, AdaBN, SourceOnly
from tlda.tasks import Caption

WORDS = ["blue", "green", "left", "red", "right"]
END = len(WORDS) + 1


class Spots(DomainPair):
    """Images of 4 x 4 whose first row has a bright place, and whose second row has another: captions of two words. The target is darker."""

    source, target = "light", "dark"

    def __init__(self, batch_size: int = 16, steps: int | None = 2, blind: bool = False, **kwargs: Any) -> None:
        super().__init__(batch_size=batch_size, steps=steps, **kwargs)
        self.blind = blind

    @property
    def task(self) -> Caption:
        return Caption(WORDS, 4, width=16, pictures=not self.blind, beams=2)

    def load(self) -> tuple[Domain, Domain]:
        light, dark = ((self.spots(96, bright, seed), self.spots(48, bright, seed + 1)) for bright, seed in ((200, 0), (150, 2)))
        return Domain("light", light[0], light[1]), Domain("dark", dark[0], dark[1])

    @staticmethod
    def spots(count: int, bright: int, seed: int) -> Images:
        colour, side = (torch.randint(n, (count,), generator=torch.Generator().manual_seed(seed + 7 * n)) for n in (3, 2))
        images = torch.full((count, 1, 4, 4), 30, dtype=torch.uint8)
        images[torch.arange(count), 0, 0, colour] = bright
        images[torch.arange(count), 0, 2, side] = bright
        numbers = torch.stack([torch.tensor([1, 2, 4])[colour], torch.tensor([3, 5])[side], torch.full((count,), END)], 1)
        return Images(images, torch.nn.functional.pad(numbers, (0, 1), value=-1))


def test_the_loss_is_that_of_the_words_and_of_the_end() -> None:
    task, y = Caption(["a", "b"], 3), torch.tensor([[1, 2, 3], [2, 3, -1]])
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    logs = logits.float().log_softmax(2)
    each = [logs[0, 0, 1], logs[0, 1, 2], logs[0, 2, 3], logs[1, 0, 2], logs[1, 1, 3]]
    torch.testing.assert_close(task.loss(logits, y), -torch.stack(each).mean())
    torch.testing.assert_close(task.risk(logits, y), torch.stack([-torch.stack(each[:3]).mean(), -torch.stack(each[3:]).mean()]))
    assert task.known(torch.tensor([[1, 3, -1], [-1, -1, -1]])).tolist() == [True, False]
    with pytest.raises(UserError, match="has no loss, which is of the words that are taught: select by word_f1"):
        task.loss(torch.zeros(2, 4), y)


def test_answers_are_words() -> None:
    written = torch.tensor([[4.0, 3.0, END, END, -0.5], [2.0, 5.0, 1.0, 1.0, -2.0]])
    found = Caption(WORDS, 4).answers(Output(torch.zeros(2, 1), written), torch.zeros(2))
    assert found == {"caption": ["red left", "green right blue blue"], "log_probability": [-0.5, -2.0]}


@pytest.mark.parametrize("kind", [DANN, AdaBN])
def test_losses_of_features_run_unchanged_and_those_of_classes_say_so(kind: Any) -> None:
    data, run = Spots(), trainer(1)
    method = kind(backbone=Tiny(), task=data.task)
    run.fit(method, datamodule=data)
    (_, found) = run.test(method, datamodule=data, verbose=False)
    assert {f"test/target/{name}" for name in ("word_f1", "exact", "bleu2", "cider")} <= set(found)
    with pytest.raises(UserError, match="the loss 'domain' looks at the classes of a row, and Caption has none"):
        CDAN(backbone=Tiny(), task=data.task)


def test_captions_are_learnt_by_looking() -> None:
    """Without the picture, the broken copy, the most that can be right is the likeliest pair of words."""
    found = {}
    for blind in (False, True):
        torch.manual_seed(0)
        data, run = Spots(steps=60, blind=blind, seed=0), trainer(1, limit_val_batches=0)
        method = SourceOnly(backbone=Tiny(16, dropout=0.0), task=data.task, optimizer=tlda.optim.Adam(0.02))
        run.fit(method, datamodule=data)
        found[blind] = run.test(method, datamodule=data, verbose=False)[0]
    assert found[False]["test/source/word_f1"] > 0.9
    assert found[False]["test/source/exact"] > 0.8
    assert found[True]["test/source/word_f1"] < 0.7


def test_options_out_of_range_are_one_sentence() -> None:
    with pytest.raises(UserError, match="a width that 4 divides"):
        Caption(["a"], 3, width=6)
