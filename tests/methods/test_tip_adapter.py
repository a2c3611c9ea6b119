"""Tip-Adapter, zero-shot and what trains from it, with a tiny CLIP."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tests.helpers.tiny_clip import SIZE, tiny_clip
from tests.helpers.toy import CLASSES, Toy, trainer
from tlda.backbones import CLIP
from tlda.data import Domain, Images
from tlda.errors import UserError
from tlda.finetuning import LinearProbe
from tlda.method import Method
from tlda.methods import SourceOnly, TipAdapter
from tlda.network import Head
from tlda.nn.affinity import affinity, chosen_constants


def test_the_affinity_is_that_of_the_paper() -> None:
    query, keys = (torch.tensor(rows, dtype=torch.float64) for rows in ([[1.0, 0.0]], [[0.5, math.sqrt(0.75)], [3.0, 0.0]]))
    torch.testing.assert_close(affinity(query, keys, 5.5), torch.tensor([[0.0639278612, 1.0]], dtype=torch.float64), atol=1e-10, rtol=0)


class Coloured(Toy):
    """Random images in colour, as large as the tiny CLIP takes them."""

    def load(self) -> tuple[Domain, Domain]:
        made = []
        for seed in range(2):
            generator, labels = torch.Generator().manual_seed(seed), torch.arange(self.n) % CLASSES
            images = torch.randint(0, 256, (self.n, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
            made.append(Images(images, labels))
        return Domain("first", made[0], made[0]), Domain("second", made[1], made[1])


def run(cls: type[Method], epochs: int = 1, data: Any = None, **options: Any) -> tuple[Any, Any]:
    """A fit from the text of the tiny CLIP, and the data."""
    seed_everything(0, verbose=False)
    data = data or Coloured(n=24, steps=2)
    method = cls(backbone=CLIP(tiny_clip()), task=data.task, head=Head(text=tiny_clip()), **options)
    fit = trainer(epochs, limit_val_batches=0)
    start = copy.deepcopy(method.network).eval()
    fit.fit(method, data)
    method.eval()
    return method, start


def images(data: Toy) -> tuple[Tensor, Tensor]:
    """The inputs in 0..1 and the labels of the source's training rows."""
    source = data.loaded[0].train
    assert isinstance(source, Images)
    return source.images.float() / 255, source.labels


X = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_nothing_trains_and_the_rows_of_the_source_pull_at_the_answers() -> None:
    method, start = run(TipAdapter, alpha=2.0, sharpness=3.0)
    assert all(torch.equal(value, start.state_dict()[name]) for name, value in method.network.state_dict().items())
    features, logits = start(X)
    x, y = images(method.trainer.datamodule)
    keys = start.features(x)
    expected = logits.clone()
    for row in range(len(X)):
        for key, label in zip(keys, y, strict=True):
            expected[row, label] += 2 * math.exp(-3 * (1 - float(cosine_similarity(features[row], key, dim=0))))
    torch.testing.assert_close(method.answer(X, "target").logits, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(method.answer(X, "source").logits, logits)


@torch.no_grad()
def test_without_weight_it_is_zero_shot_bit_for_bit() -> None:
    method, start = run(TipAdapter, alpha=0.0)
    assert torch.equal(method.answer(X, "target").logits, start(X).logits)


def test_a_few_rows_of_the_target_are_kept_where_they_are_named() -> None:
    method, _ = run(TipAdapter, rows="labelled", data=Coloured(n=24, steps=2, shots=2))
    method.answer(X, "target")
    assert method.adapted[2].sum(0).tolist() == [2.0] * CLASSES
    method, _ = run(TipAdapter, rows="labelled")
    with pytest.raises(UserError, match=r"give --data\.shots"):
        method.answer(X, "target")


def test_a_probe_starts_from_zero_shot_and_the_average_ends_there() -> None:
    method, start = run(SourceOnly, tuning=LinearProbe())
    trained, first = method.network.state_dict(), start.state_dict()
    moved = {name for name, value in trained.items() if not torch.equal(value, first[name])}
    assert moved == {"head.weight"}
    method, start = run(SourceOnly, average=0.0)
    assert torch.equal(method(X).logits, start(X).logits)


def test_constants_are_those_that_are_best_on_other_rows() -> None:
    # The network is wrong, and near rows are right: only a large weight mends it, on the scale of the logits.
    keys, values = torch.eye(2), torch.eye(2)
    logits = 10 * torch.tensor([[0.0, 0.05], [0.05, 0.0]])
    weight, sharpness = chosen_constants(torch.eye(2), logits, torch.tensor([0, 1]), keys, values, 10.0)
    assert (weight, sharpness) == (1.0, 5.5)
    # The network is right, and near rows are wrong: none is kept.
    weight, _ = chosen_constants(torch.eye(2), logits, torch.tensor([1, 0]), keys, values.flip(0), 10.0)
    assert weight == 0.1  # the first that is tried, which is as good


@torch.no_grad()
@pytest.mark.parametrize("alpha", [1.0, 0.0])
def test_constants_are_found_without_the_target(alpha: float) -> None:
    method, start = run(TipAdapter, search=True, alpha=alpha)
    method.answer(X, "target")
    data = method.trainer.datamodule
    held = data.evaluation_rows[0][torch.arange(len(data.evaluation_rows[0]))]
    kept, labels = method.adapted[1:]
    features, logits = start(held.x.float() / 255)
    scale = 1 / float(start.head.temperature)
    found = chosen_constants(features, logits, held.y, kept, labels, scale)
    assert (method.alpha, method.sharpness) == found
