"""Methods that tell source domains apart: their parts, weights, switches and refusals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda import methods
from tlda.batch import Pair, Sample, SourceBatch, Unlabelled
from tlda.config.build import load
from tlda.errors import UserError
from tlda.losses import MMD, DomainAdversarial, group_dro, mmd
from tlda.method import Method
from tlda.methods.darn import on_simplex
from tlda.network import Head
from tlda.tasks import Classification, Task
from tlda.training.checkpoint import task_from


def make(cls: type[Method], sources: int = 2, **options: Any) -> Any:
    torch.manual_seed(0)
    return cls(backbone=Tiny(dropout=0.0, batch_norm=False), task=Toy(sources=sources).task, **options)


def batch(domains: list[int]) -> SourceBatch:
    """A batch whose rows are of ``domains``."""
    torch.manual_seed(1)
    n = len(domains)
    return SourceBatch(Sample(torch.rand(n, 1, 4, 4), torch.arange(n) % CLASSES, torch.arange(n), torch.tensor(domains)))


def terms(method: Any, rows: SourceBatch) -> dict[str, Tensor]:
    found: dict[str, Tensor] = method.objective(rows, *method.forward_pair(rows))
    return found


SEVERAL = [cls for cls in vars(methods).values() if isinstance(cls, type) and issubclass(cls, Method) and cls.several_sources]


@pytest.mark.parametrize("cls", SEVERAL)
def test_one_source_where_two_are_needed_is_a_sentence(cls: type[Method]) -> None:
    with pytest.raises(UserError, match=rf"{cls.__name__} tells source domains apart and needs two or more, and the data have one: name"):
        cls(backbone=Tiny(), task=Classification(["a", "b"]))


def test_other_data_with_another_number_of_sources_are_a_sentence() -> None:
    with pytest.raises(UserError, match=r"VREx was made for 3 source domains, and the data have 2: make it with task=data.task"):
        trainer(1).fit(make(methods.VREx, 3), Toy(sources=2))


def test_a_checkpoint_carries_the_sources(tmp_path: Path) -> None:
    method, data = make(methods.M3SDA, 3), Toy(sources=3)
    run = trainer(1)
    run.fit(method, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    found: Any = load(tmp_path / "a.ckpt")
    assert list(found.task.sources) == ["blobs 0", "blobs 1", "blobs 2"]
    x = batch([0]).source.x
    torch.testing.assert_close(found(x).logits, method.eval()(x).logits)
    one: Task = Classification(["a", "b"])
    assert "sources" not in one.description()  # so that what was written before stays as it is
    assert task_from(one.description()).sources == ()


def test_risks_are_of_each_domain_and_a_domain_that_a_batch_lacks_is_left_out() -> None:
    method, rows = make(methods.VREx, 3), batch([0, 2, 0, 2, 2])
    output = method(rows.source.x)
    parts = method.parts(rows, output)
    assert [(part.number, part.rows.tolist()) for part in parts] == [(0, [0, 2]), (2, [1, 3, 4])]
    own = torch.stack([method.task.loss(output.logits[own], rows.source.y[own]) for own in ([0, 2], [1, 3, 4])])
    torch.testing.assert_close(method.risks(parts), own)
    torch.testing.assert_close(terms(method, rows)["penalty"], own.var(correction=0))


def test_a_batch_with_too_few_rows_of_every_domain_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"a batch has 2 rows of no source domain, which IRM needs: raise --data.batch_size"):
        terms(make(methods.IRM), batch([0, 1]))


def test_the_penalty_switches_once_and_the_moments_start_anew() -> None:
    sizes: list[tuple[bool, int]] = []

    class Watched(methods.VREx):
        def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
            super().on_train_batch_start(batch, batch_idx)
            sizes.append((bool(self.annealed), len(self.trainer.optimizers[0].state)))

    method = make(Watched, anneal=0.5, trade_off=7.0)
    trainer(1).fit(method, Toy(sources=2, steps=6))
    filled = len(list(method.parameters()))
    assert sizes == [(False, 0), (False, filled), (False, filled), (True, 0), (True, filled), (True, filled)]
    rows = batch([0, 1, 0, 1])
    after = terms(method, rows)["penalty"]
    method.annealed.fill_(False)
    torch.testing.assert_close(after, 7.0 * terms(method, rows)["penalty"])


def test_a_rescaled_loss_is_divided_by_its_weight_and_the_moments_stay() -> None:
    method, rows = make(methods.VREx, anneal=0.5, trade_off=7.0, rescaled=True, l2=0.1), batch([0, 1, 0, 1])
    before = terms(method, rows)
    torch.testing.assert_close(before["l2"], 0.1 * torch.cat([p.flatten() for p in method.parameters()]).square().sum())
    method.annealed.fill_(True)
    after = terms(method, rows)
    torch.testing.assert_close(after, {"task": before["task"] / 7, "penalty": before["penalty"], "l2": before["l2"] / 7})
    method.annealed.fill_(False)
    trainer(1).fit(method, Toy(sources=2, steps=6))
    steps = {float(state["step"]) for state in method.trainer.optimizers[0].state.values()}
    assert bool(method.annealed)
    assert steps == {6.0}  # none forgotten in the middle


def test_group_dro_keeps_the_weight_of_a_domain_that_a_batch_lacks() -> None:
    method, rows = make(methods.GroupDRO, 3, eta=1.0), batch([0, 2, 0, 2])
    risks = method.risks(method.parts(rows, method(rows.source.x))).detach()
    robust = terms(method, rows)["robust"]
    expected, shares = group_dro(risks, torch.tensor([1 / 3, 1 / 3]), 1.0)
    torch.testing.assert_close(robust.detach(), expected)
    torch.testing.assert_close(method.weights, torch.stack((shares[0] * 2 / 3, torch.tensor(1 / 3), shares[1] * 2 / 3)))


def test_fishr_averages_a_domains_variances_and_keeps_the_gradient() -> None:
    method, rows = make(methods.Fishr, smoothing=0.5), batch([0, 0, 0, 1, 1, 1])
    part = method.parts(rows, method(rows.source.x))[0]
    first = method.smoothed(part)
    torch.testing.assert_close(method.smoothed(part), first)  # the average of twice the same
    torch.testing.assert_close(method.earlier[0], 0.5 * first.detach())
    with pytest.raises(UserError, match=r"Fishr has the gradients of one linear layer, and the head is another"):
        make(methods.Fishr, head=Head(hidden=4))


def test_mixup_of_everything_with_one_domain_is_its_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlda.methods.domain_mixup.Beta.sample", lambda self: torch.tensor(1.0))
    method, rows = make(methods.DomainMixup), batch([0, 1, 0, 1])
    output = method(rows.source.x)
    torch.testing.assert_close(terms(method, rows)["mixed"], method.risks(method.parts(rows, output)).mean())


def test_mldg_differentiates_through_the_inner_step() -> None:
    method, rows = make(methods.MLDG, step=0.3).double(), batch([0, 1, 0, 1, 0, 1])
    rows = SourceBatch(rows.source._replace(x=rows.source.x.double()))
    weight = method.head.weight

    def total(shift: float) -> Tensor:
        torch.manual_seed(3)  # which domain is left out
        with torch.no_grad():
            weight[0, 0] += shift
        return sum(terms(method, rows).values(), torch.zeros(()))

    found = torch.autograd.grad(total(0.0), weight)[0][0, 0]
    above, below = total(1e-4).detach(), total(-2e-4).detach()
    torch.testing.assert_close((above - below) / 2e-4, found, rtol=1e-5, atol=1e-8)


def test_across_sources_takes_distances_without_parameters_alone() -> None:
    method, rows = make(methods.AcrossSources, 3, loss=MMD(2.0)), batch([0, 1, 2, 0, 1, 2])
    output = method(rows.source.x)
    pairs = [MMD()(None, *(output._replace(features=output.features[[i, i + 3]]) for i in pair), 0.0) for pair in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(terms(method, rows)["across"], 2.0 * torch.stack(pairs).mean())
    with pytest.raises(UserError, match=r"--model.loss is DomainAdversarial, and AcrossSources takes a distance of two domains"):
        make(methods.AcrossSources, loss=DomainAdversarial())


def test_rsc_mutes_the_leading_features_of_the_rows_that_lean_on_them() -> None:
    method = make(methods.RSC, features=0.25, rows=0.5)
    with torch.no_grad():
        method.head.weight.zero_()
        method.head.weight[0] = torch.arange(8.0)
    features = torch.ones(4, 8)
    features[2:] = 0.0  # nothing to mute there
    kept = method.kept(features, torch.zeros(4, dtype=torch.long))
    assert kept[0].tolist() == [1.0] * 6 + [0.0] * 2
    assert kept[2:].eq(1.0).all()


def test_weights_of_sources() -> None:
    losses = torch.tensor([1.0, 0.5, 0.8])
    torch.testing.assert_close(make(methods.MDAN, 3, gamma=2.0).weights(losses), (2 * losses).softmax(0))
    assert make(methods.MDAN, 3, variant="hard").weights(losses).tolist() == [1.0, 0.0, 0.0]
    torch.testing.assert_close(make(methods.DARN, 3, tau=0.2).weights(losses), torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(on_simplex(torch.tensor([0.2, 0.2, 0.2])), torch.full((3,), 1 / 3))
    torch.testing.assert_close(on_simplex(torch.tensor([0.9, 0.5, -3.0])), torch.tensor([0.7, 0.3, 0.0]))


def test_the_mean_of_the_heads_answers() -> None:
    method = make(methods.M3SDA, 2)
    features = torch.randn(5, 8)
    probabilities = torch.stack([logits.softmax(1) for logits in method.head.each(features)]).mean(0)
    torch.testing.assert_close(method.head(features).exp(), probabilities)
    assert all(isinstance(head, nn.Linear) for head in method.head.heads)


def test_each_branch_of_mfsan_sees_its_own_source_and_the_target() -> None:
    method, rows = make(methods.MFSAN, 3, width=4), batch([0, 2, 0, 2, 2, 0])
    method.progress = 0.3
    x, target = rows.source.x, torch.rand(4, 1, 4, 4)
    output, other = method(x), method(target)
    found = method.objective(Pair(rows.source, Unlabelled(target, torch.arange(4), torch.zeros(4))), output, other)
    branches, parts = method.head.heads, {0: [0, 2, 5], 2: [1, 3, 4]}  # the batch has no row of the second source
    weight = 2 / (1 + math.exp(-3)) - 1
    own = {k: branches[k](output.features[i]) for k, i in parts.items()}
    risk = torch.stack([-own[k].log_softmax(1)[torch.arange(3), rows.source.y[i]].mean() for k, i in parts.items()]).mean()
    spaces = {k: [branches[k][:2](features) for features in (output.features[i], other.features)] for k, i in parts.items()}
    p, q = (branches[k](other.features).softmax(1) for k in parts)
    torch.testing.assert_close(found["task"], risk)
    torch.testing.assert_close(found["discrepancy"], weight * sum(mmd(*spaces[k]) for k in parts) / 2)
    torch.testing.assert_close(found["disagreement"], weight * (p - q).abs().mean())
    torch.testing.assert_close(method.head(other.features).exp(), torch.stack([b(other.features).softmax(1) for b in branches]).mean(0))


def test_decoupling_penalises_the_logits() -> None:
    method, rows = make(methods.SD, trade_off=0.3), batch([0, 1, 0, 1])
    torch.testing.assert_close(terms(method, rows)["decoupling"], 0.3 * method(rows.source.x).logits.square().mean())


def test_single_source_learns_from_its_own_rows_alone() -> None:
    method, rows = make(methods.SingleSource, number=1), batch([0, 1, 0, 1])
    own = [1, 3]
    torch.testing.assert_close(terms(method, rows)["single"], method.task.loss(method(rows.source.x).logits[own], rows.source.y[own]))


@pytest.mark.parametrize(
    ("cls", "options", "sentence"),
    [
        (methods.VREx, {"anneal": 1.0}, r"--model.anneal is 1.0: it is a fraction of the run"),
        (methods.Fishr, {"smoothing": 1.0}, r"--model.smoothing is 1.0: it is a fraction of the variance"),
        (methods.DomainMixup, {"alpha": 0.0}, r"--model.alpha is 0.0: the parameter of a beta distribution"),
        (methods.RSC, {"features": 1.0}, r"--model.features is 1.0: it is the fraction of features to mute"),
        (methods.MDAN, {"gamma": 0.0}, r"--model.gamma is 0.0: the sharpness must be more than 0"),
        (methods.DARN, {"tau": 0.0}, r"--model.tau is 0.0: the evenness must be more than 0"),
        (methods.SingleSource, {"number": 2}, r"--model.number is 2, and the source domains, from 0 on, are blobs 0, blobs 1"),
    ],
)
def test_options_out_of_range_are_a_sentence(cls: type[Method], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make(cls, **options)
