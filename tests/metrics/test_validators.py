"""Validators against implementations that share nothing with them: numpy, scipy, scikit-learn, or a closed form."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from tlda.batch import Output, Sample
from tlda.losses import entropy
from tlda.metrics import VALIDATORS, Validators
from tlda.metrics import validators as v
from tlda.metrics.density_ratio import density_ratio
from tlda.tasks import Classification
from tlda.tasks.measures import Measures

OF_PREDICTIONS = {
    "entropy": entropy,
    "information_maximization": v.information_maximization,
    "snd": v.soft_neighborhood_density,
    "bnm": v.nuclear_norm,
}
OF_RISK = {"iwcv": v.importance_weighted_risk, "dev": v.deep_embedded_risk}


def logits_of(n: int = 40, c: int = 4, seed: int = 0, scale: float = 3.0) -> Any:
    return torch.tensor(np.random.default_rng(seed).normal(0, scale, (n, c)))


def domains(n: int = 60, m: int = 50, d: int = 6, seed: int = 0, shift: float = 0.5) -> Any:
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(1, 2, (n, d))), torch.tensor(rng.normal(1 + shift, 2, (m, d)))


# Of the predictions


def numpy_entropy(logits: Any) -> Any:
    return scipy_entropy(softmax(logits, 1), axis=1).mean()


def numpy_information(logits: Any) -> Any:
    return scipy_entropy(softmax(logits, 1).mean(0)) - numpy_entropy(logits)


def numpy_density(logits: Any) -> Any:
    p = softmax(logits, 1)
    p /= np.linalg.norm(p, axis=1, keepdims=True)
    others = [np.delete(p, i, 0) @ p[i] for i in range(len(p))]
    return np.mean([scipy_entropy(softmax(similarity / 0.05)) for similarity in others])


def numpy_nuclear_norm(logits: Any) -> Any:
    return np.linalg.norm(softmax(logits, 1), "nuc") / math.sqrt(logits.size)


REFERENCES = {
    "entropy": numpy_entropy,
    "information_maximization": numpy_information,
    "snd": numpy_density,
    "bnm": numpy_nuclear_norm,
}


@pytest.mark.parametrize("name", OF_PREDICTIONS)
@pytest.mark.parametrize("shape", [(2, 3), (3, 7), (40, 4)])
def test_predictions_are_measured_as_by_numpy(name: str, shape: tuple[int, ...]) -> None:
    logits = logits_of(*shape)
    assert OF_PREDICTIONS[name](logits).item() == pytest.approx(REFERENCES[name](logits.numpy()), abs=1e-9)


CERTAIN = (1e4 * torch.eye(4, dtype=torch.float64)).repeat(5, 1)
COLLAPSED = CERTAIN[:1].repeat(20, 1)
UNIFORM = torch.zeros(20, 4, dtype=torch.float64)
FOUR_ALIKE = 4 + 15 * math.exp(-20)
"""What a row's similarities to the 19 others add up to, over that to the 4 of its class."""


@pytest.mark.parametrize(
    ("name", "certain", "collapsed", "uniform"),
    [
        ("entropy", 0, 0, math.log(4)),
        ("information_maximization", math.log(4), 0, 0),
        ("snd", math.log(FOUR_ALIKE) + 20 * (1 - 4 / FOUR_ALIKE), math.log(19), math.log(19)),
        ("bnm", 1, 0.5, 0.25),
    ],
)
def test_predictions_of_closed_form(name: str, certain: Any, collapsed: Any, uniform: Any) -> None:
    values = [OF_PREDICTIONS[name](logits).item() for logits in (CERTAIN, COLLAPSED, UNIFORM)]
    assert values == pytest.approx([certain, collapsed, uniform], abs=1e-7)


def test_the_nuclear_norm_does_not_depend_on_the_number_of_rows() -> None:
    assert v.nuclear_norm(logits_of().repeat(7, 1)).item() == pytest.approx(v.nuclear_norm(logits_of()).item())


