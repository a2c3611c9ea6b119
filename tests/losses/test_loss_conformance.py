"""Every loss against an implementation that shares nothing with it: numpy, scipy, scikit-learn, POT, or a closed form."""

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import ot
import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from scipy.special import log_softmax, softmax
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics.pairwise import rbf_kernel

from tlda import losses
from tlda.batch import Output
from tlda.losses.deep_jdot import exact_plan, sinkhorn_plan

SHAPES = [(2, 2, 3), (6, 4, 2), (5, 9, 7)]
"""Rows of the source, rows of the target, width."""


def rows(n: int, d: int, seed: int = 0, scale: float = 1.5, shift: float = 0.3) -> Any:
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def pair(n: int, m: int, d: int) -> Any:
    return rows(n, d, 1), rows(m, d, 2, 1.0, -0.4)


# Alignment of features. What a loss holds constant (a bandwidth, a weight, a plan), its reference computes once, here.


def coral_paper(s: Any, t: Any) -> Any:
    return np.linalg.norm(np.cov(s.T) - np.cov(t.T), "fro") ** 2 / (4 * s.shape[1] ** 2)


def coral_domainbed(s: Any, t: Any) -> Any:
    return np.mean((s.mean(0) - t.mean(0)) ** 2) + np.mean((np.cov(s.T) - np.cov(t.T)) ** 2)


def expectation(kernel: Any, a: Any, b: Any, biased: bool) -> Any:
    """The mean of ``kernel`` over pairs of rows; without a row's pair with itself where not biased."""
    values = kernel(a, b)
    return values.mean() if biased or a is not b else values[~np.eye(len(a), dtype=bool)].mean()


def mmd_by_pairs(s: Any, t: Any, kernel: Any, biased: bool) -> Any:
    return expectation(kernel, s, s, biased) + expectation(kernel, t, t, biased) - 2 * expectation(kernel, s, t, biased)


def gaussians(widths: Sequence[float]) -> Any:
    return lambda a, b: sum(np.exp(-cdist(a, b, "sqeuclidean") / width) for width in widths)


