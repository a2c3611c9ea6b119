"""FixMatch: what its two views see, and which of them learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import seed_everything
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.conftest import TASK, Tlda
from tests.helpers.toy import CLASSES, Tiny, Toy
from tlda.batch import Output, Pair
from tlda.config.build import build, load
from tlda.data import Augment, Cutout, RandAugment, RandomCrop
from tlda.losses import MinEnt
from tlda.methods import FixMatch


class Invert(Augment):
    """Black is white."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 - x


def make(batch_norm: bool = False, **options: Any) -> FixMatch:
    seed_everything(0, verbose=False)
    return FixMatch(backbone=Tiny(dropout=0.0, batch_norm=batch_norm), task=CLASSES, **options)


def batch_of(method: FixMatch, n: int = 12) -> Pair:
    data = Toy()
    data.setup("fit")
    rows = torch.arange(n)
    return Pair(*(data.prepare(data.training_rows()[field][rows]) for field in Pair._fields))


def test_without_a_strong_view_and_a_threshold_it_is_the_cross_entropy_to_its_own_labels() -> None:
    method = make(strong=[], threshold=0.0)
    batch = batch_of(method)
    terms = method.objective(batch, *method.forward_pair(batch))
    source, target = method(batch.source.x).logits, method(batch.target.x).logits
    torch.testing.assert_close(terms["task"], cross_entropy(source, batch.source.y))
    torch.testing.assert_close(terms["consistency"], cross_entropy(target, target.argmax(1)))
    assert terms.keys() == {"task", "consistency"}


def test_the_strong_view_learns_the_labels_of_the_weak_one_and_is_made_of_it() -> None:
    method = make(strong=[Invert()], threshold=0.4, trade_off=0.5)
    batch = batch_of(method)
    weak, strong = method(batch.target.x).logits, method(1 - batch.target.x).logits
    confidence, labels = weak.softmax(1).max(1)
    passed = confidence >= 0.4
    assert 0 < passed.sum() < len(passed)
    expected = 0.5 * (cross_entropy(strong, labels, reduction="none") * passed).sum() / len(passed)
    torch.testing.assert_close(method.objective(batch, *method.forward_pair(batch))["consistency"], expected)


def test_the_weak_view_has_no_gradient() -> None:
    method = make(threshold=0.0)
    batch = batch_of(method)
    source, target = method.forward_pair(batch)
    logits = target.logits.detach().requires_grad_()
    terms = method.objective(batch, source, Output(target.features, logits))
    gradient = torch.autograd.grad(terms["consistency"], logits)[0]
    weak, strong = gradient.chunk(2)
    assert weak.abs().max() == 0
    assert strong.abs().max() > 0


def test_added_losses_see_the_weak_view() -> None:
    method = make(strong=[Invert()], plus=[MinEnt()])
    batch = batch_of(method)
    source, target = method.forward_pair(batch)
    weak = method(batch.target.x)
    assert len(target.logits) == 2 * len(weak.logits)
    p = weak.logits.softmax(1)
    torch.testing.assert_close(method.objective(batch, source, target)["min_ent"], -0.1 * (p * p.log()).sum(1).mean())


def test_all_three_views_are_one_batch_to_batchnorm() -> None:
    method = make(batch_norm=True, strong=[Invert()])
    batch = batch_of(method)
    whole = method(torch.cat((batch.source.x, batch.target.x, 1 - batch.target.x))).logits
    source, target = method.forward_pair(batch)
    torch.testing.assert_close(torch.cat((source.logits, target.logits)), whole)


def test_the_strong_view_is_made_at_full_precision() -> None:
    x = torch.rand(64, 1, 28, 28)
    method = make()
    torch.manual_seed(1)
    plain = method.strengthen(x)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(method.strengthen(x), plain)
    assert not torch.equal(plain, x)


def test_the_default_is_strong_and_mirrors_nothing() -> None:
    method = make()
    assert [type(change) for change in method.strong] == [RandAugment, Cutout]
    torch.manual_seed(0)
    lit = torch.full((200, 1, 28, 28), 0.05)
    lit[..., :4] = 0.6  # a bright left edge
    strong = RandAugment(number=1)(lit)
    assert (strong != lit).flatten(1).any(1).all()
    left, right = strong[..., :14].sum((1, 2, 3)), strong[..., 14:].sum((1, 2, 3))
    assert (left >= right - 1e-3).all()


@pytest.mark.slow
def test_strong_is_named_in_yaml_and_comes_back_from_the_checkpoint(tmp_path: Path) -> None:
    strong = """
    - {class_path: RandAugment, init_args: {number: 1, choices: [{class_path: RandomCrop, init_args: {padding: 1}}]}}
    - {class_path: Cutout}
    """
    model = {
        "class_path": "FixMatch",
        "init_args": {"backbone": {"class_path": "tests.helpers.toy.Tiny"}, "strong": yaml.safe_load(strong)},
    }
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    method, data, run = build({"model": model, "data": {"class_path": "tests.helpers.toy.Toy"}, "trainer": {"max_epochs": 1, **quiet}})
    run.fit(method, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    loaded = load(tmp_path / "a.ckpt")
    assert isinstance(loaded, FixMatch)
    first, second = loaded.strong
    assert isinstance(first, RandAugment)
    assert isinstance(second, Cutout)
    assert first.number == 1
    assert [type(choice) for choice in first.choices] == [RandomCrop]


@pytest.mark.slow
def test_strong_is_named_on_the_command_line(tlda: Tlda) -> None:
    done = tlda(
        "fit",
        *TASK,
        "--model",
        "FixMatch",
        "--model.strong+=RandomCrop",
        "--model.strong+=Cutout",
        "--model.strong.size=0.2",
        "--print_config",
    )
    first, second = yaml.safe_load(done.out)["model"]["init_args"]["strong"]
    assert first["class_path"] == "tlda.data.RandomCrop"
    assert (second["class_path"], second["init_args"]["size"]) == ("tlda.data.Cutout", 0.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.strong+=Cutuot"], ["'Cutuot' of --model.strong", "did you mean 'Cutout'"]),
        (["--model.strong+=Cutout", "--model.strong.sise=0.2"], ["'sise'", "did you mean 'size'"]),
    ],
)
def test_a_wrong_name_is_one_sentence(tlda: Tlda, options: list[str], words: list[str]) -> None:
    done = tlda("fit", *TASK, "--model", "FixMatch", *options)
    assert done.code != 0
    assert all(word in done.err for word in words), done.err
