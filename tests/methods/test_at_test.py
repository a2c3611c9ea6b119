"""What adapts at test: against the papers' recipes by hand, on one batch or two."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from torch import Tensor, nn
from torch.nn.functional import batch_norm, cosine_similarity, normalize

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.helpers.toys import Noise
from tests.methods.test_contract import make, source_checkpoint
from tests.methods.test_test_time import images
from tlda.errors import UserError
from tlda.methods import EATA, T3A, TENT, BNAlpha
from tlda.network import Head
from tlda.nn import affine_parameters
from tlda.nn.assignment import laplacian_assignment


def ready(name: str, **options: Any) -> Any:
    """A method that starts from a network of the source, as a test finds it."""
    method: Any = make(name, init_from=source_checkpoint(), **options).eval()
    method.trainer = trainer()
    return method


X = images(Toy())[:48]
HALVES = X[::2], X[1::2]


@pytest.mark.parametrize(("name", "follows"), [("BNAlpha", False), ("BNEMA", True)])
def test_batch_norm_by_a_blend(name: str, follows: bool) -> None:
    method = ready(name, alpha=0.3)
    norm, mean, var = (
        method.backbone.layers[2],
        *(b.clone() for b in (method.backbone.layers[2].running_mean, method.backbone.layers[2].running_var)),
    )
    for x in HALVES:
        hidden = method.backbone.layers[:2]((x - 0.5) / 0.5).detach()
        new = mean.lerp(hidden.mean(0), 0.3), var.lerp(hidden.var(0), 0.3)
        rest = method.backbone.layers[3:](batch_norm(hidden, *new, norm.weight, norm.bias))
        torch.testing.assert_close(method.answer(x, "target").logits, method.head(rest).detach())
        mean, var = new if follows else (mean, var)


def test_lame_of_no_neighbours_is_the_softmax_and_of_some_is_pulled_by_them() -> None:
    p, z = torch.randn(9, 3).double().softmax(1), torch.randn(9, 4).double()
    torch.testing.assert_close(laplacian_assignment(p, z, 0), p)
    found = laplacian_assignment(p, z, 2, steps=3)
    similar = cosine_similarity(z[:, None], z, dim=2)
    near = similar.topk(3, 1).indices[:, 1:]
    expected = p
    for _ in range(3):
        expected = ((p + 1e-10).log() + expected[near].sum(1)).softmax(1)
    torch.testing.assert_close(found, expected)
    method = ready("LAME", neighbours=2)
    features, logits = method(X)
    expected = laplacian_assignment(logits.softmax(1), features, 2).log()
    torch.testing.assert_close(method.answer(X, "target").logits, expected.detach())


def test_t3a_answers_by_the_mean_directions_of_each_class() -> None:
    method = ready("T3A", kept=2)
    weights: Tensor = method.head.weight.detach()
    found = method.answer(X, "target").logits
    features = torch.cat((weights, method(X).features.detach()))
    p = method.head(features).softmax(1).detach()
    entropies, classes = -(p * p.log()).sum(1), p.argmax(1)
    for c in range(CLASSES):
        rows = (classes == c).nonzero()[:, 0]
        best = rows[entropies[rows].argsort()[:2]]
        template = normalize(normalize(features[best], dim=1).sum(0), dim=0) if len(best) else torch.zeros(8)
        torch.testing.assert_close(found[:, c], method(X).features.detach() @ template)
    with pytest.raises(UserError, match="this head is not one layer"):
        T3A(backbone=Tiny(), task=CLASSES, head=Head(hidden=4))


def stepped(method: Any, x: Tensor) -> list[Tensor]:
    """Scales and shifts after a batch."""
    method.on_test_start()
    method.answer(x, "target")
    return [parameter.detach().clone() for parameter in affine_parameters(method.adapted[0])]


class Seen(Callback):
    """Keeps scales and shifts as the last batch of the target left them."""

    def on_test_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if pl_module.adapted:
            self.after = [parameter.detach().clone() for parameter in affine_parameters(pl_module.adapted[0])]


def by_hand(method: Any) -> Any:
    network: Any = copy.deepcopy(nn.Sequential(method.backbone, method.bottleneck, method.head)).eval()
    network[0].layers[2].train()
    return network


def test_eata_weighs_reliable_rows_by_their_certainty() -> None:
    method = ready("EATA", tent_lr=0.01)
    network = by_hand(method)
    p = network(X).softmax(1)
    h = -(p * p.log()).sum(1)
    limit = h.median().item()
    method.margin = limit / math.log(CLASSES)
    keep = h < limit
    assert 0 < keep.sum() < len(X)
    (((limit - h).exp().detach() * h)[keep].mean()).backward()
    torch.optim.Adam(norm := [*network[0].layers[2].parameters()], lr=0.01).step()
    for found, expected in zip(stepped(method, X), norm, strict=True):
        torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-4)


def test_eata_leaves_out_rows_like_the_mean_and_anchors_by_fisher() -> None:
    method = ready("EATA", margin=10.0, redundant=1e-9, tent_lr=0.01)
    stepped(method, X)
    assert method.loss(method.network(X).logits).item() == 0  # all rows are like the mean now
    moved = []
    for fisher in (0.0, 1e9):
        made: Any = make("EATA", margin=10.0, fisher=fisher, tent_lr=0.01, init_from=source_checkpoint())
        seen = Seen()
        trainer(callbacks=[seen]).test(made, Toy(eval_batch_size=16, n=64), verbose=False)
        moved.append(sum(float((p - q).norm()) for p, q in zip(seen.after, affine_parameters(made.network), strict=True)))
    assert moved[1] < 0.9 * moved[0]


def test_sar_without_a_radius_is_tent_on_reliable_rows_and_starts_over_where_all_is_certain() -> None:
    still, tent = ready("SAR", rho=0.0, margin=10.0, floor=0.0, tent_lr=0.01), ready("TENT", tent_lr=0.01)
    for a, b in zip(stepped(still, X), stepped(tent, X), strict=True):
        torch.testing.assert_close(a, b)
    sharp = ready("SAR", rho=0.5, margin=10.0, floor=0.0, tent_lr=0.01)
    assert any(not torch.equal(a, b) for a, b in zip(stepped(sharp, X), stepped(tent, X), strict=True))
    over = ready("SAR", margin=10.0, floor=1.0, tent_lr=0.01)
    trained = affine_parameters(over.network)
    assert all(torch.equal(a, b) for a, b in zip(stepped(over, X), trained, strict=True)) is (over.adapted[2] == {})


def test_a_fit_from_a_checkpoint_trains_nothing() -> None:
    method = make("LAME", init_from=source_checkpoint())
    run = trainer(2)
    run.fit(method, Toy())
    state = torch.load(source_checkpoint(), weights_only=True)["state_dict"]
    assert all(torch.equal(value, method.state_dict()[name]) for name, value in state.items() if name.startswith("network."))
    assert run.test(method, Toy(), verbose=False)[0]["test/source/accuracy"] > 0.5


def test_one_row_has_no_statistics() -> None:
    for cls in (TENT, EATA, BNAlpha):
        with pytest.raises(UserError, match=f"{cls.__name__} normalises a batch by its own statistics"):
            ready(cls.__name__).answer(X[:1], "target")
    assert len(ready("LAME").answer(X[:1], "target").logits) == 1


def test_cotta_answers_by_the_average_which_follows_and_restores_all() -> None:
    sure = ready("CoTTA", threshold=0.0, momentum=0.5, restore=0.0, adapt_lr=0.01)
    network = by_hand(sure)
    first = network(X)
    torch.testing.assert_close(sure.answer(X, "target").logits, first.detach())
    (-(first.softmax(1).detach() * first.log_softmax(1)).sum(1).mean()).backward()
    before = [p.detach().clone() for p in network.parameters()]
    torch.optim.Adam(network.parameters(), lr=0.01).step()
    for mean, old, new in zip(sure.adapted[1].parameters(), before, network.parameters(), strict=True):
        torch.testing.assert_close(mean, (old + new.detach()) / 2, atol=1e-5, rtol=1e-4)
    back = ready("CoTTA", threshold=0.0, restore=1.0, adapt_lr=0.01)
    back.answer(X, "target")
    assert all(torch.equal(a, b) for a, b in zip(back.adapted[0].parameters(), back.network.parameters(), strict=True))
    unsure = ready("CoTTA", threshold=1.0, count=2, views=[Noise(0.5)])
    assert not torch.equal(unsure.answer(X, "target").logits, first.detach())


def test_memo_makes_the_views_of_each_image_certain_and_starts_over() -> None:
    method = ready("MEMO", adapt_lr=0.1, count=3, views=[Noise(0.0)])
    found = method.answer(X[:2], "target").logits
    for x, logits in zip(X[:2], found, strict=True):
        network = copy.deepcopy(nn.Sequential(method.backbone, method.bottleneck, method.head)).eval()
        p = network(x[None]).softmax(1)
        (-(p * p.log()).sum()).backward()
        torch.optim.SGD(network.parameters(), lr=0.1).step()
        torch.testing.assert_close(logits, network(x[None])[0].detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(method.answer(X[1:2], "target").logits[0], found[1])
