"""What must hold of every loss, whatever it computes."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tlda import losses
from tlda.errors import UserError
from tlda.nn.numerics import squared_distances


def views(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """As many rows of both, which are then views of the same rows."""
    n = min(len(first), len(second))
    return first[:n], second[:n]


ON_PAIRS = {
    "adaptive_feature_norm": lambda s, t: losses.adaptive_feature_norm(t),
    "adaptive_feature_norm hard": lambda s, t: losses.adaptive_feature_norm(t, "hard"),
    "batch_nuclear_norm": lambda s, t: losses.batch_nuclear_norm(t),
    "batch_spectral_penalty": losses.batch_spectral_penalty,
    "batch_spectral_shrinkage": lambda s, t: losses.batch_spectral_shrinkage(t),
    "co_tuning": lambda s, t: losses.co_tuning(t, s.softmax(1, torch.float32)),
    "delta": lambda s, t: losses.delta([t, t[:, :, None, None]], [s[: len(t)], t.detach()[:, :, None, None]]),
    "l2_sp": lambda s, t: losses.l2_sp([t], [s], [t.mT]),
    "classifier_discrepancy": losses.classifier_discrepancy,
    "coral": losses.coral,
    "coral domainbed": lambda s, t: losses.coral(s, t, "domainbed"),
    "cycle_self_training": lambda s, t: losses.cycle_self_training(s, t, s.argmax(1), t),
    "neighborhood_aggregation": lambda s, t: losses.neighborhood_aggregation(
        t, t, torch.arange(len(t)), normalize(s.float(), dim=1), s.softmax(1, torch.float32), neighbours=1
    ),
    "tsallis_entropy": lambda s, t: losses.tsallis_entropy(t),
    "tsallis_entropy balanced": lambda s, t: losses.tsallis_entropy(t, balanced=True),
    "deep_jdot": lambda s, t: losses.deep_jdot(s, t, s.argmax(1), t),
    "deep_jdot sinkhorn": lambda s, t: losses.deep_jdot(s, t, s.argmax(1), t, method="sinkhorn"),
    "domain_adversarial": lambda s, t: losses.domain_adversarial(*(x[:, 0].float() if x.dtype.itemsize < 4 else x[:, 0] for x in (s, t))),
    "domain_confusion": lambda s, t: losses.domain_confusion(t),
    "entropy": lambda s, t: losses.entropy(t),
    "graph_spectra": lambda s, t: losses.graph_spectra(*views(s, t)),
    "gradient_penalty": lambda s, t: losses.gradient_penalty(lambda x: (x @ t.mean(0)).tanh(), s, t, torch.full((len(s),), 0.3)),
    "information_maximization": lambda s, t: losses.information_maximization(t),
    "inverse_gram_discrepancy": lambda s, t: sum(losses.inverse_gram_discrepancy(s, t)),
    "higher_order_moments": losses.higher_order_moments,
    "joint_mmd": lambda s, t: losses.joint_mmd(*((x, x.softmax(1, torch.promote_types(x.dtype, torch.float32))) for x in (s, t))),  # type: ignore[arg-type]
    "margin_disparity": lambda s, t: losses.margin_disparity(s, s.flip(1), t, t.flip(1)),
    "minimum_class_confusion": lambda s, t: losses.minimum_class_confusion(t),
    "mmd": losses.mmd,
    "mmd linear": lambda s, t: losses.mmd(s, t, "linear"),
    "mmd mean": lambda s, t: losses.mmd(s, t, bandwidth="mean"),
    "mmd unbiased": lambda s, t: losses.mmd(s, t, biased=False),
    "subspace_discrepancy": losses.subspace_discrepancy,
    "subspace_discrepancy of angles": lambda s, t: losses.subspace_discrepancy(s, t, 0.0),
    "self_penalization": lambda s, t: losses.self_penalization(t, t.argmax(1)),
    "pseudo_label": lambda s, t: losses.pseudo_label(t, labels_from=s),
    "nt_xent": lambda s, t: losses.nt_xent(*views(s, t), 0.5),
    "sup_con": lambda s, t: losses.sup_con(*views(s, t), torch.zeros(min(len(s), len(t))), 0.5),
    "clip": lambda s, t: losses.clip(*views(s, t), 0.07),
    "vicreg": lambda s, t: losses.vicreg(*views(s, t)),
    "barlow_twins": lambda s, t: losses.barlow_twins(*views(s, t)),
    "byol": lambda s, t: losses.byol(*views(t, s)),
    "simsiam": lambda s, t: losses.simsiam(*views(t, s)),
    "distillation": lambda s, t: losses.distillation(*views(t, s), 2.0),
    "dino": lambda s, t: losses.dino(*views(t, s), 0.5, 0.5, torch.zeros(t.shape[1])),
    "prototype_logits": lambda s, t: losses.prototype_logits(s, t).mean(),
    "vat": lambda s, t: losses.vat(lambda x: x @ normalize(t, dim=1).T, s),
}
"""Each public function, and its variants, as a loss of two batches (n, d); the gradient is that of the second."""


def batches(n: int = 6, m: int = 6, d: int = 4, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator), 0.7 * torch.randn(m, d, generator=generator) + 0.5


def value_and_gradient(loss: Any, source: Any, target: Any) -> Any:
    target = target.clone().requires_grad_()
    torch.manual_seed(0)
    value = loss(source, target)
    return value, torch.autograd.grad(value, target)[0]


every_loss = pytest.mark.parametrize("loss", ON_PAIRS.values(), ids=ON_PAIRS)


def test_the_table_holds_every_public_function() -> None:
    public = {name for name in losses.__all__ if inspect.isfunction(getattr(losses, name))}
    # A weight of each example, which has no gradient by design; an alignment of arrays; a share of equal predictions; and the losses of
    # a critic's scores, of risks, of gradients and of logits with labels, which are no features of two domains: each has tests of its own.
    others = {"entropy_weight", "coral_align", "semantic_consistency", "gan_critic", "gan_generator"}
    others |= {"irm_penalty", "risk_variance", "group_dro", "gradient_variance", "variance_distance", "spectral_decoupling"}
    others |= {"moment_distance", "multi_domain_adversarial", "feature_distance"}
    others |= {
        "binary_entropy",
        "complement_entropy",
        "entropy_separation",
        "extremes",
        "iwan_weights",
        "masked_consistency",
        "multi_binary",
        "neighborhood_clustering",
        "one_vs_all",
        "open_set_adversarial",
        "pada_weights",
        "uan_weight",
    }  # of a source with classes of its own
    others |= {"adaptive_clustering", "alike", "attraction", "dispersion", "local_mmd", "masked_pixels", "minimax_entropy"}
    others |= {"relevant_features", "nuclear_wasserstein", "self_information", "weighted_cross_entropy"}  # of logits
    others |= {"certain_labels", "class_mix", "half_of_classes"}  # of images and labels
    assert public - others == {name.split()[0] for name in ON_PAIRS}


SINGULAR = {
    "two rows": batches(2, 2),
    "equal rows": (torch.ones(5, 3), torch.ones(5, 3)),
    "large equal rows": (torch.full((5, 3), 1e4), torch.full((5, 3), 1e4)),
    "one point a domain": (torch.zeros(5, 3), torch.ones(5, 3)),
    "identical domains": (batches()[0], batches()[0]),
    "zero rows": (torch.zeros(5, 3), torch.zeros(5, 3)),
    "some zero rows": (batches()[0] * torch.tensor([[0.0], [0], [1], [1], [1], [1]]), batches()[1] * torch.eye(6, 4)),
    "large": tuple(1e4 * x for x in batches()),
    "tiny": tuple(1e-20 * x for x in batches()),
    "bfloat16": tuple(x.bfloat16() for x in batches()),
    "float16": tuple(x.half() for x in batches()),
}


@every_loss
@pytest.mark.parametrize("inputs", SINGULAR.values(), ids=SINGULAR)
def test_value_and_gradient_are_finite(loss: Any, inputs: Any) -> None:
    value, gradient = value_and_gradient(loss, *inputs)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert value.dtype == torch.float32
    assert gradient.dtype == inputs[1].dtype


@every_loss
def test_gradient_is_alive(loss: Any) -> None:
    assert value_and_gradient(loss, *batches())[1].abs().max() > 1e-5


@pytest.mark.parametrize("name", sorted(ON_PAIRS.keys() - {"vat", "gradient_penalty"}))  # they call a network, at its precision
def test_half_precision_changes_only_the_inputs(name: str) -> None:
    half = [x.bfloat16() for x in batches()]
    full = [x.float() for x in half]
    torch.testing.assert_close(value_and_gradient(ON_PAIRS[name], *half)[0], value_and_gradient(ON_PAIRS[name], *full)[0])


PAIRED = {"classifier_discrepancy", "co_tuning", "delta", "gradient_penalty", "l2_sp", "neighborhood_aggregation", "pseudo_label"}
PAIRED |= {"nt_xent", "clip", "vicreg", "barlow_twins", "byol", "simsiam", "dino", "distillation"}
"""The losses whose two arguments have a row each of one thing: an image, a weight, a place in a bank, a point between."""


@pytest.mark.parametrize("name", sorted(ON_PAIRS.keys() - {"vat"}))  # its second batch is the network
def test_only_rows_that_belong_together_are_compared_one_by_one(name: str) -> None:
    source, target = (x.double() for x in batches())
    first, second = (torch.randperm(6, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4))
    value, gradient = value_and_gradient(ON_PAIRS[name], source, target)
    shuffled, shuffled_gradient = value_and_gradient(ON_PAIRS[name], source[first], target[second])
    if name.split()[0] in PAIRED:
        assert not torch.isclose(shuffled, value)
    else:
        torch.testing.assert_close(shuffled, value)
        torch.testing.assert_close(shuffled_gradient, gradient[second])


@pytest.mark.parametrize("name", sorted(ON_PAIRS.keys() - {"vat"}))  # its direction is drawn row by row
def test_order_of_the_batch_does_not_matter(name: str) -> None:
    source, target = (x.double() for x in batches())
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    value, gradient = value_and_gradient(ON_PAIRS[name], source, target)
    shuffled, shuffled_gradient = value_and_gradient(ON_PAIRS[name], source[order], target[order])
    torch.testing.assert_close(shuffled, value)
    torch.testing.assert_close(shuffled_gradient, gradient[order])


@pytest.mark.parametrize(
    "name", [n for n in ON_PAIRS if n.split()[0] in {"coral", "higher_order_moments", "mmd", "joint_mmd", "batch_spectral_penalty"}]
)
def test_symmetric_in_the_domains(name: str) -> None:
    source, target = batches(6, 9)
    torch.testing.assert_close(ON_PAIRS[name](source, target), ON_PAIRS[name](target, source))


def test_the_discrepancy_of_two_classifiers_is_symmetric() -> None:
    first, second = batches()
    torch.testing.assert_close(losses.classifier_discrepancy(first, second), losses.classifier_discrepancy(second, first))


@pytest.mark.parametrize(
    "name", ["coral", "coral domainbed", "higher_order_moments", "mmd", "mmd linear", "mmd mean", "joint_mmd", "classifier_discrepancy"]
)
def test_zero_for_identical_inputs_and_for_no_others(name: str) -> None:
    source, target = batches()
    value, gradient = value_and_gradient(ON_PAIRS[name], source, source)
    assert 0.0 <= value.item() < 1e-6
    assert gradient.abs().max() < 1e-6
    assert ON_PAIRS[name](source, target).item() > 1e-3  # type: ignore[union-attr]


@pytest.mark.parametrize("options", [{}, {"kernel": "linear"}, {"bandwidth": "mean"}, {"bandwidth": 3.0}], ids=str)
def test_biased_mmd_is_never_negative(options: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in np.logspace(-8, 4, 13):
        source = scale * torch.randn(8, 3, generator=generator)
        near = source + 1e-4 * scale * torch.randn(8, 3, generator=generator)
        assert losses.mmd(source, near, **options).item() >= 0.0


@pytest.mark.parametrize("options", [{"bandwidth": 3.0}, {"kernel": "linear"}], ids=str)
def test_unbiased_mmd_is_zero_in_expectation_for_one_distribution(options: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(400, 2, 6, 3, generator=generator)
    unbiased = torch.stack([losses.mmd(s, t, biased=False, **options) for s, t in draws])
    error = unbiased.std() / 20.0
    assert unbiased.mean().abs() < 3.0 * error
    assert (unbiased < 0.0).float().mean() > 0.3
    biased = torch.stack([losses.mmd(s, t, **options) for s, t in draws])
    assert biased.mean() > 10.0 * error


def test_squared_distances_are_never_negative() -> None:
    first, second = (1e3 * x for x in batches(50, 40))
    expected = torch.cdist(first.double(), second.double()).square().float()
    torch.testing.assert_close(squared_distances(first, second), expected, rtol=1e-4, atol=1.0)
    assert squared_distances(first, first).min() >= 0.0


def test_mmd_bandwidth_follows_the_scale_of_the_features() -> None:
    source, target = batches()
    for bandwidth in ("median", "mean"):
        small, large = (losses.mmd(c * source, c * target, bandwidth=bandwidth) for c in (1e-3, 1e3))
        torch.testing.assert_close(small, large)


def test_mmd_does_not_move_with_the_features() -> None:
    source, target = batches()
    for kernel in ("gaussian", "linear"):
        moved = losses.mmd(source + 1e3, target + 1e3, kernel)
        torch.testing.assert_close(moved, losses.mmd(source, target, kernel), rtol=1e-3, atol=1e-6)


def test_vat_finds_its_direction_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(784, 10) / 28, torch.rand(16, 784)
    start = torch.randn_like(x)
    monkeypatch.setattr(torch, "randn_like", lambda like: start.to(like))

    def perturbation(inputs: Any) -> Any:
        seen = []
        losses.vat(lambda y: (seen.append(y), y @ weight.to(y))[1], inputs, radius=1.0)  # type: ignore[func-returns-value]
        return (seen[-1] - inputs).double()

    cosines = (perturbation(x) * perturbation(x.double())).sum(1)
    assert cosines.min() > 0.99


@pytest.mark.slow
def test_losses_need_no_lightning() -> None:
    code = "import sys, tlda.losses as losses; losses.mmd; assert not {'pytorch_lightning', 'lightning', 'torchmetrics'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@every_loss
def test_a_diverged_run_is_not_hidden(loss: Any) -> None:
    source, target = batches()
    # Every loss looks at the second batch; the trainer names the one that is not finite.
    assert not loss(source, target * torch.nan).isfinite()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: losses.coral(x[:1], x), "coral needs at least 2 rows of each domain, got 1 and 6"),
        (lambda x: losses.coral(x, x[:, :2]), r"got \(6, 4\) and \(6, 2\)"),
        (lambda x: losses.coral(x, x, "papers"), "coral has no variant 'papers'; did you mean 'paper'"),  # type: ignore[arg-type]
        (lambda x: losses.higher_order_moments(x, x, 1), "order is 1: give 2 or more"),
        (lambda x: losses.mmd(x, x, "laplace"), "mmd has no kernel 'laplace'; known: gaussian, linear"),  # type: ignore[arg-type]
        (lambda x: losses.mmd(x, x, bandwidth="medain"), "did you mean 'median'"),  # type: ignore[arg-type]
        (lambda x: losses.mmd(x, x[:1], biased=False), "mmd needs at least 2 rows"),
        (lambda x: losses.joint_mmd((x, x, x), (x, x, x)), "as many multipliers and bandwidths as layers"),
        (lambda x: losses.adaptive_feature_norm(x, "soft"), "has no variant 'soft'"),  # type: ignore[arg-type]
        (lambda x: losses.deep_jdot(x, x[:3], x.argmax(1), x[:3]), "batches of one size, got .* the loss DeepJDOT has 'sinkhorn'"),
        (lambda x: losses.deep_jdot(x, x, x.argmax(1), x, method="sinkhron"), "did you mean 'sinkhorn'"),  # type: ignore[arg-type]
        (lambda x: losses.gradient_penalty(torch.sum, x, x[:3]), "inputs of one shape"),
        (lambda x: losses.gradient_penalty(torch.sum, x, x, variant="wgan"), "has no variant 'wgan'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_is_said(call: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        call(batches()[0])
