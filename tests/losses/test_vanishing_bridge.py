"""The bridges of GVB, by hand."""

import torch
from torch import nn

from tlda.batch import Output, Pair, Sample, Unlabelled
from tlda.losses import BridgeAdversarial, Bridged, domain_adversarial, entropy_weight


def test_a_bridge_is_taken_out_and_measured() -> None:
    layer = Bridged(nn.Linear(3, 2), nn.Linear(3, 2))
    x = torch.randn(5, 3)
    torch.testing.assert_close(layer(x), layer.main(x) - layer.bridge(x))
    torch.testing.assert_close(layer.size, layer.bridge(x).abs().mean())


def test_the_loss_is_the_discriminators_on_predictions_and_the_size_of_its_bridge() -> None:
    loss = BridgeAdversarial(hidden=4, vanish=0.3)
    loss.build(7, 3)
    rows = torch.zeros(4, dtype=torch.long)
    batch = Pair(Sample(rows, rows, rows), Unlabelled(rows, rows))
    source, target = (Output(torch.randn(4, 7), torch.randn(4, 3)) for _ in range(2))
    logits = loss.critic(torch.cat((source.logits, target.logits)).softmax(1))
    hidden = loss.critic[:-1](torch.cat((source.logits, target.logits)).softmax(1))  # type: ignore[index]
    weights = (entropy_weight(part.logits) for part in (source, target))
    expected = domain_adversarial(logits[:4], logits[4:], *weights) + 0.3 * loss.last.bridge(hidden).abs().mean()
    torch.testing.assert_close(loss(batch, source, target, 0.5), expected)