# Of the risk


def test_weighted_risks_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    weights, risk = rng.gamma(2, 0.4, 30), rng.uniform(size=30)
    (_, covariance), (_, variance) = np.cov(weights * risk, weights)
    eta = -covariance / variance
    weighted = np.average(risk, weights=weights) * weights.mean()
    values = [risk_of(torch.tensor(weights), torch.tensor(risk)).item() for risk_of in OF_RISK.values()]
    assert values == pytest.approx([weighted, weighted + eta * weights.mean() - eta])


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_dev_of_a_constant_risk_is_that_risk_whatever_the_weights(scale: float) -> None:
    weights = scale * torch.tensor([0.1, 0.2, 0.9])
    assert v.deep_embedded_risk(weights, torch.full((3,), 0.3)).item() == pytest.approx(0.3)


def test_dev_of_equal_weights_is_iwcv() -> None:
    assert v.deep_embedded_risk(torch.full((3,), 0.5), torch.tensor([0.0, 0.4, 0.8])).item() == pytest.approx(0.2)


@pytest.mark.parametrize("name", OF_RISK)
def test_between_identical_domains_the_weighted_risk_is_the_plain_one(name: str) -> None:
    source, _ = domains()
    risk = torch.linspace(0, 1, len(source), dtype=torch.float64)
    weights = density_ratio(source, source)
    assert OF_RISK[name](weights, risk).item() == pytest.approx(risk.mean().item())


def test_errors_are_the_wrong_predictions() -> None:
    assert v.errors(CERTAIN[:4], torch.tensor([0, 2, 2, 1])).tolist() == [0, 1, 0, 1]


# Of mixed images: a network on points of a line, whose clusters are intervals that repeat


def stripes(x: Any) -> Any:
    return torch.nn.functional.one_hot(x.flatten().floor().long() % 3, 3).double()


def agreement(pairs: Any, x: Any) -> Any:
    """Hits and pairs of (larger part, smaller part)."""
    mixed = [math.floor(0.55 * x[a] + 0.45 * x[b]) % 3 == math.floor(x[a]) % 3 for a, b in pairs]
    return sum(mixed), len(mixed)


def test_mixval_agrees_with_a_count_of_its_pairs() -> None:
    x = np.random.default_rng(0).uniform(0, 9, 50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(7)).tolist()
    label = np.floor(x) % 3
    inter = [(a, b) for b, a in zip(order[-1:] + order, order, strict=False) if label[a] != label[b]]
    clusters = [[row for row in order if label[row] == c] for c in range(3)]
    intra = [pair for rows in clusters for pair in zip(rows[1:], rows, strict=False)]
    counts = np.array([agreement(intra, x), agreement(inter, x)])
    images = torch.tensor(x)[:, None]
    hits, pairs = v.interpolation_consistency(stripes, images, torch.Generator().manual_seed(7))
    assert np.array_equal(np.stack((hits, pairs), 1), counts)
    assert 0 < counts[0, 0] < counts[0, 1] == 47
    assert v.mixval(stripes, images, torch.Generator().manual_seed(7)).item() == pytest.approx(np.mean(counts[:, 0] / counts[:, 1]))


def test_mixval_repeats_itself_and_leaves_the_global_generator_alone() -> None:
    images, state = torch.rand(50, 1) * 9, torch.get_rng_state()
    assert v.mixval(stripes, images) == v.mixval(stripes, images)
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(("images", "value"), [([0.5, 0.5], 0.5), ([0.2, 0.9], 0.5), ([0.0, 1.1], 0.25), ([0.5], 0.0)])
def test_mixval_counts_a_kind_without_a_pair_as_nothing(images: Any, value: float) -> None:
    assert v.mixval(stripes, torch.tensor(images)[:, None]).item() == value


# What all have in common


