"""A pair of towers learns names, answers for others, and is a start for what takes a CLIP; prompts that learn."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.helpers.tiny_text import tiny_model
from tests.helpers.toy import Tiny, Toy, trainer
from tlda.backbones import Pixels, Precomputed, Text, Towers
from tlda.backbones.text_tower import tower_of
from tlda.batch import Sample
from tlda.errors import UserError
from tlda.finetuning import LinearProbe
from tlda.losses import clip
from tlda.method import Method
from tlda.methods import CoOp, ImageText, SourceOnly, TipAdapter
from tlda.network import Head
from tlda.optim import Adam
from tlda.tasks import Classification, Task

FOLDER = tempfile.TemporaryDirectory()
OWN = Head(text="backbone")


class Named(Toy):
    """Blobs whose classes have names that the tiny encoder can read."""

    @property
    def task(self) -> Task:
        return Classification(["book", "film", "plot"])


class Other(Toy):
    """The same blobs, whose first and last class have changed their names."""

    @property
    def task(self) -> Task:
        return Classification(["plot", "film", "book"])


def towers(**options: Any) -> Towers:
    return Towers(Pixels(size=4, channels=1), Text(tiny_model()), **options)


@functools.cache
def pair() -> tuple[str, float]:
    """The checkpoint of a pair, and its accuracy on held-out rows of its source."""
    seed_everything(0, verbose=False)
    data = Named(steps=100, balanced=True, batch_size=3)
    method = ImageText(backbone=towers(), task=data.task, optimizer=Adam(0.01))
    run = trainer(1, limit_val_batches=0)
    run.fit(method, data)
    run.save_checkpoint(path := f"{FOLDER.name}/pair.ckpt")
    return path, run.test(method, data, verbose=False)[0]["test/source/accuracy"]


def fit(cls: type[Method], data: Toy | None = None, epochs: int = 0, **options: Any) -> tuple[Any, float]:
    """A run that starts from the pair, and its accuracy on held-out rows of the source."""
    seed_everything(0, verbose=False)
    data = data or Named()
    method = cls(backbone=towers(), task=data.task, init_from=pair()[0], **options)
    run = trainer(epochs, limit_val_batches=0)
    run.fit(method, data)
    return method.eval(), run.test(method, data, verbose=False)[0]["test/source/accuracy"]


def test_it_learns_the_names_and_follows_them() -> None:
    path, accuracy = pair()
    assert accuracy > 0.9
    assert not any("head" in name for name in torch.load(path, weights_only=True)["state_dict"])
    assert fit(TipAdapter, head=OWN, alpha=0.0)[1] == accuracy  # zero-shot, of towers that another run trained
    assert fit(TipAdapter, Other(), head=OWN, alpha=0.0)[1] < 0.5  # the third that kept its name


def test_the_term_is_the_loss_of_the_first_row_of_each_class() -> None:
    torch.manual_seed(0)
    method = ImageText(backbone=towers(), task=Named().task, prompts=["a {}"])
    x, rows = torch.rand(5, 1, 4, 4), torch.arange(5)
    term = method.terms(Sample(x, torch.tensor([2, 0, 2, -1, 0]), rows))["clip"]
    text = tower_of(method.backbone)
    expected = clip(method.features(x[:2]), text(text.tokens(["a plot", "a book"])), 0.07)
    torch.testing.assert_close(term, expected)


def test_a_probe_starts_from_the_names_and_the_average_ends_there() -> None:
    start, accuracy = fit(SourceOnly, head=OWN)
    x = torch.rand(4, 1, 4, 4)
    assert accuracy == pair()[1]
    averaged, _ = fit(SourceOnly, epochs=1, head=OWN, tuning=LinearProbe(), average=0.0)
    assert torch.equal(averaged(x).logits, start(x).logits)
    trained, _ = fit(SourceOnly, epochs=1, head=OWN, tuning=LinearProbe())
    assert not torch.equal(trained(x).logits, start(x).logits)


def test_prompts_learn_and_the_towers_stay() -> None:
    zero, _ = fit(SourceOnly, head=Head(text="backbone", prompts=["a photo of a {}."]))
    start, _ = fit(CoOp)
    x = torch.rand(4, 1, 4, 4)
    torch.testing.assert_close(start(x).logits, zero(x).logits, atol=1e-3, rtol=1e-3)
    # Names that lie, which other words before them mend in part.
    data = Other(steps=40)
    learnt, _ = fit(CoOp, data, 1, optimizer=Adam(0.05))
    rows = data.loaded[0].train[torch.arange(48)]
    before, after = (float(cross_entropy(method(rows.x.float() / 255).logits, rows.y)) for method in (start, learnt))
    assert after < before - 0.01
    moved = {n for n, value in learnt.network.state_dict().items() if not torch.equal(value, start.network.state_dict()[n])}
    assert moved == {"head.context"}


def test_maps_learnt_on_features_fit_the_network_that_computes_them() -> None:
    seed_everything(0, verbose=False)
    data = Toy()
    whole = towers()
    features = Towers(Precomputed(16), Text(tiny_model()))
    run = trainer(0)
    run.fit(learnt := ImageText(backbone=features, task=data.task), data)
    run.save_checkpoint(path := f"{FOLDER.name}/maps.ckpt")
    made = SourceOnly(backbone=whole, task=data.task, head=OWN, init_from=path)
    trainer(0).fit(made, data)
    x = torch.rand(3, 1, 4, 4)
    images: Tensor = whole.images(x)
    torch.testing.assert_close(made.eval()(x).logits, learnt.eval()(images).logits)


def test_what_has_no_texts_is_refused() -> None:
    with pytest.raises(UserError, match="Tiny has no tower of texts"):
        CoOp(backbone=Tiny(), task=3)
    with pytest.raises(UserError, match="give some words"):
        CoOp(backbone=towers(), task=3, words=" ")
    with pytest.raises(UserError, match="give sentences with"):
        ImageText(backbone=towers(), task=3, prompts=["a name"])
    with pytest.raises(UserError, match="makes its own: leave it out"):
        ImageText(backbone=towers(), task=3, head=OWN)
