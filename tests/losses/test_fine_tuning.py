"""What fine-tuning is regularised by: L2-SP, DELTA, BSS and Co-Tuning against closed forms, and the network that they hold on to."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

import tlda.methods
from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda import losses
from tlda.batch import LabelledBatch, LabelledPair, Output, Pair, SourceBatch
from tlda.errors import UserError
from tlda.finetuning import LoRA
from tlda.losses.co_tuning import category_relationship
from tlda.method import Method
from tlda.network import Network
from tlda.optim import SGD
from tlda.tasks import Classification


class Pretrained(Tiny):
    """A backbone with the classifier of four classes that it was trained with."""

    def classifier(self) -> nn.Linear:
        torch.manual_seed(3)
        return nn.Linear(self.num_features, 4)


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.2, 1.0, shape)


# The functions


def test_l2_sp(conforms: Any) -> None:
    first, second, new = rows(3, 2), rows(4, seed=1), rows(2, 2, seed=2)
    start = rows(3, 2, seed=3), rows(4, seed=4)

    def reference(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> float:
        return float(((a - start[0]) ** 2).sum() / 2 + ((b - start[1]) ** 2).sum() / 2 + 0.3 * (v**2).sum() / 2)

    conforms(lambda a, b, v: losses.l2_sp([a, b], map(torch.tensor, start), [v], 0.3), reference, first, second, new)


def test_delta(conforms: Any) -> None:
    maps = rows(2, 3, 2, 2), rows(2, 4, 3, seed=1), rows(2, 5, seed=2)  # images, tokens, features
    start = rows(2, 3, 2, 2, seed=3), rows(2, 4, 3, seed=4), rows(2, 5, seed=5)

    def reference(image: np.ndarray, tokens: np.ndarray, features: np.ndarray) -> float:
        of_image = np.mean(np.sum((image - start[0]) ** 2, axis=1))
        of_tokens = np.mean(np.sum((tokens - start[1]) ** 2, axis=2))
        return float(of_image + of_tokens + np.mean(np.sum((features - start[2]) ** 2, axis=1))) / 2

    conforms(lambda *now: losses.delta(now, [torch.tensor(x) for x in start]), reference, *maps)


@pytest.mark.parametrize("shape", [(6, 4), (3, 7)])
@pytest.mark.parametrize("k", [1, 2, 9])
def test_batch_spectral_shrinkage(conforms: Any, shape: tuple[int, int], k: int) -> None:
    def reference(x: np.ndarray) -> float:
        return float((np.sort(np.linalg.svd(x, compute_uv=False))[:k] ** 2).sum())

    conforms(lambda x: losses.batch_spectral_shrinkage(x, k), reference, rows(*shape))


def test_co_tuning(conforms: Any) -> None:
    labels = softmax(rows(5, 4, seed=1), axis=1)
    conforms(
        lambda x: losses.co_tuning(x, torch.tensor(labels)), lambda x: float(-(labels * log_softmax(x, axis=1)).sum(1).mean()), rows(5, 4)
    )


def test_category_relationship_is_the_mean_prediction_of_a_class() -> None:
    logits, labels = rows(6, 4), np.array([0, 0, 2, 2, 2, 0])
    found = category_relationship(torch.tensor(logits), torch.tensor(labels), 4, temperature=2.0).numpy()
    probabilities = softmax(logits / 2.0, axis=1)
    for c in (0, 2):
        np.testing.assert_allclose(found[c], probabilities[labels == c].mean(0))
    for c in (1, 3):  # which has no row
        np.testing.assert_allclose(found[c], probabilities.mean(0))
    np.testing.assert_allclose(found.sum(1), 1.0)


# Under methods


KINDS = [losses.L2SP, losses.DELTA, losses.BSS, losses.CoTuning]
every_kind = pytest.mark.parametrize("kind", KINDS)
ANCHORED = [losses.L2SP, losses.DELTA]


def make(kind: Any, method: Any = tlda.methods.FineTune, backbone: type[Tiny] = Pretrained, **options: Any) -> Method:
    seed_everything(0, verbose=False)
    own = {"pretrain": 0.0} if method is tlda.methods.FineTune else {}
    return method(backbone=backbone(), task=CLASSES, plus=[kind()], **own, **options)  # type: ignore[no-any-return]


def batch() -> LabelledBatch:
    data = Toy()
    data.setup("fit")
    return LabelledBatch(data.prepare(data.training_rows()["labelled"][torch.arange(12)]))


def term(method: Method) -> Tensor:
    """The loss itself, in training mode, on a batch."""
    (loss,) = method.losses.values()
    outputs = method.forward_pair(batch())
    value: Tensor = loss(batch(), *outputs, 0.0)
    return value


@every_kind
def test_fine_tuning_on_a_few_labels_without_source(kind: Any) -> None:
    method = make(kind)
    assert method.batch_type is LabelledBatch
    data = Toy(shots=2, steps=6)
    before = copy.deepcopy(method.state_dict())
    trainer(2).fit(method, data)
    assert len(data.training_rows()["labelled"]) == 2 * CLASSES
    name = kind.short_name()
    for key, value in method.state_dict().items():
        assert value.isfinite().all()
        moves = key.startswith(("network.backbone", "network.head")) or "classifier" in key
        assert not moves or not torch.equal(value, before[key]), key
    assert name in method.losses


@pytest.mark.slow
@every_kind
def test_resume_equals_uninterrupted_and_a_checkpoint_needs_nothing_else(kind: Any, tmp_path: Path) -> None:
    whole, keep = make(kind), ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer(4, enable_checkpointing=True, callbacks=[keep]).fit(whole, Toy())
    torch.manual_seed(5)
    resumed = tlda.methods.FineTune(backbone=Pretrained(), task=CLASSES, plus=[kind()], pretrain=0.0)  # another start
    trainer(4).fit(resumed, Toy(), ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@pytest.mark.parametrize("kind", [losses.L2SP, losses.DELTA, losses.CoTuning])
def test_source_only_stays_on_the_source(kind: Any) -> None:
    method = make(kind, tlda.methods.SourceOnly)
    assert method.batch_type is SourceBatch
    trainer(1).fit(method, Toy())
    assert make(kind, tlda.methods.DANN).batch_type is Pair


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_under_adaptation_and_adapters(kind: Any) -> None:
    method = make(kind, tlda.methods.DANN, tuning=LoRA(rank=1))
    trainer(1).fit(method, Toy())
    assert all(value.isfinite().all() for value in method.state_dict().values())


@every_kind
def test_bf16(kind: Any) -> None:
    method = make(kind)
    trainer(1, precision="bf16-mixed").fit(method, Toy())
    assert all(value.isfinite().all() for value in method.state_dict().values())


@pytest.mark.parametrize("kind", ANCHORED)
def test_the_start_is_that_of_init_from(kind: Any, tmp_path: Path) -> None:
    source = tlda.methods.SourceOnly(backbone=Pretrained(), task=CLASSES)
    run = trainer(1)
    run.fit(source, Toy())
    run.save_checkpoint(tmp_path / "source.ckpt")
    method = make(kind, init_from=str(tmp_path / "source.ckpt"))
    trainer(1).fit(method, Toy())
    (loss,) = method.losses.values()
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(loss.start.copy[0].state_dict()[key], value)  # type: ignore[index, union-attr]


def test_l2_sp_is_half_of_what_moved_and_decays_the_rest() -> None:
    method = make(losses.L2SP)
    moved = 0.0
    with torch.no_grad():
        for parameter in method.backbone.parameters():
            step = torch.randn_like(parameter)
            parameter += step  # type: ignore[misc]
            moved += step.square().sum().item()
    rest = sum(p.square().sum().item() for p in method.head.parameters())
    value = term(method)
    assert value.item() == pytest.approx((moved + rest) / 2, rel=1e-4)
    weight = method.head.weight
    torch.testing.assert_close(torch.autograd.grad(value, weight)[0], weight)


def test_strong_l2_sp_keeps_the_backbone_where_it_was() -> None:
    distance = {}
    for trade_off in (0.0, 50.0):
        method = make(lambda trade_off=trade_off: losses.L2SP(trade_off), optimizer=SGD(0.01))
        trainer(2).fit(method, Toy())
        (loss,) = method.losses.values()
        start = loss.start.parameters()  # type: ignore[union-attr]
        distance[trade_off] = sum((p - q).square().sum().item() for p, q in zip(method.backbone.parameters(), start, strict=True))
    assert distance[50.0] < 0.1 * distance[0.0]


def test_delta_is_zero_at_the_start_and_not_elsewhere() -> None:
    method = make(losses.DELTA, backbone=lambda: Tiny(dropout=0.0, batch_norm=False))  # type: ignore[arg-type]
    assert term(method).item() == 0.0
    with torch.no_grad():
        method.backbone.layers[5].weight += 0.1  # type: ignore[index, union-attr]
    value = term(method)
    x = batch().labelled.x
    (loss,) = method.losses.values()
    start, now = loss.start.copy[0], method.backbone  # type: ignore[index, union-attr]
    assert value.item() == pytest.approx(0.5 * (now(x) - start(x)).square().sum(1).mean().item(), rel=1e-5)  # type: ignore[operator]
    assert torch.autograd.grad(value, now.layers[1].weight)[0].abs().max() > 0  # type: ignore[index, union-attr]


def test_delta_looks_at_stages_that_give_maps() -> None:
    from tlda.backbones import LeNet

    method = tlda.methods.FineTune(backbone=LeNet(size=16, dropout=0.0), task=CLASSES, plus=[losses.DELTA()], pretrain=0.0)
    (loss,) = method.losses.values()
    output = method(torch.rand(4, 1, 16, 16))
    assert [len(m.shape) for m in loss.now.maps.values()] == [4, 2, 2]  # type: ignore[operator, union-attr]
    with torch.no_grad():
        method.backbone.layers[0].weight *= 2  # type: ignore[index, union-attr]
    method(torch.rand(4, 1, 16, 16))
    assert loss(None, output, output, 0.0).item() > 0
    with torch.no_grad():
        method(torch.rand(4, 1, 16, 16))
    assert loss.now.seen is None  # type: ignore[union-attr]  # evaluation leaves nothing behind


def test_bss_looks_at_the_features_of_the_batch() -> None:
    method = make(losses.BSS).eval()
    features = method(batch().labelled.x).features.detach().numpy()
    assert term(method).item() == pytest.approx(np.linalg.svd(features, compute_uv=False).min() ** 2, rel=1e-3)


def test_co_tuning_takes_the_relationship_of_the_labelled_rows() -> None:
    method, data = make(losses.CoTuning, optimizer=SGD(lr=0.0)), Toy(shots=3, steps=1)
    before = copy.deepcopy(method.losses["co_tuning"].classifier)
    trainer(1).fit(method, data)
    loss: Any = method.losses["co_tuning"]
    rows_ = data.training_rows()["labelled"]
    sample = data.prepare(rows_[torch.arange(len(rows_))])
    fresh = make(losses.CoTuning).eval()
    with torch.no_grad():
        logits = before(fresh.backbone(sample.x))  # type: ignore[operator]
    torch.testing.assert_close(loss.relationship, category_relationship(logits, sample.y, CLASSES))


def test_co_tuning_says_what_it_lacks() -> None:
    with pytest.raises(UserError, match="Tiny has no classifier of its pretraining: use Timm with weights"):
        make(losses.CoTuning, backbone=Tiny)
    with pytest.raises(UserError, match=r"leave --model\.bottleneck out"):
        make(losses.CoTuning, bottleneck=5)


def test_fine_tuning_after_the_source_has_both() -> None:
    method = tlda.methods.FineTune(backbone=Tiny(), task=CLASSES, plus=[losses.L2SP()])
    assert method.batch_type is LabelledPair
    trainer(2, log_every_n_steps=1).fit(method, Toy())
    logged = method.trainer.callback_metrics
    assert {"train/task", "train/l2_sp"} <= set(logged)


@every_kind
def test_it_works_in_ones_own_loop(kind: Any) -> None:
    mine = Network(Pretrained(), Classification(["a", "b", "c"]))
    loss, sample = kind(), batch().labelled
    loss.build(8, CLASSES)
    loss.attach(SimpleNamespace(network=mine))
    features = mine.backbone(sample.x)
    output = Output(features, mine.head(features))
    loss.term(LabelledBatch(sample), output, output, 0.0).backward()
    assert mine.backbone.layers[1].weight.grad.isfinite().all()  # type: ignore[index, union-attr]
