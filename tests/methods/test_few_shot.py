"""Few-shot learning: values, no look at the queries, and each method learns what an untrained network does not know."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor, nn

import tlda.methods
from tests.helpers.toy import Tiny, trainer
from tests.helpers.toys import Codes, episodes
from tests.methods.test_contract import METHODS
from tlda.backbones import Pixels
from tlda.batch import Episode, EpisodeBatch, Output
from tlda.data import Episodes
from tlda.errors import UserError
from tlda.finetuning import LinearProbe
from tlda.methods import DANN, MAML, CosineClassifier, NearestCentroid, ProtoNet, Reptile
from tlda.methods.few_shot.base import Episodic
from tlda.nn import batch_norms, by_batch_statistics, inner_steps
from tlda.optim import Adam

FEW_SHOT = sorted(name for name, cls in METHODS.items() if issubclass(cls, Episodic))
every = pytest.mark.parametrize("name", FEW_SHOT)


def new(name: str, transductive: bool = False, **options: Any) -> Episodic:
    seed_everything(0, verbose=False)
    made = {"backbone": Tiny(16, 0.0), "task": episodes(transductive=transductive).task, "optimizer": Adam(1e-2)}
    method: Episodic = getattr(tlda.methods, name)(**{**made, **options})
    return method


def episode(seed: int = 0) -> Episode:
    """Two examples of each of two classes, and three queries of each."""
    x = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    y = torch.tensor([0, 0, 1, 1, 0, 0, 0, 1, 1, 1])
    return Episode(x, y, torch.arange(10), torch.arange(10) < 4)


def outer(second_order: bool, steps: int = 1) -> tuple[float, float]:
    """On half the squared distance of 2 from 0.5, at a rate of 0.1: the gradient of the loss after the steps, and how far they lead."""
    start = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        return (weights["w"] - 0.5) ** 2 / 2

    reached = inner_steps(loss, {"w": start}, 0.1, steps, second_order)
    return float(torch.autograd.grad(loss(reached), start)[0]), float((reached["w"] - start).detach())


def test_the_closed_form_of_maml_of_both_orders_and_of_reptile() -> None:
    assert outer(second_order=True)[0] == pytest.approx(1.215, abs=1e-12)
    assert outer(second_order=False)[0] == pytest.approx(1.35, abs=1e-12)
    assert outer(second_order=False, steps=5)[1] == pytest.approx(-0.614265, abs=1e-12)


@pytest.mark.parametrize("second_order", [True, False])
def test_maml_answers_as_a_copy_trained_on_the_examples(second_order: bool) -> None:
    method = new("MAML", steps=3, inner_lr=0.1, second_order=second_order, backbone=Tiny(16, 0.0, batch_norm=False))
    asked, by_hand = episode(), copy.deepcopy(method.network)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(by_hand(asked.x[:4]).logits, asked.y[:4]).backward()
        optimizer.step()
    for mode in (True, False):
        torch.testing.assert_close(method.train(mode).answered(asked).logits, by_hand(asked.x[4:]).logits)


def error_of_gradient(second_order: bool) -> float:
    """By how much the gradient of the head's first bias differs from the loss's difference quotient."""
    method = new("MAML", inner_lr=0.5, second_order=second_order, backbone=Tiny(16, 0.0, batch_norm=False)).double()
    bias, asked = method.head.bias, episode()
    asked = asked._replace(x=asked.x.double())

    def loss() -> Tensor:
        return nn.functional.cross_entropy(method.answered(asked).logits, asked.y[4:])

    (gradient,) = torch.autograd.grad(loss(), bias)
    values = []
    for step in (1e-5, -2e-5):
        bias.data[0] += step
        values.append(float(loss().detach()))
    return abs(float(gradient[0]) - (values[0] - values[1]) / 2e-5)


def test_the_gradient_of_second_order_is_that_of_the_loss_and_of_first_order_is_not() -> None:
    assert error_of_gradient(second_order=True) < 1e-6 < 1e-3 < error_of_gradient(second_order=False)


def test_anil_changes_the_head_alone() -> None:
    method: Any = new("ANIL")
    assert set(method.adapted(episode().x[:4], episode().y[:4])) == {"head.weight", "head.bias"}


def test_reptile_goes_to_where_the_steps_lead() -> None:
    method: Any = new("Reptile")
    method.total = lambda terms: terms["distance"]
    method.training_step(EpisodeBatch(episode()), 0).backward()
    reached = method.adapted(episode().x, episode().y)
    for name, start in method.network.named_parameters():
        torch.testing.assert_close(start.grad, start.detach() - reached[name].detach(), rtol=1e-4, atol=1e-6)


def test_proto_net_is_the_nearest_mean_and_the_cosine_classifier_the_nearest_direction() -> None:
    examples, y = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 4.0], [0.0, 4.0]]), torch.tensor([0, 0, 1, 1])
    proto, cosine = new("ProtoNet"), new("CosineClassifier", temperature=0.5)
    assert isinstance(proto, ProtoNet)
    assert isinstance(cosine, CosineClassifier)
    assert proto.compared(torch.tensor([[1.0, 1.0]]), examples, y).tolist() == [[-1.0, -10.0]]
    assert cosine.compared(torch.tensor([[3.0, 4.0]]), examples, y)[0].tolist() == pytest.approx([1.2, 1.6])


@every
@pytest.mark.parametrize("transductive", [False, True])
def test_an_answer_depends_on_the_other_queries_only_where_the_data_say_so(name: str, transductive: bool) -> None:
    method = new(name, transductive).eval()
    with torch.inference_mode():  # as a trainer tests
        whole = method.asked(episode())[1].logits
        other = episode()
        other.x[5:] = 0.5 * episode(1).x[5:]
        alone = method.asked(other)[1].logits
    assert torch.allclose(whole[0], alone[0], atol=1e-5) is not transductive
    assert not torch.allclose(whole[1:], alone[1:], atol=1e-5)


@every
def test_measuring_leaves_the_network_as_it_is(name: str) -> None:
    method = new(name, transductive=True).eval()
    before = copy.deepcopy(method.state_dict())
    method.asked(episode())
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())


def test_batch_norm_by_the_first_rows() -> None:
    net, x = nn.Sequential(nn.BatchNorm2d(3)), torch.rand(8, 3, 2, 2)
    nn.init.uniform_(batch_norms(net)[0].weight, 1, 2)
    with by_batch_statistics(net, 5):
        found = net(x)
    torch.testing.assert_close(found[:5], net(x[:5]))
    (layer,) = batch_norms(net)
    with by_batch_statistics(net):
        whole = net(x)
    running = copy.deepcopy(layer.running_mean)
    torch.testing.assert_close(whole, net(x))
    assert not torch.equal(running, layer.running_mean)  # type: ignore[arg-type]


OPTIONS: dict[str, dict[str, Any]] = {
    "MAML": {"inner_lr": 0.5},
    "ANIL": {"inner_lr": 0.5},
    "Reptile": {"inner_lr": 0.3, "steps": 5},
    "CosineClassifier": {"temperature": 0.2, "optimizer": Adam(2e-2)},
}


def flipped(generator: torch.Generator) -> Episode:
    """Two classes that differ in the first pixel, under noise in the others; which of them is which changes by episode."""
    y = torch.tensor([0, 0, 1, 1, *[0] * 8, *[1] * 8])
    bright = y ^ torch.randint(2, (1,), generator=generator)
    x = 0.5 + 0.3 * torch.randn(20, 16, generator=generator)
    x[:, 0] = 0.25 + 0.5 * bright + 0.05 * torch.randn(20, generator=generator)
    return Episode(x.view(-1, 1, 4, 4), y, torch.arange(20), torch.arange(20) < 4)


def accuracies(name: str, steps: int) -> tuple[float, float]:
    """The accuracy on such episodes before and after ``steps`` of training on others."""
    method: Any = new(name, **OPTIONS[name])
    method.total = lambda terms: sum(terms.values())
    optimizer, found = torch.optim.Adam(method.parameters(), 1e-2), []
    for seed, count in ((1, 0), (0, steps)):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(count):
            optimizer.zero_grad()
            method.train().training_step(EpisodeBatch(flipped(generator)), 0).backward()
            optimizer.step()
        generator = torch.Generator().manual_seed(2)
        answers = [method.eval().asked(flipped(generator)) for _ in range(20)]
        found.append(float(torch.cat([output.logits.argmax(1) == asked.y for asked, output in answers]).float().mean()))
    return found[0], found[1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("MAML", 0.9), ("ANIL", 0.9), ("Reptile", 0.65)])
def test_a_start_is_learnt_from_which_a_step_is_enough(name: str, least: float) -> None:
    before, after = accuracies(name, 60)
    print(name, f"before {before:.3f}, after {after:.3f}")
    assert before < 0.6 < least < after


def accuracy_of(method: Episodic, data: Episodes, steps: int) -> float:
    """The accuracy on episodes of new classes after training."""
    data.steps = steps
    run = trainer(1, limit_val_batches=0)
    run.fit(method, data)
    run.test(method, data, verbose=False)
    return float(run.callback_metrics["test/target/accuracy"])


@functools.cache
def measured(name: str, trained: bool = True) -> float:
    """The accuracy on episodes of new classes, after training, or of a network as it was drawn."""
    options: dict[str, Any] = OPTIONS.get(name, {}) if trained else {"tuning": LinearProbe()}
    method = new(name, **options)
    return accuracy_of(method, episodes(batch_size=32, episodes=40, shots=1), 60 if trained else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CosineClassifier", "NearestCentroid", "ProtoNet"])
def test_it_learns_to_learn(name: str) -> None:
    reached, floor = measured(name), measured("NearestCentroid", trained=False)
    print(name, f"untrained {floor:.3f}, reached {reached:.3f}")
    assert reached > floor + 0.08


@pytest.mark.slow
def test_pixels_are_a_floor() -> None:
    data = episodes()
    assert 0.5 < accuracy_of(NearestCentroid(backbone=Pixels(4, 1), task=data.task), data, 1) < 0.9


def test_training_may_have_more_ways_than_what_is_measured() -> None:
    seen: list[int] = []
    method, data = new("ProtoNet", train_ways=4), episodes()
    answered = method.answered

    def watch(episode: Episode) -> Output:
        seen.append(int(episode.y.max()) + 1)
        return answered(episode)

    method.answered = watch  # type: ignore[method-assign]
    run = trainer(1, limit_val_batches=0)
    run.fit(method, data)
    run.test(method, data, verbose=False)
    assert seen == [4] * 6 + [2] * 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ProtoNet(backbone=Tiny(), task=3),
            "learns from episodes, and the data ask for Classification: use --data Episodes",
        ),
        (lambda: trainer(1).fit(DANN(backbone=Tiny(), task=2), episodes()), "DANN does not learn from episodes"),
        (lambda: new("MAML", steps=0), "the steps on the examples are at least 1"),
        (lambda: trainer().predict(new("ProtoNet"), episodes()), "have nothing to predict"),
        (lambda: trainer(1).validate(new("ProtoNet"), Codes()), "ProtoNet was made for FewShot of 2, and the data ask for Classification"),
    ],
)
def test_bad_input_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


def test_they_are_what_they_are_called() -> None:
    assert {*FEW_SHOT} == {"ANIL", "MAML", "Reptile", "ProtoNet", "NearestCentroid", "CosineClassifier"}
    assert issubclass(Reptile, MAML)
