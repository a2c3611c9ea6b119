"""The losses of partial, open-set and universal adaptation: value and gradient against closed forms and numpy, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tlda import losses
from tlda.batch import Output, Pair, Sample, Unlabelled
from tlda.errors import UserError
from tlda.losses import (
    BalancedAdversarial,
    ImportanceAdversarial,
    PartialAdversarial,
    SeparationAdversarial,
    UniversalAdversarial,
    domain_adversarial,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(5, 4, generator=GENERATOR, dtype=torch.double)
LABELS = torch.tensor([0, 3, 1, 1, 2])


def conforms(loss: Callable[[Tensor], Tensor], reference: Callable[[np.ndarray], float], x: Tensor) -> None:
    """The value is that of ``reference``, in numpy, and the gradient that of its central differences."""
    x = x.clone().requires_grad_()
    value = loss(x)
    assert value.item() == pytest.approx(reference(x.detach().numpy()), rel=1e-10)
    (gradient,) = torch.autograd.grad(value, x)
    for index in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[index] = 1e-6
        ends = [reference(x.detach().numpy() + sign * step) for sign in (1, -1)]
        assert gradient[index].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    found: np.ndarray = e / e.sum(1, keepdims=True)
    return found


def test_weights_are_the_agreed_values() -> None:
    assert losses.iwan_weights(torch.tensor([0.9, 0.5, 0.1], dtype=torch.double)).tolist() == pytest.approx([0.2, 1.0, 1.8])
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]], dtype=torch.double)
    assert losses.pada_weights(p).tolist() == pytest.approx([1.0, 0.5, 1 / 6])
    entropy = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)) / math.log(3)
    assert losses.uan_weight(torch.tensor([0.6]).double(), p[:1].log()).item() == pytest.approx(0.6 - entropy)


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_open_set_adversarial(threshold: float) -> None:
    def reference(x: np.ndarray) -> float:
        unknown = softmax(x)[:, -1]
        return float(-(threshold * np.log(unknown) + (1 - threshold) * np.log(1 - unknown)).mean())

    conforms(lambda x: losses.open_set_adversarial(x, threshold), reference, LOGITS)
    certain = torch.tensor([[0.0, 900.0]], requires_grad=True)  # where 1 - p is 0
    (gradient,) = torch.autograd.grad(losses.open_set_adversarial(certain, threshold), certain)
    assert gradient.isfinite().all()
    with pytest.raises(UserError, match="between 0 and 1"):
        losses.open_set_adversarial(LOGITS, 1.0)


def test_one_vs_all_is_of_the_positive_and_the_hardest_negative() -> None:
    def reference(x: np.ndarray) -> float:
        yes = 1 / (1 + np.exp(-x))
        rows = []
        for p, label in zip(yes, LABELS.tolist(), strict=True):
            rows.append(-np.log(p[label]) + max(-np.log(1 - p[k]) for k in range(len(p)) if k != label))
        return 0.5 * float(np.mean(rows))

    conforms(lambda x: losses.one_vs_all(x, LABELS), reference, LOGITS)


def test_multi_binary_is_of_every_class_of_the_rows_that_have_one() -> None:
    def reference(x: np.ndarray) -> float:
        yes = 1 / (1 + np.exp(-x))
        return float(np.mean([-np.log(np.where(np.arange(4) == label, p, 1 - p)).sum() for p, label in zip(yes, LABELS, strict=True)]))

    conforms(lambda x: losses.multi_binary(x, LABELS), reference, LOGITS)
    more = torch.cat((LOGITS, LOGITS[:2]))
    torch.testing.assert_close(losses.multi_binary(more, torch.cat((LABELS, torch.tensor([-1, -1])))), losses.multi_binary(LOGITS, LABELS))
    assert losses.multi_binary(LOGITS[:1], torch.tensor([-1])).item() == 0.0


def test_binary_entropy() -> None:
    def reference(x: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-x))
        return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())

    conforms(losses.binary_entropy, reference, LOGITS)
    assert losses.binary_entropy(torch.tensor([[500.0, -500.0]])).item() == 0.0


def test_entropy_separation_pushes_what_is_far_from_the_middle() -> None:
    margin = 0.1

    def reference(x: np.ndarray) -> float:
        p = softmax(x)
        far = np.abs(-(p * np.log(p)).sum(1) - math.log(4) / 2)
        assert 0 < (far > margin).sum() < len(far), "some are within the margin, some are not"
        return float(-np.where(far > margin, far, 0).mean())

    logits = torch.cat((LOGITS, torch.tensor([[0.0, 2.22, 0.0, -1.0]], dtype=torch.double)))
    conforms(lambda x: losses.entropy_separation(x, margin), reference, logits)


def test_neighborhood_clustering_looks_at_other_known_rows_and_at_the_classes() -> None:
    bank = torch.nn.functional.normalize(torch.randn(6, 3, generator=GENERATOR, dtype=torch.double), dim=1)
    prototypes = torch.randn(2, 3, generator=GENERATOR, dtype=torch.double)
    filled, rows = torch.tensor([True, True, False, True, True, True]), torch.tensor([4, 0])

    def reference(x: np.ndarray) -> float:
        heads = prototypes.numpy() / np.linalg.norm(prototypes.numpy(), axis=1, keepdims=True)
        total = 0.0
        for row, own in zip(x / np.linalg.norm(x, axis=1, keepdims=True), rows.tolist(), strict=True):
            others = [bank[k].numpy() for k in range(6) if k not in (own, 2)] + list(heads)
            p = softmax(np.array([[row @ other / 0.3 for other in others]]))[0]
            total -= float((p * np.log(p)).sum())
        return total / len(rows)

    features = torch.randn(2, 3, generator=GENERATOR, dtype=torch.double)
    conforms(lambda x: losses.neighborhood_clustering(x, rows, bank, filled, prototypes, 0.3), reference, features)


def example() -> tuple[Pair, Output, Output]:
    features = torch.randn(12, 3, generator=GENERATOR)
    logits = torch.randn(12, 4, generator=GENERATOR)
    index = torch.arange(5)
    batch = Pair(Sample(features[:5], LABELS, index), Unlabelled(features[5:], torch.arange(7)))
    return batch, Output(features[:5], logits[:5]), Output(features[5:], logits[5:])


def test_rows_weigh_by_class_by_likeness_or_by_both() -> None:
    batch, source, target = example()
    partial, importance, universal = PartialAdversarial(hidden=4), ImportanceAdversarial(hidden=4), UniversalAdversarial(hidden=4)
    for loss in (partial, importance, universal):
        loss.build(3, 4)
    partial.class_weights.copy_(torch.tensor([1.0, 0.5, 0.0, 0.2]))
    logits = partial.critic(torch.cat((source.features, target.features)))
    expected = domain_adversarial(logits[:5], logits[5:], torch.tensor([1.0, 0.2, 0.5, 0.5, 0.0]))
    torch.testing.assert_close(partial(batch, source, target, 0.5), expected)

    first, second = importance.similarities(source, target)
    logits = importance.critic(torch.cat((source.features, target.features)))
    weights = losses.iwan_weights(first.sigmoid())
    expected = domain_adversarial(logits[:5], logits[5:], weights) + domain_adversarial(first, second)
    torch.testing.assert_close(importance(batch, source, target, 0.5), expected)
    assert not importance.weights(batch, source, target, 0.5)[0].requires_grad  # type: ignore[union-attr]

    first, second = (part.sigmoid() for part in universal.similarities(source, target))
    own, other = -losses.uan_weight(first, source.logits), losses.uan_weight(second, target.logits)
    found = universal.weights(batch, source, target, 0.5)
    for weight, raw in zip(found, (own, other), strict=True):
        torch.testing.assert_close(weight, (raw - raw.min()) / (raw.max() - raw.min()))


def test_the_second_discriminator_moves_no_features() -> None:
    _, source, target = example()
    loss = ImportanceAdversarial(hidden=4)
    loss.build(3, 4)
    features = target.features.requires_grad_()
    first, second = loss.similarities(source, Output(features, target.logits))
    assert not torch.autograd.grad(domain_adversarial(first, second), features, materialize_grads=True, allow_unused=True)[0].any()
    (gradient,) = torch.autograd.grad(domain_adversarial(first, second), [loss.similarity[-1].weight])  # type: ignore[index]
    assert gradient.any()


@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 0.5, 0.7, 0.0], dtype=torch.double)])
def test_complement_entropy(weights: Tensor | None) -> None:
    unsure = 1 - softmax(LOGITS.numpy())[np.arange(5), LABELS.numpy()]  # carries no gradient
    share = unsure * (1 if weights is None else weights.numpy())

    def reference(x: np.ndarray) -> float:
        terms = []
        for p, label in zip(softmax(x), LABELS.tolist(), strict=True):
            others = np.delete(p, label) / (1 - p[label])
            terms.append((others * np.log(others)).sum() / math.log(3))
        return float((share * terms).sum() / share.sum())

    conforms(lambda x: losses.complement_entropy(x, LABELS, weights), reference, LOGITS)
    assert losses.complement_entropy(torch.randn(3, 2), torch.tensor([0, 1, 0])).item() == pytest.approx(0.0)
    certain = torch.tensor([[900.0, 0.0, 1.0]], requires_grad=True)  # where 1 - p is 0
    (gradient,) = torch.autograd.grad(losses.complement_entropy(certain, torch.tensor([0])), certain)
    assert gradient.isfinite().all()


def test_source_rows_are_on_both_sides_by_their_weight_and_at_the_end_on_one() -> None:
    loss = BalancedAdversarial(hidden=4, borrowed=0.5)
    loss.build(3, 4)
    loss.class_weights.copy_(torch.tensor([1.0, 0.5, 0.25, 0.1]))
    rows = torch.zeros(5, dtype=torch.long)
    batch = Pair(Sample(rows, LABELS, rows), Unlabelled(rows, rows))
    source, target = (Output(torch.randn(5, 3), torch.randn(5, 4)) for _ in range(2))
    first, second = (loss.critic(part.features) for part in (source, target))
    weights = loss.class_weights[LABELS]
    own = torch.cat((torch.ones(5), weights[:2]))  # of 0.5 times 5 rows, two by rounding to even
    expected = domain_adversarial(first, torch.cat((second, first[:2])), weights, own)
    torch.testing.assert_close(loss(batch, source, target, 0.0), expected)
    torch.testing.assert_close(loss(batch, source, target, 1.0), domain_adversarial(first, second, weights))
    with pytest.raises(UserError, match=r"borrowed is 1\.5"):
        BalancedAdversarial(borrowed=1.5)


def separation(**options: Any) -> SeparationAdversarial:
    loss = SeparationAdversarial(hidden=4, **options)
    loss.build(3, 4)
    return loss


def test_the_most_and_the_least_similar_rows_teach_which_are_known_and_known_ones_are_aligned() -> None:
    batch, source, target = example()
    loss = separation(share=0.3)  # of 7 rows, two
    order = loss.similarity(target.features).amax(1).argsort(descending=True)
    scores = loss.separator(target.features).flatten()
    p = scores.sigmoid()
    separated = -(torch.cat(((1 - p)[order[:2]], p[order[-2:]])).log().mean())
    logits = loss.critic(torch.cat((source.features, target.features)))
    expected = domain_adversarial(logits[:5], logits[5:], None, 1 - p) + separated
    expected += losses.multi_binary(loss.similarity(source.features), LABELS)
    torch.testing.assert_close(loss(batch, source, target, 0.5), expected)
    torch.testing.assert_close(loss.known_weights(target.features), (1 - p.detach()) / (1 - p.detach()).sum())


def test_separation_moves_no_features_before_alignment_begins() -> None:
    batch, source, target = example()
    loss = separation(separate=0.4)
    features = target.features.requires_grad_()
    for progress, moves in ((0.0, False), (0.4, False), (0.5, True)):
        (gradient,) = torch.autograd.grad(loss(batch, source, Output(features, target.logits), progress), features)
        assert bool(gradient.any()) is moves


def test_where_no_row_is_known_the_weights_are_finite() -> None:
    loss = separation()
    torch.nn.init.constant_(loss.separator[-1].bias, 500.0)  # type: ignore[index]
    torch.testing.assert_close(loss.known_weights(torch.zeros(4, 3)), torch.full((4,), 0.25))


@pytest.mark.parametrize("options", [{"share": 0.5}, {"share": 0.0}, {"separate": 1.0}])
def test_a_share_or_a_beginning_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        separation(**options)
