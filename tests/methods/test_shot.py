"""SHOT: its pseudo-labels against an independent implementation, its frozen head, and where it starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, Trainer
from scipy.spatial.distance import cdist

from tests.helpers.hazy import Hazy
from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.methods.test_contract import make, source_checkpoint
from tlda.batch import Output, TargetBatch, Unlabelled
from tlda.errors import UserError
from tlda.losses import MCC
from tlda.methods import SHOT
from tlda.optim import SGD
from tlda.training.target import centroid_pseudo_labels, certain_rows, pseudo_labels_by_row


def nearest(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    centroids = np.stack([np.average(rows, axis=0, weights=w) if w.sum() > 0 else np.full(rows.shape[1], np.nan) for w in weights.T])
    return np.nan_to_num(cdist(rows, centroids, "cosine"), nan=np.inf).argmin(1)  # type: ignore[no-any-return]


def reference(features: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The authors' procedure, step by step: append a one, normalise, weighted centroids, nearest, and once more from those labels."""
    rows = np.concatenate([features, np.ones((len(features), 1))], 1)
    rows = np.stack([row / np.sqrt((row**2).sum()) for row in rows])
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    labels = nearest(rows, exponentials / exponentials.sum(1, keepdims=True))
    return nearest(rows, np.eye(logits.shape[1])[labels])


@pytest.mark.parametrize("seed", range(5))
def test_pseudo_labels_are_those_of_the_authors_procedure(seed: int) -> None:
    random = np.random.default_rng(seed)
    features = random.normal(size=(60, 3)) + 2 * random.normal(size=(4, 3))[random.integers(0, 4, 60)]
    logits = features @ random.normal(size=(3, 5)) + random.normal(size=(60, 5))
    expected = reference(features, logits)
    assert (expected != logits.argmax(1)).any()
    assert centroid_pseudo_labels(torch.from_numpy(features), torch.from_numpy(logits)).tolist() == expected.tolist()


def test_a_class_that_no_row_is_nearest_to_takes_none_afterwards() -> None:
    # All rows give the last class a little, so that its first centroid lies between the others. It has no second one, which must
    # not pass for nearer to the last row than centroids on its far side.
    features = torch.tensor([[3.0, 0.0]] * 5 + [[0.0, 3.0]] * 5 + [[-3.0, -3.1]])
    logits = torch.tensor([[5.0, 0.0, 2.0]] * 5 + [[0.0, 5.0, 2.0]] * 5 + [[5.0, 0.0, 2.0]])
    assert reference(features.numpy(), logits.numpy()).tolist() == [0] * 5 + [1] * 5 + [0]
    assert centroid_pseudo_labels(features, logits).tolist() == [0] * 5 + [1] * 5 + [0]


