"""FixBi: two networks, of which the second begins as the first, and its terms by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.methods.test_contract import batch_of, make
from tlda.errors import UserError
from tlda.finetuning import LinearProbe
from tlda.methods import FixBi


def test_its_terms_are_those_by_hand() -> None:
    method: Any = FixBi(backbone=Tiny(dropout=0.0, batch_norm=False), task=CLASSES, share=0.7, deviations=0.5)
    for parameter in method.second.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5, torch.Generator().manual_seed(1))
    batch, networks = batch_of(method), (method.network, method.second)
    p, q = (network(batch.target.x).logits.softmax(1) for network in networks)
    sure, other_sure = (x.amax(1) >= x.amax(1).mean() - 0.5 * x.amax(1).std() for x in (p, q))
    assert 0 < sure.sum() < len(sure)
    mixed = torch.zeros(())
    for network, share, labels in zip(networks, (0.7, 0.3), (p.argmax(1), q.argmax(1)), strict=True):
        logits = network(share * batch.source.x + (1 - share) * batch.target.x).logits
        mixed = mixed + share * cross_entropy(logits, batch.source.y) + (1 - share) * cross_entropy(logits, labels)
    halves = [network((batch.source.x + batch.target.x) / 2).logits for network in networks]
    method.progress = 0.5
    early = method.objective(batch, *method.forward_pair(batch))
    method.progress = 0.9
    late = method.objective(batch, *method.forward_pair(batch))
    assert early.keys() == {"mixed", "penalty"}
    torch.testing.assert_close(early["mixed"], mixed)
    torch.testing.assert_close(late["consistency"], (halves[0] - halves[1]).square().mean())
    taught = -p[other_sure, q.argmax(1)[other_sure]].log().mean() - q[sure, p.argmax(1)[sure]].log().mean()
    torch.testing.assert_close(late["matching"], taught)


def test_the_second_network_begins_as_the_first_and_answers_beside_it() -> None:
    method: Any = make("FixBi", pretrain=0.5)
    run = trainer(2, limit_val_batches=0)
    run.fit(method, Toy(steps=2))
    assert bool(method.begun)
    x, (first, second) = torch.rand(5, 1, 4, 4), (method.network.eval(), method.second.eval())
    mean = (first(x).logits.softmax(1) + second(x).logits.softmax(1)) / 2
    torch.testing.assert_close(method.answer(x, "target").logits.softmax(1), mean)
    method.begun.fill_(False)
    assert torch.equal(method.answer(x, "target").logits, first(x).logits)


def test_a_tuning_that_freezes_is_refused() -> None:
    with pytest.raises(UserError, match=r"FixBi trains two networks.*--model\.tuning"):
        make("FixBi", tuning=LinearProbe())
