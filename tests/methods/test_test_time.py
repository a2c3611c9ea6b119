"""TENT and AdaBN: against the papers' recipes by hand; that they leave the method as it was; and on a checkpoint of source only."""

from __future__ import annotations

import copy
import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Tlda
from tests.helpers.hazy import Hazy
from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.methods.test_contract import make, source_checkpoint
from tlda.backbones import LeNet
from tlda.batch import Prediction
from tlda.data import Domain, Images
from tlda.errors import UserError
from tlda.finetuning import StochNorm
from tlda.methods import TENT, AdaBN

both = pytest.mark.parametrize("name", ["TENT", "AdaBN"])


def from_source(name: str, **options: Any) -> Any:
    return make(name, init_from=source_checkpoint(), **options)


def answers(method: Any, data: Toy) -> list[Prediction]:
    """The predictions of the target's rows, batch by batch, as a trainer makes them."""
    predicted: Any = trainer().predict(method, data)
    return list(predicted)


def images(data: Toy) -> Tensor:
    return data.loaded[1].train.images / 255  # type: ignore[attr-defined, no-any-return]


def by_hand(method: Any) -> nn.Sequential:
    return copy.deepcopy(nn.Sequential(method.backbone, method.bottleneck, method.head)).eval()


@pytest.mark.parametrize("steps", [1, 2])
def test_tent_is_the_papers_recipe(steps: int) -> None:
    method, data = from_source("TENT", steps=steps, tent_lr=0.01), Toy(eval_batch_size=64)
    found = answers(method, data)
    network = by_hand(method)
    norm = network[0].layers[2]  # type: ignore[index]
    norm.train()  # type: ignore[union-attr]  # no dropout, but the batch's statistics
    optimizer = torch.optim.Adam(norm.parameters(), lr=0.01)  # type: ignore[union-attr]
    assert len(found) == 3
    for batch in found:
        for _ in range(steps):
            probabilities = network(images(data)[batch.row]).softmax(1)
            optimizer.zero_grad()
            (-probabilities * probabilities.log()).sum(1).mean().backward()
            optimizer.step()
        torch.testing.assert_close(torch.tensor(batch.answers["confidence"]), probabilities.detach().max(1).values, atol=1e-5, rtol=1e-4)


def test_tent_moves_the_affine_part_of_batchnorm_and_not_a_bit_else() -> None:
    method, data = from_source("TENT", steps=2, tent_lr=0.01).eval(), Toy()
    method.trainer = trainer()
    method.on_test_start()
    method.answer(images(data)[:32], "target")
    assert method.adapted is not None
    trained = method.network.state_dict()
    moved = {key for key, value in method.adapted[0].state_dict().items() if not torch.equal(value, trained[key])}
    assert moved == {"backbone.layers.2.weight", "backbone.layers.2.bias"}


def test_adabn_normalises_by_all_training_rows_of_the_target() -> None:
    method, data = from_source("AdaBN"), Toy(eval_batch_size=192)
    (found,) = answers(method, data)
    network = by_hand(method)
    x = network[0].layers[:2]((images(data) - 0.5) / 0.5)  # type: ignore[index, operator]
    norm = network[0].layers[2]  # type: ignore[index]
    norm.running_mean, norm.running_var = x.mean(0).detach(), x.var(0).detach()  # type: ignore[union-attr]
    expected = network(images(data)[found.row]).softmax(1).max(1).values.detach()
    torch.testing.assert_close(torch.tensor(found.answers["confidence"]), expected, atol=1e-5, rtol=1e-4)