class Labels(Callback):
    """Each epoch's pseudo-labels, and whether the weights at its start give them."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.seen.append(pl_module.pseudo_labels)
            assert torch.equal(pl_module.pseudo_labels, pseudo_labels_by_row(pl_module))


def test_pseudo_labels_are_of_all_rows_in_evaluation_mode_and_made_anew_each_epoch() -> None:
    method, labels = make("SHOT", optimizer=SGD(lr=0.5)), Labels()
    method.backbone.layers[2].eval()  # type: ignore[index, union-attr]  # a part that its user holds in evaluation mode stays there
    trainer(3, callbacks=[labels]).fit(method, data := Toy(eval_batch_size=50))
    assert len(labels.seen) == 3
    assert not torch.equal(labels.seen[0], labels.seen[-1])
    assert method.backbone.layers[4].training  # type: ignore[index, union-attr]
    assert not method.backbone.layers[2].training  # type: ignore[index, union-attr]
    statistics = method.backbone.layers[2].running_mean.clone()  # type: ignore[index, union-attr]
    found = pseudo_labels_by_row(method)
    with torch.no_grad():
        output = method.eval()(data.loaded[1].train.images / 255)  # type: ignore[attr-defined]
    assert torch.equal(found, centroid_pseudo_labels(*output))
    assert torch.equal(statistics, method.backbone.layers[2].running_mean)  # type: ignore[index, union-attr]


def test_the_head_stays_and_no_optimizer_has_it() -> None:
    method = make("SHOT", optimizer=SGD(lr=0.1, weight_decay=0.1), bottleneck=0)
    trainer().fit(method, Toy())
    source = torch.load(source_checkpoint(), weights_only=True)["state_dict"]
    assert torch.equal(method.head.weight, source["network.head.weight"])
    assert torch.equal(method.head.bias, source["network.head.bias"])
    assert [group["name"] for group in method.configure_optimizers().param_groups] == ["backbone"]  # type: ignore[union-attr]
    method.lr_multipliers = {"head.weight": 0.5}
    assert [group["name"] for group in method.parameter_groups()] == ["backbone"], "of the head not even what has a rate of its own"


@pytest.mark.slow
def test_it_learns_the_target_without_labels_or_source() -> None:
    method, data = make("SHOT"), Hazy()
    before = trainer().test(method, data, verbose=False)[1]["test/target/accuracy"]
    trainer(6).fit(method, data)
    assert before < 0.6
    assert trainer().test(method, data, verbose=False)[1]["test/target/accuracy"] > 0.9


def test_without_a_source_network_it_says_what_to_do() -> None:
    method = SHOT(backbone=Tiny(), task=CLASSES)
    with pytest.raises(UserError, match=r"--model\.init_from"):
        trainer().fit(method, Toy())
    started = make("SHOT")
    trainer(1).fit(started, Toy())
    trainer(1).fit(started, Toy())  # from where it stands
    with pytest.raises(UserError, match=r"SHOT sees no source.*'mcc'.*--model\.plus"):
        make("SHOT", plus=[MCC()])


def test_it_goes_on_in_mid_epoch_with_the_epochs_labels(tmp_path: Path) -> None:
    method = make("SHOT")
    run = trainer(max_steps=9)
    run.fit(method, Toy())
    run.save_checkpoint(tmp_path / "a.ckpt")
    other, labels = SHOT(backbone=Tiny(), task=CLASSES), Labels()
    trainer(2, callbacks=[labels]).fit(other, Toy(), ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert not labels.seen  # no epoch began
    assert torch.equal(other.pseudo_labels, method.pseudo_labels)  # type: ignore[arg-type]


def test_a_partial_target_has_no_pseudo_label_of_a_rare_class() -> None:
    features = torch.tensor([[3.0, 0.0]] * 5 + [[0.0, 3.0]] * 5 + [[-3.0, -3.1]])
    logits = torch.tensor([[5.0, 0.0, 2.0]] * 5 + [[0.0, 5.0, 2.0]] * 5 + [[0.0, 0.0, 9.0]])
    assert centroid_pseudo_labels(features, logits)[-1] == 2
    assert centroid_pseudo_labels(features, logits, least=2)[-1] in (0, 1)


def test_the_certain_rows_are_one_of_two_groups() -> None:
    logits = torch.tensor([[9.0, 0.0], [7.0, 0.0], [0.2, 0.0], [0.0, 8.0], [0.0, 0.1]])
    assert certain_rows(logits).tolist() == [True, True, False, True, False]
    assert certain_rows(torch.zeros(3, 2)).all()


@pytest.mark.parametrize("variant", ["partial", "open"])
def test_the_variants_for_other_classes_have_the_authors_terms(variant: str) -> None:
    method: Any = make("SHOT", variant=variant)
    logits, rows = torch.randn(6, CLASSES), torch.arange(6)
    method.pseudo_labels = torch.tensor([0, 1, 2, -1, -1, 0] if variant == "open" else [0, 1, 2, 1, 1, 0])
    found = method.objective(TargetBatch(Unlabelled(logits, rows)), *[Output(logits, logits)] * 2)
    known = method.pseudo_labels >= 0
    p = logits[known].softmax(1)
    certain, mean = -(p * p.log()).sum(1).mean(), p.mean(0)
    torch.testing.assert_close(found["information"], certain if variant == "partial" else certain + (mean * mean.log()).sum())
    torch.testing.assert_close(found["pseudo_label"], -0.3 * p.log()[torch.arange(len(p)), method.pseudo_labels[known]].mean())
