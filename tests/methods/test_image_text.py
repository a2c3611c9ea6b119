"""A pair of towers learns names, answers for others, and is a start for what takes a CLIP; prompts that learn."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from tests.helpers.tiny_text import tiny_model
from tests.helpers.toy import Tiny, Toy, trainer
from tlda.backbones import Pixels, Precomputed, Text, Towers
from tlda.backbones.text_tower import tower_of
from tlda.batch import Pair, Sample, Unlabelled
from tlda.errors import UserError
from tlda.finetuning import LinearProbe
from tlda.losses import clip
from tlda.method import Method
from tlda.methods import DAPL, CoOp, ImageText, SourceOnly, TipAdapter, TipAdapterF
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


def test_prompts_with_words_of_each_domain_contrast_the_names_of_both() -> None:
    method, _ = fit(DAPL, threshold=0.5, trade_off=2.0)
    head, x, y = method.network.head, torch.rand(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    method.log = lambda *given: logged.append(given)
    logged: list[Any] = []
    with torch.no_grad():
        head.domains[1] += 0.5
        tower, scale = head.tower[0], 1 / float(head.tower[0].temperature)
        context = [torch.cat((head.context, own)) for own in head.domains]
        sentences = tower.tokens([f"a photo of a picture of a {name}." for name in method.task.classes])
        texts = torch.cat([normalize(tower.with_context(sentences, own), dim=1) for own in context])
        source, target = (scale * normalize(method.features(rows), dim=1) @ texts.T for rows in (x, x.flip(0)))
        zero_shot = (
            scale
            * normalize(method.features(x.flip(0)), dim=1)
            @ normalize(tower(tower.tokens([f"a photo of a {name}." for name in method.task.classes])), dim=1).T
        )
        confident = zero_shot.softmax(1).max(1)
        own_term = -source.log_softmax(1)[range(6), y].mean()
        passes = confident.values >= 0.5
        pseudo = -2 * (passes * target.log_softmax(1)[range(6), 3 + confident.indices]).mean()
    rows = torch.arange(6)
    batch = Pair(Sample(x, y, rows), Unlabelled(x.flip(0), rows))
    terms = method.train().objective(batch, *method.forward_pair(batch))
    torch.testing.assert_close(terms, {"task": own_term, "pseudo": pseudo}, atol=1e-4, rtol=1e-4)
    assert 0 < float(passes.float().mean()) == float(logged[0][1])
    torch.testing.assert_close(method.eval()(x.flip(0)).logits, target[:, 3:], atol=1e-3, rtol=1e-3)  # the target's words answer


def test_prompts_of_both_domains_learn_and_the_towers_stay() -> None:
    start, _ = fit(DAPL)
    learnt, accuracy = fit(DAPL, Named(steps=10), 1, optimizer=Adam(0.01))
    moved = {n for n, value in learnt.network.state_dict().items() if not torch.equal(value, start.network.state_dict()[n])}
    assert moved == {"head.context", "head.domains"}
    assert accuracy > 0.7  # of the source, by the target's words
    assert not torch.equal(*learnt.network.head.domains)
    deaf, _ = fit(DAPL, Named(steps=10), 1, optimizer=Adam(0.01), trade_off=0.0)
    target = learnt.trainer.datamodule.loaded[1].train[torch.arange(48)]
    with torch.no_grad():  # by the names in both domains, of which the target's are right
        both = [method.network.head.of_both(method.features(target.x.float() / 255)) for method in (learnt, deaf)]
    told, untold = (float(cross_entropy(logits, 3 + target.y)) for logits in both)
    assert told < untold - 0.1


def test_kept_rows_learn_and_a_checkpoint_has_them() -> None:
    # Names that lie, which kept rows mend better where they learn.
    data = Other(steps=40)
    start, _ = fit(TipAdapterF, data, head=OWN)
    learnt, _ = fit(TipAdapterF, data, 1, head=OWN, optimizer=Adam(0.05))
    rows = data.loaded[0].train[torch.arange(48)]
    x = rows.x.float() / 255
    kept, _ = fit(TipAdapter, data, head=OWN)
    torch.testing.assert_close(start(x).logits, kept.answer(x, "target").logits, atol=1e-3, rtol=1e-3)
    before, after = (float(cross_entropy(method(x).logits, rows.y)) for method in (start, learnt))
    assert after < before - 0.01
    assert all(torch.equal(value, start.network.state_dict()[name]) for name, value in learnt.network.state_dict().items())
    learnt.trainer.save_checkpoint(path := f"{FOLDER.name}/kept.ckpt")
    loaded = TipAdapterF.load_from_checkpoint(path, backbone=towers(), task=data.task, head=OWN, weights_only=False)
    torch.testing.assert_close(loaded.eval()(x).logits, learnt(x).logits)


def test_constants_of_learnt_rows_are_chosen_on_the_source() -> None:
    method, _ = fit(TipAdapterF, Other(steps=2), 1, head=OWN, search=True)
    found = method.alpha, method.sharpness
    rows = method.trainer.datamodule.evaluation_rows[0]
    held = rows[torch.arange(len(rows))]
    x = held.x.float() / 255
    best = float((method(x).logits.argmax(1) == held.y).float().mean())
    for alpha, sharpness in ((0.0, 5.5), (1.0, 5.5), (0.1, 20.0)):
        method.alpha, method.sharpness = alpha, sharpness
        assert best >= float((method(x).logits.argmax(1) == held.y).float().mean())
    assert found != (1.0, 5.5)


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
    with pytest.raises(UserError, match="give some of both"):
        DAPL(backbone=towers(), task=3, domain_words="")
    with pytest.raises(UserError, match="give sentences with"):
        ImageText(backbone=towers(), task=3, prompts=["a name"])
    with pytest.raises(UserError, match="makes its own: leave it out"):
        ImageText(backbone=towers(), task=3, head=OWN)