def test_adabn_of_a_network_with_noise_in_its_normalisation_has_none() -> None:
    class Two(Tiny):
        """A second BatchNorm, whose statistics are those of what the first one gives."""

        def __init__(self) -> None:
            super().__init__()
            self.layers.insert(3, nn.BatchNorm1d(16))

    method, data = AdaBN(backbone=Two(), task=CLASSES, tuning=StochNorm()), Toy()
    trainer(1).test(method, data, verbose=False)
    first, second = ([buffer for name, buffer in method.adapt().named_buffers() if "running" in name] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_adabn_knows_no_order_of_the_rows() -> None:
    """Folders are read class by class; batches of one class each have statistics that nobody wants."""

    class Sorted(Toy):
        def load(self) -> tuple[Domain, Domain]:
            source, target = super().load()
            order = target.train.labels.argsort(stable=True)
            return source, Domain("sorted", Images(target.train.images[order], target.train.labels[order]))  # type: ignore[attr-defined]

    method = from_source("AdaBN")
    trainer().predict(method, data := Sorted(eval_batch_size=32))
    norm = method.adapt().backbone.layers[2]
    whole = method.backbone.layers[:2]((images(data) - 0.5) / 0.5)
    assert norm.num_batches_tracked == 6
    torch.testing.assert_close(norm.running_mean, whole.mean(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, whole.var(0), atol=0, rtol=0.1)


@pytest.mark.slow
@both
def test_nothing_is_moved_and_a_second_test_is_the_first(name: str) -> None:
    method, data = from_source(name), Toy(eval_batch_size=32)
    trainer().fit(method, data)
    before, modes = copy.deepcopy(method.state_dict()), [part.training for part in method.modules()]
    first = trainer().test(method, data, verbose=False)
    assert trainer().test(method, data, verbose=False) == first
    for one, other in zip(answers(method, data), answers(method, data), strict=True):
        assert one.answers["confidence"] == other.answers["confidence"]
    assert method.adapted is None
    assert [part.training for part in method.modules()] == modes
    assert before.keys() == method.state_dict().keys()
    assert all(torch.equal(value, method.state_dict()[key]) for key, value in before.items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in method.parameters())


@both
def test_the_target_is_measured_adapted_and_the_source_as_it_was_trained(name: str) -> None:
    data = Hazy()
    plain, adapted = (trainer().test(from_source(n), data, verbose=False) for n in ("SourceOnly", name))
    assert adapted[0] == plain[0]
    assert plain[1]["test/target/accuracy"] < 0.6
    assert adapted[1]["test/target/accuracy"] > 0.9


@both
def test_source_images_are_not_touched_by_target_images_in_between(name: str) -> None:
    method, data = from_source(name).eval(), Toy()
    trainer().validate(method, data, verbose=False)
    x, other = images(data)[:32], data.loaded[0].train.images[:8] / 255  # type: ignore[attr-defined]
    before = method(other).logits
    with torch.inference_mode():
        target = method.answer(x, "target").logits
        assert torch.equal(before, method(other).logits)
    assert not torch.equal(target, method(x).logits)


@both
def test_what_has_nothing_to_adapt_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} adapts .* layers, and LeNet has none: set --model\.backbone\.batch_norm true"):
        {"TENT": TENT, "AdaBN": AdaBN}[name](backbone=LeNet(), task=CLASSES)


def test_tent_adapts_layer_norm_which_has_no_statistics() -> None:
    backbone = Tiny()
    backbone.layers[2] = nn.LayerNorm(16)
    method = TENT(backbone=backbone, task=CLASSES, tent_lr=0.1)
    first, second = (method.eval().answer(images(Toy()), "target").logits for _ in range(2))
    assert torch.equal(first, method(images(Toy())).logits)
    assert not torch.equal(first, second)
    with pytest.raises(UserError, match="AdaBN adapts BatchNorm layers, and Tiny has none"):
        AdaBN(backbone=backbone, task=CLASSES)


def test_mistakes_have_a_sentence() -> None:
    with pytest.raises(UserError, match=r"--model\.steps is 0"):
        from_source("TENT", steps=0)
    with pytest.raises(UserError, match=r"--data\.eval_batch_size"):
        trainer().test(from_source("TENT"), Toy(eval_batch_size=1), verbose=False)
    data = Toy()
    data.setup("predict")
    with pytest.raises(UserError, match="AdaBN reads all training rows of the target: give the trainer a DomainPair"):
        trainer().predict(from_source("AdaBN"), data.predict_dataloader())


@pytest.mark.slow
def test_the_command_line_adapts_a_checkpoint_of_source_only(tlda: Tlda) -> None:
    found, predicted = {}, {}
    for name in ("SourceOnly", "TENT", "AdaBN"):
        options = ["--model", name, "--model.backbone=tests.helpers.toy.Tiny", "--data=tests.helpers.hazy.Hazy", "--trainer.precision=32"]
        options += ["--model.init_from", source_checkpoint()]
        done = tlda("test", *options, "--trainer.default_root_dir", name)
        assert done.code == 0, done.err
        (metrics,) = Path(name).rglob("metrics.csv")
        (found[name],) = csv.DictReader(metrics.read_text().splitlines())
        assert tlda("predict", *options, "--output", f"{name}.csv").code == 0
        rows = csv.DictReader(Path(f"{name}.csv").read_text().splitlines())
        predicted[name] = [int(row["class"].split()[-1]) for row in rows]
    assert len({values["test/source/accuracy"] for values in found.values()}) == 1
    labels = Hazy().loaded[1].train.labels
    for name, values in found.items():
        hits = (torch.tensor(predicted[name]) == labels).float().mean()
        assert float(values["test/target/accuracy"]) == pytest.approx(float(hits), abs=1e-6)
        assert (hits > 0.9) == (name != "SourceOnly")