def pooled_statistic(statistic: Any, *layers: Any) -> Any:
    distances = np.sort(pdist(np.concatenate(layers), "sqeuclidean"))
    return distances.mean() if statistic == "mean" else distances[(len(distances) - 1) // 2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("variant", "reference"), [("paper", coral_paper), ("domainbed", coral_domainbed)])
def test_coral(conforms: Callable[..., None], shape: Any, variant: Any, reference: Callable[..., Any]) -> None:
    loss = partial(losses.coral, variant=variant)
    conforms(loss, reference, *pair(*shape))
    assert torch.autograd.gradcheck(loss, [torch.tensor(x, requires_grad=True) for x in pair(*shape)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("bandwidth", ["median", "mean", 2.5])
def test_mmd_gaussian(conforms: Callable[..., None], shape: Any, biased: bool, bandwidth: float) -> None:
    s, t = pair(*shape)
    multipliers = (0.5, 1.0, 3.0)
    width = pooled_statistic(bandwidth, s, t) if isinstance(bandwidth, str) else bandwidth
    kernel = gaussians([m * width for m in multipliers])
    loss = partial(losses.mmd, multipliers=multipliers, bandwidth=bandwidth, biased=biased)
    conforms(loss, lambda s, t: mmd_by_pairs(s, t, kernel, biased), s, t)


def test_mmd_default_is_the_five_kernels_at_the_median(conforms: Callable[..., None]) -> None:
    s, t = pair(6, 4, 2)
    kernel = gaussians([m * pooled_statistic("median", s, t) for m in (0.25, 0.5, 1, 2, 4)])
    conforms(losses.mmd, lambda s, t: mmd_by_pairs(s, t, kernel, True), s, t)


def test_mmd_of_one_kernel_is_that_of_scikit_learn(conforms: Callable[..., None]) -> None:
    def reference(s: Any, t: Any) -> Any:
        return rbf_kernel(s, s, 0.4).mean() + rbf_kernel(t, t, 0.4).mean() - 2 * rbf_kernel(s, t, 0.4).mean()

    loss = partial(losses.mmd, multipliers=(1.0,), bandwidth=2.5)
    conforms(loss, reference, *pair(5, 9, 7))
    assert torch.autograd.gradcheck(loss, [torch.tensor(x, requires_grad=True) for x in pair(5, 9, 7)])


@pytest.mark.parametrize("shape", SHAPES)
def test_mmd_linear(conforms: Callable[..., None], shape: Any) -> None:
    conforms(partial(losses.mmd, kernel="linear"), lambda s, t: np.sum((s.mean(0) - t.mean(0)) ** 2), *pair(*shape))
    unbiased = partial(losses.mmd, kernel="linear", biased=False)
    conforms(unbiased, lambda s, t: mmd_by_pairs(s, t, lambda a, b: a @ b.T, False), *pair(*shape))


def tensors_of_moments(s: Any, t: Any, order: int) -> Any:
    """The distance by the tensors themselves, whose d^p entries are made."""

    def moment(x: Any) -> Any:
        product = x - x.mean(0)
        tensor = product
        for _ in range(order - 1):
            tensor = tensor[..., None] * product.reshape(len(x), *[1] * (tensor.ndim - 1), -1)
        return tensor.mean(0)

    return np.mean((moment(s) - moment(t)) ** 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", [2, 3, 4])
def test_higher_order_moments(conforms: Callable[..., None], shape: Any, order: int) -> None:
    conforms(partial(losses.higher_order_moments, order=order), partial(tensors_of_moments, order=order), *pair(*shape))


def test_moments_of_the_second_order_are_the_biased_covariance(conforms: Callable[..., None]) -> None:
    def reference(s: Any, t: Any) -> Any:
        return np.mean((np.cov(s.T, bias=True) - np.cov(t.T, bias=True)) ** 2)

    conforms(partial(losses.higher_order_moments, order=2), reference, *pair(6, 4, 3))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_joint_mmd(conforms: Callable[..., None], shape: Any, biased: bool) -> None:
    n, m, d = shape
    (s, t), (ps, pt) = pair(n, m, d), (rows(n, 3, 4), rows(m, 3, 5))
    feature = gaussians([u * pooled_statistic("median", s, t) for u in (0.25, 0.5, 1, 2, 4)])
    prediction = gaussians([1.68])

    def product(a: Any, b: Any) -> Any:
        return feature(a[:, :d], b[:, :d]) * prediction(a[:, d:], b[:, d:])

    def reference(s: Any, t: Any, ps: Any, pt: Any) -> Any:
        return mmd_by_pairs(np.hstack((s, ps)), np.hstack((t, pt)), product, biased)

    def loss(s: Any, t: Any, ps: Any, pt: Any) -> Any:
        return losses.joint_mmd((s, ps), (t, pt), bandwidths=("median", 1.68), biased=biased)

    conforms(loss, reference, s, t, ps, pt)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 2, 50])
def test_batch_spectral_penalty(conforms: Callable[..., None], shape: Any, k: int) -> None:
    def reference(s: Any, t: Any) -> Any:
        return sum(np.sum(np.linalg.svd(x, compute_uv=False)[:k] ** 2) for x in (s, t))

    loss = partial(losses.batch_spectral_penalty, k=k)
    conforms(loss, reference, *pair(*shape))
    assert torch.autograd.gradcheck(loss, [torch.tensor(x, requires_grad=True) for x in pair(*shape)])


@pytest.mark.parametrize("shape", [(2, 3), (6, 2), (5, 9)])
def test_adaptive_feature_norm(conforms: Callable[..., None], shape: Any) -> None:
    x = rows(*shape)
    goal = np.linalg.norm(x, axis=1) + 0.7
    conforms(partial(losses.adaptive_feature_norm, delta=0.7), lambda x: np.mean((goal - np.linalg.norm(x, axis=1)) ** 2), x)
    hard = partial(losses.adaptive_feature_norm, variant="hard", radius=4.0)
    conforms(hard, lambda x: (np.linalg.norm(x, axis=1).mean() - 4.0) ** 2, x)
    assert torch.autograd.gradcheck(hard, [torch.tensor(x, requires_grad=True)])


def test_adaptive_feature_norm_stepwise_grows_every_norm() -> None:
    x = torch.tensor(rows(5, 3), requires_grad=True)
    (gradient,) = torch.autograd.grad(losses.adaptive_feature_norm(x), x)
    assert ((x - gradient).norm(dim=1) > x.norm(dim=1)).all()


def subspaces(x: Any, rank: int) -> Any:
    return np.linalg.svd(x, full_matrices=False)[2][:rank].T


def subspace_distance(s: Any, t: Any, mismatch: bool) -> Any:
    rank = min(len(s), len(t), max(1, s.shape[1] // 2))
    left, cosines, right = np.linalg.svd(subspaces(s, rank).T @ subspaces(t, rank))
    sines = np.sin(np.arccos(np.minimum(cosines, 1.0)))
    return sines.sum() + mismatch * np.linalg.norm(np.abs(left) - np.abs(right.T))


@pytest.mark.parametrize("shape", [(2, 2, 4), (3, 3, 9), (6, 4, 2), (5, 9, 7)])
@pytest.mark.parametrize("mismatch", [0.0, 0.1])
def test_subspace_discrepancy(conforms: Callable[..., None], shape: Any, mismatch: bool) -> None:
    loss = partial(losses.subspace_discrepancy, mismatch=mismatch)
    conforms(loss, partial(subspace_distance, mismatch=mismatch), *pair(*shape), rel=1e-7)


def test_subspace_discrepancy_has_its_closed_values() -> None:
    angle = torch.tensor(0.3, dtype=torch.float64)
    eye = torch.eye(6, dtype=torch.float64)
    source, target = 3.0 * eye[:1], 0.1 * (angle.cos() * eye[:1] + angle.sin() * eye[1:2])
    assert losses.subspace_discrepancy(source, target).item() == pytest.approx(np.sin(0.3))
    # Equal subspaces in other bases: the angles are zero, where the square root of 1 - cos^2 has cosines above 1.
    rows_of_both = torch.tensor(rows(3, 8))
    turned = torch.tensor(rows(3, 3, 5)) @ rows_of_both
    turned.requires_grad_()
    value = losses.subspace_discrepancy(rows_of_both, turned, mismatch=0.0)
    assert value.item() == pytest.approx(0.0, abs=1e-12)
    assert torch.autograd.grad(value, turned)[0].isfinite().all()
    assert losses.subspace_discrepancy(eye[:2], eye[4:]).item() == pytest.approx(2.0)


def gram_parts(s: Any, t: Any, threshold: float) -> Any:
    """By the eigenvalues of both Gram matrices and a sum of outer products, with one column after the other."""
    spectra = [np.linalg.eigh(a.T @ a) for a in (np.hstack((np.ones((len(x), 1)), x)) for x in (s, t))]
    spectra = [(values[::-1], vectors[:, ::-1]) for values, vectors in spectra]  # type: ignore[misc]
    leading = [[i for i, share in enumerate(np.cumsum(v) / v.sum()) if share <= threshold] for v, _ in spectra]
    k = max(1, *(max(indices, default=0) for indices in leading))
    k = min(k, len(s), len(t))
    inverses = [sum(np.outer(vectors[:, i], vectors[:, i]) / values[i] for i in range(k)) for values, vectors in spectra]
    columns = zip(inverses[0].T, inverses[1].T, strict=True)
    angle = np.mean([1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in columns])
    return angle, np.linalg.norm(spectra[0][0][:k] - spectra[1][0][:k]) / k


@pytest.mark.parametrize("shape", [*SHAPES, (12, 12, 5)])
@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("part", [0, 1])
def test_inverse_gram_discrepancy(conforms: Callable[..., None], shape: Any, threshold: float, part: int) -> None:
    arrays = pair(*shape)

    def loss(s: Any, t: Any) -> Any:
        return losses.inverse_gram_discrepancy(s, t, threshold)[part]

    conforms(loss, lambda s, t: gram_parts(s, t, threshold)[part], *arrays, rel=1e-7)


def test_inverse_gram_discrepancy_does_not_lose_the_angle_of_large_features() -> None:
    # A floor on the length of a column, which is that of an inverse, would make every cosine zero here.
    s, t = (torch.tensor(1e4 * x) for x in pair(12, 12, 5))
    assert losses.inverse_gram_discrepancy(s, t, 0.9).angle.item() == pytest.approx(gram_parts(s.numpy(), t.numpy(), 0.9)[0], rel=1e-6)


# Predictions


def class_confusion(z: Any, temperature: float, weights: Any) -> Any:
    p = softmax(z / temperature, axis=1)
    c = p.shape[1]
    correlation = np.array([[np.sum(p[:, j] * weights * p[:, k]) for k in range(c)] for j in range(c)])
    correlation /= correlation.sum(1, keepdims=True)
    return np.mean([correlation[j, np.arange(c) != j].sum() for j in range(c)])


def certainty(z: Any, temperature: float) -> Any:
    weights = 1 + np.exp(-scipy_entropy(softmax(z / temperature, axis=1), axis=1))
    return len(z) * weights / weights.sum()


@pytest.mark.parametrize("shape", [(2, 3), (7, 2), (5, 6)])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_minimum_class_confusion(conforms: Callable[..., None], shape: Any, temperature: float) -> None:
    z = rows(*shape)
    reference = partial(class_confusion, temperature=temperature, weights=certainty(z, temperature))
    conforms(partial(losses.minimum_class_confusion, temperature=temperature), reference, z)


def information(z: Any) -> Any:
    p = softmax(z, axis=1)
    return scipy_entropy(p, axis=1).mean() - scipy_entropy(p.mean(0))


def cross_entropy_to_uniform(z: Any) -> Any:
    z = z if z.ndim == 2 and z.shape[1] > 1 else np.stack((z.ravel(), 0 * z.ravel()), 1)
    return np.mean([-np.sum(log_softmax(row)) / len(row) for row in z])


@pytest.mark.parametrize("shape", [(2, 3), (7, 2), (5, 6)])
@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (losses.batch_nuclear_norm, lambda z: -np.linalg.norm(softmax(z, axis=1), "nuc") / len(z)),
        (losses.entropy, lambda z: scipy_entropy(softmax(z, axis=1), axis=1).mean()),
        (losses.information_maximization, information),
        (losses.domain_confusion, cross_entropy_to_uniform),
    ],
    ids=["batch_nuclear_norm", "entropy", "information_maximization", "domain_confusion"],
)
def test_losses_of_logits(conforms: Callable[..., None], shape: Any, loss: Any, reference: Callable[..., Any]) -> None:
    conforms(loss, reference, rows(*shape))
    assert torch.autograd.gradcheck(loss, [torch.tensor(rows(*shape), requires_grad=True)])


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_domain_confusion_of_one_logit_is_that_of_two_domains(conforms: Callable[..., None], shape: Any) -> None:
    conforms(losses.domain_confusion, cross_entropy_to_uniform, rows(4, 1).reshape(shape))
    assert losses.domain_confusion(torch.zeros(shape)).item() == pytest.approx(np.log(2))


def test_entropy_has_its_closed_values() -> None:
    assert losses.entropy(torch.zeros(3, 8)).item() == pytest.approx(np.log(8))
    certain_and_diverse = 1e3 * torch.eye(4)
    assert losses.entropy(certain_and_diverse).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.information_maximization(certain_and_diverse).item() == pytest.approx(-np.log(4))
    assert losses.minimum_class_confusion(certain_and_diverse).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.batch_nuclear_norm(certain_and_diverse).item() == pytest.approx(-1.0)


@pytest.mark.parametrize("shape", [(2, 3), (7, 2), (5, 6)])
def test_classifier_discrepancy(conforms: Callable[..., None], shape: Any) -> None:
    def reference(a: Any, b: Any) -> Any:
        return np.abs(softmax(a, axis=1) - softmax(b, axis=1)).sum() / a.size

    arrays = rows(*shape, 1), rows(*shape, 2)  # type: ignore[call-arg]
    conforms(losses.classifier_discrepancy, reference, *arrays)
    assert torch.autograd.gradcheck(losses.classifier_discrepancy, [torch.tensor(x, requires_grad=True) for x in arrays])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("margin", [1.0, 4.0])
def test_margin_disparity(conforms: Callable[..., None], shape: Any, margin: float) -> None:
    def reference(s: Any, sa: Any, t: Any, ta: Any) -> Any:
        follows = [log_softmax(row)[main.argmax()] for main, row in zip(s, sa, strict=True)]
        leaves = [np.log(1 - softmax(row)[main.argmax()]) for main, row in zip(t, ta, strict=True)]
        return np.mean(leaves) + margin * np.mean(follows)

    n, m, c = shape
    arrays = rows(n, c, 1), rows(n, c, 2), rows(m, c, 3), rows(m, c, 4)
    loss = partial(losses.margin_disparity, margin=margin)
    conforms(loss, reference, *arrays)
    assert torch.autograd.gradcheck(loss, [torch.tensor(x, requires_grad=True) for x in arrays])


@pytest.mark.parametrize(("n", "m"), [(5, 3), (2, 2), (16, 40)])
@pytest.mark.parametrize("weighted", [False, True])
def test_domain_adversarial(conforms: Callable[..., None], weighted: bool, n: int, m: int) -> None:
    ws, wt = (rows(k, 1, seed)[:, 0] ** 2 for k, seed in ((n, 5), (m, 3)))
    weights = {"source_weight": torch.tensor(ws), "target_weight": torch.tensor(wt)} if weighted else {}

    def reference(s: Any, t: Any) -> Any:
        averages = [
            np.average(np.log1p(np.exp(sign * z.ravel())), weights=w if weighted else None) for z, sign, w in ((s, -1, ws), (t, 1, wt))
        ]
        return np.mean(averages)

    conforms(partial(losses.domain_adversarial, **weights), reference, rows(n, 1, 1), rows(m, 1, 2))


def test_entropy_weight_is_one_plus_the_exponential_of_the_negative_entropy() -> None:
    z = rows(6, 4)
    expected = 1 + np.exp(-scipy_entropy(softmax(z, axis=1), axis=1))
    np.testing.assert_allclose(losses.entropy_weight(torch.tensor(z, requires_grad=True)).numpy(), expected, rtol=1e-6)


def test_with_reversal_the_gradient_of_entropy_weights_is_the_reversed_one_of_the_closed_form() -> None:
    z, w, c = rows(5, 4), rows(5, 1, 1)[:, 0], 0.7
    logits = torch.tensor(z, requires_grad=True)
    losses.entropy_weight(logits, reversal=c).double().mul(torch.tensor(w)).sum().backward()
    p, log_p = softmax(z, axis=1), log_softmax(z, axis=1)
    negative = (p * log_p).sum(1, keepdims=True)  # -H, whose derivative by a logit is p (log p + H)
    np.testing.assert_allclose(logits.grad.numpy(), -c * w[:, None] * np.exp(negative) * p * (log_p - negative), rtol=1e-5, atol=1e-7)  # type: ignore[union-attr]


@pytest.mark.parametrize("own", [None, True])
def test_the_weights_of_cdan_e_have_a_gradient_where_they_are_asked_for_one(own: bool) -> None:
    torch.manual_seed(0)
    loss = losses.ConditionalAdversarial(hidden=6, entropy=True, entropy_gradient=own)
    loss.build(3, 4)
    features = [torch.randn(5, 3) for _ in range(2)]
    logits = [torch.randn(5, 4, requires_grad=True) for _ in range(2)]
    value = loss(None, *map(Output, features, logits), 1.0)
    if own is None:
        assert not any(part.requires_grad and torch.autograd.grad(value, part, allow_unused=True, retain_graph=True)[0] for part in logits)
        return
    # By hand: the sum of the weights is a constant, and the reversal's coefficient at the end of the run is 1 within a thousandth.
    found = torch.autograd.grad(value, logits)
    mapped = [(z.detach().softmax(1)[:, :, None] * x[:, None]).flatten(1) for x, z in zip(features, logits, strict=True)]
    for sign, x, z, gradient in zip((-1.0, 1.0), mapped, logits, found, strict=True):
        own_loss = torch.nn.functional.softplus(sign * loss.critic(x)[:, 0]).detach()
        weight = 1 + (z.softmax(1) * z.log_softmax(1)).sum(1).exp()
        wanted = torch.autograd.grad((0.5 * weight * own_loss).sum() / weight.sum().detach(), z)[0]
        torch.testing.assert_close(gradient, -wanted, rtol=2e-3, atol=1e-7)


# Transport


def jdot_problem(n: int, m: int, d: int) -> Any:
    s, t = pair(n, m, d)
    labels = np.random.default_rng(7).integers(0, 4, n)

    def cost(s: Any, t: Any, z: Any) -> Any:
        return 0.7 * cdist(s, t, "sqeuclidean") - 0.4 * log_softmax(z, axis=1)[:, labels].T

    def loss(s: Any, t: Any, z: Any, **options: Any) -> Any:
        return losses.deep_jdot(s, t, torch.tensor(labels), z, feature_weight=0.7, label_weight=0.4, **options)

    return SimpleNamespace(arrays=(s, t, rows(m, 4, 8)), cost=cost, loss=loss)


@pytest.mark.parametrize("shape", [(2, 2, 3), (6, 6, 2), (9, 9, 5)])
def test_deep_jdot_exact_is_the_transport_cost_of_pot(conforms: Callable[..., None], shape: Any) -> None:
    # Not the cost under a fixed plan: by the envelope theorem the gradient of the optimum is that of the fixed plan.
    problem = jdot_problem(*shape)
    conforms(partial(problem.loss, method="emd"), lambda *x: float(ot.emd2([], [], problem.cost(*x))), *problem.arrays)


@pytest.mark.parametrize("shape", [(6, 6, 2), (9, 9, 5)])
def test_deep_jdot_by_squared_labels_is_its_cost_under_the_plan_of_the_authors(conforms: Callable[..., None], shape: Any) -> None:
    problem = jdot_problem(*shape)
    s, t, z = (scale * array for scale, array in zip((0.3, 0.3, 4.0), problem.arrays, strict=True))  # so that the labels decide
    labels = np.eye(4)[np.random.default_rng(7).integers(0, 4, len(s))]
    plan = ot.emd([], [], 0.7 * cdist(s, t, "sqeuclidean") + 0.4 * cdist(labels, softmax(z, axis=1), "sqeuclidean"))
    assert not np.allclose(plan, ot.emd([], [], problem.cost(s, t, z)))
    conforms(partial(problem.loss, method="emd", squared_labels=True), lambda *x: np.sum(plan * problem.cost(*x)), s, t, z)


@pytest.mark.parametrize("shape", SHAPES)
def test_deep_jdot_sinkhorn_is_the_cost_under_its_plan(conforms: Callable[..., None], shape: Any) -> None:
    problem = jdot_problem(*shape)
    plan = sinkhorn_plan(torch.tensor(problem.cost(*problem.arrays))).numpy()
    conforms(partial(problem.loss, method="sinkhorn"), lambda *x: np.sum(plan * problem.cost(*x)), *problem.arrays)


@pytest.mark.parametrize("shape", [*SHAPES, (64, 48, 3)])
def test_sinkhorn_is_the_plan_of_pot(shape: Any) -> None:
    cost = torch.tensor(cdist(*pair(*shape), "sqeuclidean"))
    entropic = ot.sinkhorn([], [], cost.numpy(), 0.3 * cost.mean().item(), method="sinkhorn_log", numItermax=5000, stopThr=1e-13)
    np.testing.assert_allclose(sinkhorn_plan(cost, 0.3, 1000), entropic, atol=1e-9)


def test_sinkhorn_of_no_cost_is_uniform() -> None:
    torch.testing.assert_close(sinkhorn_plan(torch.zeros(3, 5)), torch.full((3, 5), 1 / 15))


def test_sinkhorn_of_few_iterations_is_close_to_the_exact_plan() -> None:
    cost = torch.tensor(cdist(*pair(64, 64, 3), "sqeuclidean"), dtype=torch.float32)
    plan, exact = sinkhorn_plan(cost), exact_plan(cost)
    torch.testing.assert_close(plan.sum(0), exact.sum(0))
    assert (plan.sum(1) - exact.sum(1)).abs().sum() < 0.01
    assert (plan * cost).sum().item() == pytest.approx((exact * cost).sum().item(), rel=0.05)


# Of a function


@pytest.mark.parametrize("variant", ["interpolates", "wdgrl"])
@pytest.mark.parametrize("shape", [(2, 3), (6, 2)])
def test_gradient_penalty_of_a_quadratic_critic(conforms: Callable[..., None], variant: Any, shape: Any) -> None:
    s, t, share = rows(*shape, 1), rows(*shape, 2), np.linspace(0.1, 0.9, shape[0])  # type: ignore[call-arg]
    between = share[:, None] * s + (1 - share[:, None]) * t
    points = between if variant == "interpolates" else np.vstack((s, t, between))

    def reference(matrix: Any, vector: Any) -> Any:
        gradient = points @ (matrix + matrix.T) + vector
        return np.mean((np.linalg.norm(gradient, axis=1) - 1) ** 2)

    def loss(matrix: Any, vector: Any) -> Any:
        def critic(x: Any) -> Any:
            return (x @ matrix * x).sum(1, keepdim=True) + x @ vector[:, None]

        return losses.gradient_penalty(critic, torch.tensor(s), torch.tensor(t), torch.tensor(share), variant)

    parameters = rows(shape[1], shape[1], 3), rows(1, shape[1], 4)[0]
    conforms(loss, reference, *parameters)
    assert torch.autograd.gradcheck(loss, [torch.tensor(x, requires_grad=True) for x in parameters])


def test_gradient_penalty_of_a_linear_critic_on_images_is_closed() -> None:
    source, target = torch.randn(2, 4, 3, 5, 5)
    weight = torch.randn(75, requires_grad=True)
    value = losses.gradient_penalty(lambda x: x.flatten(1) @ weight, source, target)
    assert value.item() == pytest.approx((weight.norm().item() - 1) ** 2, rel=1e-5)
    value.backward()
    torch.testing.assert_close(weight.grad, (2 * (weight.norm() - 1) * weight / weight.norm()).detach())


@pytest.mark.parametrize("variant", ["interpolates", "wdgrl"])
def test_gradient_penalty_trains_the_critic_alone(variant: Any) -> None:
    source, target, weight = (torch.randn(shape, requires_grad=True) for shape in ((4, 3), (4, 3), (3, 3)))
    losses.gradient_penalty(lambda x: (x @ weight).square().sum(1), source, target, variant=variant).backward()
    assert weight.grad.abs().max() > 0  # type: ignore[union-attr]
    assert source.grad is None
    assert target.grad is None


def divergence(p: Any, z: Any) -> Any:
    return np.mean(np.sum(p * (np.log(p) - log_softmax(z, axis=1)), axis=1))


@pytest.mark.parametrize(("n", "d", "classes"), [(6, 5, 3), (2, 9, 2), (4, 2, 6)])
def test_vat_finds_the_worst_direction_of_a_linear_model(n: int, d: int, classes: int) -> None:
    weight, x = rows(d, classes, 1), rows(n, d, 2)
    for row in x:
        p = softmax(row @ weight)
        # The KL is quadratic near 0: its worst direction is the first eigenvector of the Fisher matrix, either way.
        worst = np.linalg.eigh(weight @ (np.diag(p) - np.outer(p, p)) @ weight.T)[1][:, -1]
        expected = [divergence(p[None], (row + sign * 0.5 * worst)[None] @ weight) for sign in (1, -1)]
        value = losses.vat(lambda x: x @ torch.tensor(weight), torch.tensor(row[None]), radius=0.5, xi=1e-4, power_iterations=200).item()
        assert min(abs(value - e) for e in expected) < 1e-4 * max(expected)


@pytest.mark.parametrize(("n", "shape", "classes"), [(6, (5,), 3), (2, (1,), 2), (9, (30,), 11), (4, (2, 3, 3), 5)])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("power_iterations", [0, 1, 3])
def test_vat_is_the_divergence_at_a_perturbation_of_the_radius(
    conforms: Callable[..., None], power_iterations: int, known: bool, n: int, shape: Any, classes: int
) -> None:
    d = int(np.prod(shape))
    weight, x = rows(d, classes, 1), rows(n, d, 2)
    p = softmax(x @ weight, axis=1)
    seen = []

    def loss(w: Any) -> Any:
        def model(inputs: Any) -> Any:
            seen.append(inputs.detach().flatten(1).numpy())
            return inputs.flatten(1) @ w

        torch.manual_seed(0)
        logits = torch.tensor(x @ weight) if known else None
        return losses.vat(model, torch.tensor(x).reshape(n, *shape), logits, radius=0.5, power_iterations=power_iterations)

    loss(torch.tensor(weight, requires_grad=True))
    perturbed = seen[-1]
    np.testing.assert_allclose(np.linalg.norm(perturbed - x, axis=1), 0.5)
    assert len(seen) == power_iterations + (1 if known else 2)
    # The clean prediction is held constant: only the perturbed one is to move.
    conforms(loss, lambda w: divergence(p, perturbed @ w), weight)


def test_vat_of_one_power_iteration_finds_worse_than_a_random_direction() -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(40, 5), torch.randn(64, 40)
    random, refined = (losses.vat(lambda x: x @ weight, x, radius=0.5, power_iterations=k).item() for k in (0, 1))
    assert refined > 3 * random
