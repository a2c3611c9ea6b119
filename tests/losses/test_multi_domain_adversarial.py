"""The discriminator of several domains against DANN's and a sum by hand."""

import pytest
import torch

from tlda.batch import Output, Pair, Sample, SourceBatch, Unlabelled
from tlda.losses import MultiDomainAdversarial, domain_adversarial, multi_domain_adversarial


def test_each_domain_counts_the_same() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [1.0, 2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    domains = torch.tensor([0, 0, 1])
    by_hand = -0.5 * (logits[:2].log_softmax(1)[:, 0].mean() + logits[2].log_softmax(0)[1])
    found = multi_domain_adversarial(logits, domains)
    torch.testing.assert_close(found, by_hand)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (found, by_hand)))


def test_with_two_domains_it_is_danns() -> None:
    scores, domains = torch.tensor([0.3, -1.0, 2.0, 0.5, 0.1]), torch.tensor([1, 1, 1, 0, 0])
    two = torch.stack((torch.zeros(5), scores), 1)
    torch.testing.assert_close(multi_domain_adversarial(two, domains), domain_adversarial(scores[:3], scores[3:]))


def test_the_target_is_the_last_domain_and_no_target_is_none() -> None:
    loss = MultiDomainAdversarial(domains=3, hidden=8)
    loss.build(2, 4)
    x, row = torch.randn(4, 2), torch.arange(4)
    source, target = (Output(features, torch.zeros(4, 4)) for features in (x, x + 1))
    rows = Sample(x, row, row, torch.tensor([0, 1, 0, 1]))
    seen: list[torch.Tensor] = []
    loss.critic.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    loss(Pair(rows, Unlabelled(x, row)), source, target, 0.5)
    loss(SourceBatch(rows), source, source, 0.5)
    assert [len(inputs) for inputs in seen] == [8, 4]


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_the_discriminator_learns_at_full_weight_while_the_features_follow_the_ramp(progress: float) -> None:
    torch.manual_seed(0)
    loss = MultiDomainAdversarial(domains=2, hidden=8)
    loss.build(2, 4)
    x = torch.randn(4, 2, requires_grad=True)
    rows = Sample(x, torch.zeros(4), torch.arange(4), torch.tensor([0, 1, 0, 1]))
    output = Output(x, torch.zeros(4, 4))
    gradients = torch.autograd.grad(loss.term(SourceBatch(rows), output, output, progress), [x, *loss.parameters()])
    assert bool(gradients[0].abs().max() > 0) is (progress > 0)
    assert all(gradient.abs().max() > 0 for gradient in gradients[1:])
