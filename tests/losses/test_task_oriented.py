"""ToAlign's features against the formula, for a linear head and another, and what its discriminator sees."""

import numpy as np
import torch
from torch import nn

from tests.helpers.toy import Tiny
from tlda.batch import Output, Pair, Sample, Unlabelled
from tlda.losses import TaskOriented, domain_adversarial, relevant_features
from tlda.losses.task_oriented import influence
from tlda.methods import ToAlign
from tlda.tasks import Classification


def test_relevant_features(conforms) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    features, weights, mix = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))

    def reference(f: np.ndarray) -> float:
        total = 0.0
        for row, w, m in zip(f, weights, mix, strict=True):
            seen = row * w
            total += float(np.sqrt((row**2).sum() / (seen**2).sum()) * (seen * m).sum())
        return total

    conforms(lambda f: (relevant_features(f, torch.tensor(weights)) * torch.tensor(mix)).sum(), reference, features)


def test_a_row_without_a_relevant_feature_has_none_and_a_finite_gradient() -> None:
    features = torch.tensor([[3.0, 0.0]], requires_grad=True)
    seen = relevant_features(features, torch.tensor([[0.0, 2.0]]))
    (gradient,) = torch.autograd.grad(seen.sum(), features)
    assert torch.equal(seen, torch.zeros(1, 2))
    assert gradient.isfinite().all()


def test_the_influence_is_the_weights_of_the_label_under_a_linear_head_and_the_gradient_under_another() -> None:
    features, labels = torch.randn(5, 4), torch.tensor([0, 2, 1, 1, 0])
    head = nn.Linear(4, 3)
    torch.testing.assert_close(influence(head, features, labels), head.weight[labels])
    curved = nn.Sequential(head, nn.Tanh())
    slope = 1 - curved(features).gather(1, labels[:, None]).square()
    torch.testing.assert_close(influence(curved, features, labels), slope * head.weight[labels])


def test_the_discriminator_sees_predictions_of_the_source_by_its_labels_and_of_the_target_as_they_are() -> None:
    method = ToAlign(backbone=Tiny(), task=Classification(["left", "right"]), hidden=8)
    loss = method.losses["domain"]
    assert isinstance(loss, TaskOriented)
    rows = torch.tensor([0, 1, 1, 0])
    source, target = (Output(torch.randn(4, method.num_features), torch.randn(4, 2)) for _ in range(2))
    seen = relevant_features(source.features, method.head.weight[rows])
    logits = loss.critic(torch.cat((method.head(seen), target.logits)).softmax(1))
    batch = Pair(Sample(rows, rows, rows), Unlabelled(rows, rows))
    torch.testing.assert_close(loss(batch, source, target, 0.5), domain_adversarial(logits[:4], logits[4:]))
