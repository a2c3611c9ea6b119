"""VADA's virtual adversarial terms: their value, and what they leave as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.helpers.toy import CLASSES, Tiny, Toy
from tlda.batch import Pair
from tlda.finetuning import StochNorm
from tlda.losses import domain_adversarial, entropy, vat
from tlda.methods import VADA
from tlda.nn import without_noise, without_statistics

RADIUS = 0.05 * 16**0.5
"""The norm of a perturbation with a root mean square of 0.05 over 4 x 4 values."""


def make(dropout: float = 0.5, batch_norm: bool = True, **options: Any) -> VADA:
    seed_everything(0, verbose=False)
    method = VADA(backbone=Tiny(dropout=dropout, batch_norm=batch_norm), task=CLASSES, perturbation=0.05, **options)
    nn.init.normal_(method.head.weight, std=2.0)
    return method.train()


def batch_of(n: int = 12) -> Pair:
    data = Toy()
    data.setup("fit")
    rows = torch.arange(n)
    return Pair(*(data.prepare(data.training_rows()[field][rows]) for field in Pair._fields))


def direct(method: VADA, x: Tensor) -> Tensor:
    return vat(lambda images: method.head(method.backbone(images)), x, radius=RADIUS)


def test_the_terms_are_those_of_a_direct_call() -> None:
    method, batch = make(dropout=0.0, batch_norm=False, source_trade_off=0.7, target_trade_off=0.2, trade_off=0.3), batch_of()
    source, target = method.forward_pair(batch)
    torch.manual_seed(5)
    terms = method.objective(batch, source, target)
    torch.manual_seed(5)
    expected = {"source_vat": 0.7 * direct(method, batch.source.x), "target_vat": 0.2 * direct(method, batch.target.x)}
    critic: Any = method.losses["domain"].critic
    expected |= {
        "task": cross_entropy(source.logits, batch.source.y),
        "entropy": 0.2 * entropy(target.logits),
        "domain": domain_adversarial(critic(source.features), critic(target.features)),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert value > 1e-4, name
        torch.testing.assert_close(terms[name], value)


def test_the_terms_leave_running_statistics_and_modes_as_they_were() -> None:
    method, batch = make(), batch_of()
    method.forward_pair(batch)
    before, modes = copy.deepcopy(method.state_dict()), {name: module.training for name, module in method.named_modules()}
    method.sensitivity(batch.source.x).backward()
    for key, value in method.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert {name: module.training for name, module in method.named_modules()} == modes
    assert all(module.track_running_stats for module in method.modules() if isinstance(module, nn.BatchNorm1d))
    assert all(p.grad is not None and p.grad.abs().max() > 0.0 for p in method.backbone.parameters())


def test_within_them_dropout_is_off_and_batchnorm_normalises_by_the_batch() -> None:
    method, batch = make(), batch_of()
    seen: set[tuple[str, bool]] = set()
    outputs = []

    def look(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen.add((type(module).__name__, module.training))
        if isinstance(module, nn.BatchNorm1d):
            outputs.append(output)

    for module in method.backbone.layers:  # type: ignore[union-attr]
        module.register_forward_hook(look)
    method.sensitivity(batch.target.x)
    assert {("Dropout", False), ("BatchNorm1d", True)} <= seen
    assert {("Dropout", True), ("BatchNorm1d", False)}.isdisjoint(seen)
    assert len(outputs) == 3  # the reference, the search for the direction, the perturbed
    for output in outputs:
        torch.testing.assert_close(output.mean(0), torch.zeros(16), rtol=0.0, atol=1e-5)


def test_they_are_at_single_precision_where_the_run_is_not() -> None:
    method, batch = make(), batch_of()
    values = []
    for enabled in (False, True):
        torch.manual_seed(5)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            values.append(method.sensitivity(batch.target.x))
    assert torch.equal(*values)


def test_each_domain_is_normalised_for_itself_and_the_running_statistics_are_the_targets() -> None:
    method, batch = make(dropout=0.0), batch_of()
    alone = copy.deepcopy(method)
    source, target = method.forward_pair(batch)
    torch.testing.assert_close(target, alone(batch.target.x))
    for key, value in alone.state_dict().items():
        assert torch.equal(value, method.state_dict()[key]), key
    torch.testing.assert_close(source, alone(batch.source.x))


def test_what_is_switched_off_comes_back_after_an_error_and_no_more_than_that() -> None:
    method = make()
    method.backbone.layers[4].eval()  # type: ignore[index, union-attr]  # a dropout that was off before
    modes = [module.training for module in method.modules()]
    with pytest.raises(ZeroDivisionError), without_noise(method), without_statistics(method):
        raise ZeroDivisionError
    assert [module.training for module in method.modules()] == modes
    assert all(module.track_running_stats for module in method.modules() if isinstance(module, nn.BatchNorm1d))


def test_without_a_perturbation_nothing_changes_under_noise_of_normalisation_either() -> None:
    torch.manual_seed(0)
    method = VADA(backbone=Tiny(dropout=0.5), task=CLASSES, tuning=StochNorm()).train()
    method.perturbation = 0.0
    x = torch.rand(16, 1, 4, 4)
    method(x)  # the running statistics are then not those of the batch
    assert method.sensitivity(x).item() == 0.0
    assert not torch.equal(method(x).logits, method(x).logits)
