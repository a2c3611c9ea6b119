"""Every loss that a method composes, found by its base class, so that none is forgotten."""

import importlib
import pkgutil
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from tlda import losses
from tlda.batch import Output, Pair, Sample, Unlabelled
from tlda.losses import Loss, MarginDisparity

FEATURES, CLASSES, ROWS = 6, 4, 8


def discover(base: type[Loss]) -> list[type[Loss]]:
    """The concrete subclasses of ``base`` that the package has, in files that nobody imports too."""
    for module in pkgutil.iter_modules(losses.__path__):
        importlib.import_module(f"tlda.losses.{module.name}")
    found = [cls for sub in base.__subclasses__() for cls in (sub, *discover(sub))]
    return sorted({cls for cls in found if cls.__module__.startswith("tlda.losses.")}, key=lambda cls: cls.__name__)


ON_OUTPUTS = [cls for cls in discover(Loss) if cls.attach is Loss.attach]  # those of a network have tests of their own
every_module = pytest.mark.parametrize("kind", ON_OUTPUTS)
ADVERSARIAL = [cls for cls in discover(Loss) if cls.weigh is not Loss.weigh]


def make(kind: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    loss = kind(**options)
    loss.build(FEATURES, CLASSES)
    return loss.eval()  # no dropout: two calls are to agree


def example(source_scale: float = 1.0, dtype: torch.dtype = torch.float32, one_class: bool = False) -> Any:
    """A batch, and outputs whose logits depend on the features, as they do in a network."""
    torch.manual_seed(1)
    features = [(torch.randn(ROWS, FEATURES) * source_scale + shift).requires_grad_() for shift in (0.0, 0.6)]
    labels = torch.zeros(ROWS, dtype=torch.long) if one_class else torch.arange(ROWS) % CLASSES
    weight = torch.randn(FEATURES, CLASSES)
    bias = torch.tensor([100.0, 0.0, 0.0, 0.0]) if one_class else torch.zeros(CLASSES)
    outputs = [Output(x.to(dtype), (x @ weight + bias).to(dtype)) for x in features]
    index = torch.arange(ROWS)
    return Pair(Sample(features[0], labels, index), Unlabelled(features[1], index)), *outputs, features


def term_and_gradients(loss: Any, progress: float = 0.5, **options: Any) -> Any:
    batch, source, target, features = example(**options)
    # A network at half precision is one under autocast.
    with torch.autocast("cpu", torch.bfloat16, enabled=target.features.dtype == torch.bfloat16):
        term = loss.term(batch, source, target, progress)
    return term, torch.autograd.grad(term, features, materialize_grads=True)


def test_some_are_found_and_all_are_public() -> None:
    kinds = discover(Loss)
    assert len(kinds) >= 13
    assert {cls.__name__ for cls in kinds} - {"Anchored"} <= set(losses.__all__)


def test_short_names_differ() -> None:
    names = [cls.short_name() for cls in discover(Loss)]
    assert len(set(names)) == len(names)


@every_module
def test_term_is_the_weighted_loss(kind: Any) -> None:
    batch, source, target, _ = example()
    loss = make(kind, trade_off=0.3)
    plain, term = loss(batch, source, target, 0.5), loss.term(batch, source, target, 0.5)
    torch.testing.assert_close(term, plain if kind in ADVERSARIAL else 0.3 * plain)
    assert term.shape == ()


def looked_at(kind: type[Loss]) -> int:
    """The place of the domain that a loss looks at: the target's, 1, or the source's where it sees no target."""
    return int(kind.sees_target)


@every_module
def test_term_moves_the_features_that_it_looks_at_in_proportion_to_the_trade_off(kind: Any) -> None:
    once, twice = (term_and_gradients(make(kind, trade_off=trade_off))[1][looked_at(kind)] for trade_off in (0.5, 1.0))
    assert once.abs().max() > 1e-6
    torch.testing.assert_close(twice, 2.0 * once)


@every_module
def test_every_parameter_learns_from_the_first_step_on(kind: Any) -> None:
    loss = make(kind)
    batch, source, target, _ = example()
    parameters = list(loss.parameters())
    if parameters:
        gradients = torch.autograd.grad(loss.term(batch, source, target, 0.0), parameters)
        assert all(gradient.abs().max() > 0.0 for gradient in gradients)
    else:
        assert kind not in ADVERSARIAL


@every_module
@pytest.mark.parametrize("options", [{"one_class": True}, {"dtype": torch.bfloat16}, {"source_scale": 0.0}, {"source_scale": 1e4}], ids=str)
def test_term_and_gradients_are_finite(kind: Any, options: Any) -> None:
    term, gradients = term_and_gradients(make(kind), **options)
    assert term.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


@every_module
def test_autocast_reaches_only_the_losses_that_ask_for_it(kind: Any) -> None:
    loss = make(kind)
    plain = term_and_gradients(loss)[0]
    batch, source, target, _ = example()
    with torch.autocast("cpu", torch.bfloat16):
        term = loss.term(batch, source, target, 0.5)
    assert term.dtype == torch.float32
    torch.testing.assert_close(term, plain, **({"rtol": 0.05, "atol": 0.05} if kind.mixed_precision else {"rtol": 0.0, "atol": 0.0}))  # type: ignore[arg-type]


# Most of OneVsAll is of the source, which does not move here.
@pytest.mark.parametrize("kind", [cls for cls in ON_OUTPUTS if cls not in (*ADVERSARIAL, losses.AFN, losses.OneVsAll)])
def test_descent_reduces_the_term(kind: Any) -> None:
    loss = make(kind)
    place = looked_at(kind)
    batch, *outputs, domains = example()
    features = domains[place]
    weight = torch.linalg.lstsq(features.detach(), outputs[place].logits.detach()).solution
    optimizer = torch.optim.Adam([features], 0.05)
    values = []
    for _ in range(30):
        _, *outputs, _ = example()
        outputs[place] = Output(features, features @ weight)
        term = loss.term(batch, *outputs, 1.0)
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        values.append(term.item())
    assert values[-1] < values[0] - 0.05 * abs(values[0])


REVERSED = [cls for cls in ON_OUTPUTS if cls in ADVERSARIAL and cls not in (losses.DomainConfusion, losses.EntropyMaps)]


@pytest.mark.parametrize("kind", REVERSED)
def test_the_features_work_against_the_adversary(kind: Any) -> None:
    loss = make(kind)
    _, reversed_ = term_and_gradients(loss, progress=1.0)
    assert all(gradient.abs().max() == 0.0 for gradient in term_and_gradients(loss, progress=0.0)[1])
    batch, source, target, features = example()
    stepped = [feature + 0.01 * gradient / gradient.norm() for feature, gradient in zip(features, reversed_, strict=True)]
    torch.manual_seed(1)  # the draws of the example, whose logits follow the features
    weight = [torch.randn(ROWS, FEATURES), torch.randn(ROWS, FEATURES), torch.randn(FEATURES, CLASSES)][-1]
    source, target = (Output(x, x @ weight) for x in stepped)
    before = term_and_gradients(loss, progress=1.0)[0]
    # Against the reversed gradient: up it, the adversary's own loss falls.
    assert loss.term(batch, source, target, 1.0) < before


def test_the_adversary_of_margin_disparity_leaves_the_head_on_the_target_alone() -> None:
    loss = make(MarginDisparity, hidden=64)
    batch, source, target, _ = example()
    source, target = (Output(*(x.detach() for x in output)) for output in (source, target))
    optimizer = torch.optim.Adam(loss.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss.term(batch, source, target, 1.0).backward()
        optimizer.step()
    agrees = [(loss.adversary(output.features).argmax(1) == output.logits.argmax(1)).float().mean() for output in (source, target)]
    assert agrees[0] > 0.9
    assert agrees[1] < 0.3


def test_joint_mmd_is_ramped_up_to_its_function() -> None:
    batch, source, target, _ = example()
    start, end = (make(losses.JointMMD).term(batch, source, target, progress) for progress in (0.0, 1.0))
    assert start.item() == 0.0
    full = losses.joint_mmd(*((x.features, x.logits.softmax(1)) for x in (source, target)))  # type: ignore[arg-type]
    torch.testing.assert_close(end, full, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("kind", [cls for cls in discover(Loss) if cls.__name__ in losses.__all__])
def test_the_command_line_names_it_by_its_class(kind: Any) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=Loss)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # its name before jsonargparse 4.49
    loss = instantiate(parser.parse_args([f"--loss={kind.__name__}", "--loss.trade_off=0.25"])).loss
    assert type(loss) is kind
    assert loss.trade_off == 0.25


@every_module
def test_a_loss_that_compares_domains_says_so(kind: Any) -> None:
    loss = make(kind)
    batch, source, target, _ = example()
    # To what looks at each domain by itself, and learns nothing of their difference, it is all the same who is paired with whom.
    alike, crossed = (
        [loss.term(batch, *pair, 0.9) for pair in pairs]
        for pairs in (((source, source), (target, target)), ((source, target), (target, source)))
    )
    compares = not torch.allclose(sum(alike), sum(crossed)) or any(True for _ in loss.parameters())
    assert kind.compares_domains == compares


def test_a_loss_that_does_not_look_at_the_target_compares_nothing() -> None:
    assert not [cls for cls in discover(Loss) if cls.compares_domains and not cls.sees_target]


@every_module
def test_a_loss_that_is_made_for_classes_says_so(kind: Any) -> None:
    def shapes(classes: int) -> Any:
        loss = kind()
        loss.build(FEATURES, classes)
        return [value.shape for value in loss.state_dict().values()]

    assert kind.made_for_classes == (shapes(CLASSES) != shapes(CLASSES + 1))