def validated(logits: Any, source: Any, target: Any, seed: int = 0) -> Any:
    """Every value that is a function of tensors, by name; the risk is that of seeded labels."""
    labels = torch.arange(len(source)) % 3
    risk = v.errors(logits_of(len(source), 3, seed), labels).to(source.dtype)
    weights = density_ratio(source, target)
    return {n: f(logits).item() for n, f in OF_PREDICTIONS.items()} | {n: f(weights, risk).item() for n, f in OF_RISK.items()}


def test_the_order_of_rows_does_not_matter() -> None:
    logits, (source, target), rng = logits_of(), domains(), np.random.default_rng(1)
    risk = torch.linspace(0, 1, len(source), dtype=torch.float64)
    shuffled, order, other = (rng.permutation(len(rows)) for rows in (logits, source, target))
    for measure in OF_PREDICTIONS.values():
        assert measure(logits[shuffled]).item() == pytest.approx(measure(logits).item())
    for measure in OF_RISK.values():  # type: ignore[assignment]
        expected = measure(density_ratio(source, target), risk).item()  # type: ignore[call-arg]
        assert measure(density_ratio(source[order], target[other]), risk[order]).item() == pytest.approx(expected, rel=1e-3)  # type: ignore[call-arg]


NEVER_PREDICTED = torch.tensor([[9.0, 0.0, -9.0], [0.0, 9.0, -9.0], [1.0, 0.0, -90.0]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "logits",
    [logits_of(2, 3), torch.ones(5, 3), NEVER_PREDICTED, 2e4 * logits_of(6, 3, scale=1.0)],
    ids=["two rows", "equal rows", "a class that nobody predicts", "large logits"],
)
def test_values_are_finite_and_near_those_of_float64(logits: Any, dtype: torch.dtype) -> None:
    features = domains(len(logits), len(logits), 4)
    logits, source, target = (rows.to(dtype) for rows in (logits, *features))
    values = validated(logits, source, target)
    assert np.isfinite(list(values.values())).all()
    assert values == pytest.approx(validated(logits.double(), source.double(), target.double()), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("rows", [torch.ones(4, 3), torch.full((4, 3), 1e6 / 3), torch.zeros(1, 3)])
def test_features_that_are_constant_weigh_all_rows_alike(rows: Any) -> None:
    assert density_ratio(rows, rows[:2]).numpy() == pytest.approx(1.0, rel=1e-4)


def test_a_network_that_diverged_has_no_value_and_stops_nothing() -> None:
    logits, (source, target) = logits_of(50, 3), domains()
    logits[3], target[3] = math.nan, math.nan
    assert np.isnan(list(validated(logits, source, target).values())).all()


def test_rows_are_thinned_to_every_kth() -> None:
    rows = torch.arange(10)
    assert [v.thin(rows, limit).tolist() for limit in (10, 5, 4)] == [rows.tolist(), [0, 2, 4, 6, 8], [0, 3, 6, 9]]


# As metrics


def states(seed: int = 0, n: int = 4_100, m: int = 2_050) -> Any:
    """A source with labels, and a target, of more rows than are compared."""
    source, target = (rows.float() for rows in domains(n, m, 3, seed))
    outputs = [Output(rows, logits_of(len(rows), 3, i).float()) for i, rows in enumerate((source, target))]
    return *outputs, torch.arange(n) % 3


def split(source: Any, target: Any, labels: Any, parts: Any) -> Any:
    """The arguments of updates: batches of the source with labels, then of the target."""
    sources = zip(*(rows.tensor_split(parts) for rows in (*source, labels)), strict=True)
    targets = zip(*(rows.tensor_split(parts) for rows in target), strict=True)
    return [(Output(features, logits), y) for features, logits, y in sources] + [(Output(*rows),) for rows in targets]


def fed(metric: Any, batches: Any) -> Any:
    for batch in batches:
        metric.update(*batch)
    return metric


def as_floats(value: Any) -> Any:
    return {name: each.item() for name, each in value.items()} if isinstance(value, dict) else value.item()


def single(name: str, output: Any, labels: Any = None) -> Any:
    """The arguments that one validator is updated with; none where the domain is not its own."""
    if name in OF_RISK:
        return (output.features,) if labels is None else (output.features, v.errors(output.logits, labels))
    return (output.logits,) if labels is None else None


def made(name: str) -> Any:
    return VALIDATORS[name](3) if name == "information_maximization" else VALIDATORS[name]()  # type: ignore[call-arg]


def test_all_together_are_the_functions_and_each_alone() -> None:
    source, target, labels = states()
    logits, weights = target.logits, density_ratio(source.features[::3], target.features[::2])
    risk = v.errors(source.logits, labels)[::3]
    expected = {name: f(logits[::2] if name == "snd" else logits).item() for name, f in OF_PREDICTIONS.items()}
    expected |= {name: f(weights, risk).item() for name, f in OF_RISK.items()}
    assert list(VALIDATORS) == [*expected, "mixval"]
    batches = split(source, target, labels, 4)
    assert as_floats(fed(Validators(), batches).compute()) == pytest.approx(expected, rel=1e-5)
    for name, value in expected.items():
        alone = fed(made(name), [arguments for batch in batches if (arguments := single(name, *batch))])
        assert as_floats(alone.compute()) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", ["all", "entropy", "information_maximization", "snd", "bnm", "iwcv", "dev"])
def test_batches_and_processes_do_not_matter(name: str) -> None:
    source, target, labels = states(n=60, m=50)
    whole = fed(Validators(), split(source, target, labels, 1)).compute()

    def update(metric: Any, batches: Any) -> Any:
        arguments = batches if name == "all" else [a for batch in batches if (a := single(name, *batch))]
        return fed(metric, arguments)

    # The first rows of each domain on one process, the others on another, and the states gathered as torchmetrics does.
    batches = split(source, target, labels, 4)
    metric = Validators() if name == "all" else made(name)
    first, second = update(copy.deepcopy(metric), batches[::2]), update(copy.deepcopy(metric), batches[1::2])
    first.merge_state(second)
    expected = as_floats(whole) if name == "all" else whole[name].item()
    assert as_floats(first.compute()) == pytest.approx(expected, rel=1e-3)
    first.reset()
    assert as_floats(update(first, split(source, target, labels, 3)).compute()) == pytest.approx(expected, rel=1e-5)


def test_mixval_as_a_metric_counts_over_batches() -> None:
    batches = (torch.rand(100, 1, generator=torch.Generator().manual_seed(0)) * 9).split(40)
    hits, pairs = (sum(counts) for counts in zip(*(v.interpolation_consistency(stripes, x) for x in batches), strict=True))
    metric = fed(v.MixVal(), [(stripes, x) for x in batches])
    assert metric.compute().item() == pytest.approx((hits / pairs).mean().item())


def test_a_domain_that_was_not_seen_has_no_values() -> None:
    source, target, labels = states(n=6, m=6)
    metric = Validators()
    metric.update(source, labels)
    assert metric.compute() == {}
    metric.reset()
    metric.update(target)
    assert list(metric.compute()) == list(OF_PREDICTIONS)


# Which of two networks is the better one, and where a validator is known to be blind


def clusters(n: int = 300) -> Any:
    """Points (n, 2) of three clusters."""
    angles = 2 * math.pi * (torch.arange(n) % 3) / 3
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    return torch.stack((angles.cos(), angles.sin()), 1) * 4 + 0.4 * noise


def cut(turn: float) -> Any:
    """A network that cuts the plane into three sectors, ``turn`` of a sector beside the clusters."""
    angles = 2 * math.pi * (torch.arange(3) + turn) / 3
    return lambda x: 2.0 * x @ torch.stack((angles.cos(), angles.sin()))


def collapsed(x: Any) -> Any:
    return 1e4 * torch.nn.functional.one_hot(torch.zeros(len(x), dtype=torch.long), 3).float()


def target_score(name: str, network: Any) -> Any:
    """The score of a network on the clusters, the higher the better."""
    x = clusters()
    value = v.mixval(network, x) if name == "mixval" else OF_PREDICTIONS[name](network(x))
    return value.item() if VALIDATORS[name].higher_is_better else -value.item()


@pytest.mark.parametrize("name", [*OF_PREDICTIONS, "mixval"])
def test_a_network_that_cuts_between_the_clusters_is_better_than_one_that_cuts_through_them(name: str) -> None:
    assert target_score(name, cut(0.0)) > target_score(name, cut(0.45))


@pytest.mark.parametrize(
    ("name", "blind"), [("entropy", True), ("snd", True), ("information_maximization", False), ("bnm", False), ("mixval", False)]
)
def test_a_network_that_collapsed_fools_the_validators_that_say_so(name: str, blind: Any) -> None:
    assert (target_score(name, collapsed) > target_score(name, cut(0.0))) == blind


def shifted(distance: float, n: int = 1_000) -> Any:
    rows = torch.randn(2 * n, 2, generator=torch.Generator().manual_seed(0))
    return rows[:n], rows[n:] + torch.tensor([distance, 0.0])


@pytest.mark.parametrize("name", OF_RISK)
def test_the_network_that_errs_where_the_target_is_not_is_the_better_one(name: str) -> None:
    source, target = shifted(1.5)
    weights = density_ratio(source, target)
    wrong_left, wrong_right = (source[:, 0] < -0.2).float(), (source[:, 0] > 0.4).float()
    assert wrong_left.mean() > wrong_right.mean()
    assert OF_RISK[name](weights, wrong_left) < OF_RISK[name](weights, wrong_right)


def test_iwcv_is_blind_where_the_domains_are_told_apart_and_dev_less() -> None:
    weights, risk = density_ratio(*shifted(8.0)), torch.full((1_000,), 0.5)
    assert v.importance_weighted_risk(weights, risk) < 0.05
    assert v.deep_embedded_risk(weights, risk).item() == pytest.approx(0.5, rel=1e-3)


def test_each_says_its_direction_and_its_name_in_print() -> None:
    better = {name: validator.higher_is_better for name, validator in VALIDATORS.items()}
    assert [name for name in better if not better[name]] == ["entropy", "iwcv", "dev"]
    assert [validator.label for validator in VALIDATORS.values()] == ["Entropy", "IM", "SND", "BNM", "IWCV", "DEV", "MixVal"]


# Rows without a label


def test_rows_without_a_label_are_left_out_of_every_measure_and_no_others_are() -> None:
    logits, x = logits_of(8).float(), torch.zeros(8, 1, 2, 2)
    labels = torch.tensor([0, -1, 2, 3, -1, 1, 0, 2])
    known = labels >= 0

    def measured(rows: Any) -> Any:
        measures = Measures(Classification(["a", "b", "c", "d"]))
        for batch in torch.split(rows, 3):
            sample = Sample(x[batch], labels[batch], batch)
            output, network = Output(logits[batch], logits[batch]), SimpleNamespace(head=None)
            measures.test(network, sample, output, 1)
            measures.validate(network, sample, output, 0)
        return measures.first

    found, wanted = measured(torch.arange(8)), measured(torch.arange(8)[known])
    assert found.scores["test"][1]["accuracy"].compute() == (logits.argmax(1) == labels)[known].float().mean()
    assert found.matrix() == wanted.matrix()
    assert torch.equal(torch.cat(found.validators.risk), torch.cat(wanted.validators.risk))
    assert torch.equal(torch.cat(found.validators.source), logits[known])
    none = measured(torch.tensor([1, 4]))
    assert none.score("test", Output(logits[:0], logits[:0]), Sample(x[:0], labels[:0], labels[:0]), 1) == {}
    assert (none.matrix(), len(none.validators.risk)) == (None, 0)
