"""Learning before a task: each method finds what its views leave as it is, and a copy of it that is not trained does not."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from torch import Tensor

import tlda.methods
from tests.conftest import REPO
from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.methods.test_contract import PRETRAINING, make, narrow
from tlda.backbones import Backbone, SmallViT
from tlda.batch import Sample, Unlabelled
from tlda.data import Augment, Domain, Images
from tlda.errors import Note, UserError
from tlda.losses import MMD
from tlda.method import Method
from tlda.methods import BYOL, DANN, DINO, MAE, SimCLR, SimSiam, SupCon
from tlda.nn import MovingAverage
from tlda.optim import Adam
from tlda.tasks import Classification, Place
from tlda.training import probing

EXAMPLES = REPO / "tests" / "examples"
STEPS = 40


class Redrawn(Augment):
    """The lower three quarters of an image drawn anew: what a class does not depend on."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, :, :1] + 0.05 * torch.randn_like(x[:, :, :1]), torch.rand_like(x[:, :, 1:])), 2)


class Hidden(Toy):
    """A class is a weak pattern of the first line, under three lines of strong noise."""

    def load(self) -> tuple[Domain, Domain]:
        return Domain("one", self.drawn(0)), Domain("other", self.drawn(1))

    def drawn(self, seed: int) -> Images:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(self.n) % CLASSES
        images = torch.rand(self.n, 1, 4, 4, generator=generator)
        images[:, 0, 0] = 0.3 + 0.1 * torch.rand(self.n, 4, generator=generator) + 0.4 * torch.eye(4)[labels]
        return Images((255 * images).to(torch.uint8), labels)


def new(name: str, **options: Any) -> Method:
    """The method as small as the toy, on a network without noise of its own."""
    cls = getattr(tlda.methods, name)
    seed_everything(0, verbose=False)
    views = {"views": [Redrawn()]} if "views" in narrow(cls) else {}
    method: Method = cls(backbone=Tiny(16, 0.0), task=CLASSES, optimizer=Adam(1e-2), **{**narrow(cls), "width": 16, **views, **options})
    return method


def untrained(method: Method) -> Method:
    """The method, broken: its terms have no gradient."""
    total = method.total
    method.total = lambda terms: total({name: 0.0 * term for name, term in terms.items()})  # type: ignore[method-assign]
    return method


def neighbours(method: Method) -> float:
    """The share of the target's rows whose nearest neighbours in the source have their class, after training."""
    run = trainer(2, check_val_every_n_epoch=2)
    run.fit(method, Hidden(steps=STEPS // 2, batch_size=32, holdout=0.3))
    return float(run.callback_metrics["oracle/target/knn"])


@functools.cache
def baseline() -> float:
    return neighbours(untrained(new("SimCLR")))


def check(method: Method) -> None:
    reached = neighbours(method)
    print(type(method).__name__, f"untrained {baseline():.3f}, reached {reached:.3f}")
    assert reached >= baseline() + 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRETRAINING - {"MAE"}))
def test_learns_what_views_leave(name: str) -> None:
    # A box of these images lacks the line that a class is in, so that all crops are the whole image.
    check(new(name, **({"border": 1.0, "crops": 1} if name == "DINO" else {})))


@pytest.mark.slow
def test_an_untrained_copy_fails_the_same_check() -> None:
    with pytest.raises(AssertionError):
        check(untrained(new("VICReg")))


class Weak(SimSiam):
    """SimSiam whose projector has no BatchNorm, with its stop of the gradient or without."""

    stops = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learnt["projector"] = torch.nn.Linear(self.num_features, 16)

    def predicted(self, projection: Tensor, other: Tensor) -> Tensor:
        if self.stops:
            return super().predicted(projection, other)
        return -torch.cosine_similarity(self.learnt["predictor"](projection), other, dim=1).mean()


class WithoutStop(Weak):
    stops = False


def spreads(cls: type[SimSiam]) -> float:
    seed_everything(0, verbose=False)
    network = {"backbone": Tiny(16, 0.0, False), "task": CLASSES, "optimizer": Adam(3e-2)}
    run = trainer(1)
    run.fit(cls(width=16, bottleneck_width=8, views=[Redrawn()], **network), Hidden(steps=60, batch_size=32))
    return float(run.callback_metrics["val/source/projection_std"])


def test_a_collapse_without_the_stop_of_the_gradient_is_told(recwarn: pytest.WarningsRecorder) -> None:
    assert spreads(Weak) > 0.2
    assert not [said for said in recwarn if issubclass(said.category, Note)]
    with pytest.warns(Note, match="the features have collapsed: those of all rows of one are nearly the same"):
        assert spreads(WithoutStop) < 0.05


class Constant(Backbone):
    """A network that says the same of all images."""

    def __init__(self) -> None:
        super().__init__(8)
        self.bias = torch.nn.Parameter(torch.ones(8))

    def features(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x), 8)


def test_nearest_neighbours_answer_the_test_too() -> None:
    method, data = new("SimCLR"), Hidden(steps=2, batch_size=32, holdout=0.3)
    run = trainer(1)
    run.fit(method, data)
    validated = float(run.callback_metrics["oracle/target/knn"])
    run.test(method, data, verbose=False)
    assert float(run.callback_metrics["test/target/knn"]) == pytest.approx(validated)


def test_neighbours_are_of_all_rows_in_whatever_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "ROWS", 20)
    worth = probing.Worth(Classification(["a", "b"]), 2)
    worth.bank = [torch.tensor([[1.0, 0.0]]).repeat(5, 1), torch.zeros(5, dtype=torch.long)]
    rows, labels = torch.eye(2).repeat_interleave(25, 0), torch.arange(2).repeat_interleave(25)  # class by class, as folders are read
    for x, y in zip(rows.split(10), labels.split(10), strict=True):
        worth.see(0, x, x, Sample(x, y, torch.arange(len(y)), torch.zeros(1)))
    found = worth.measured(Classification(["a", "b"]), [Place("t", "target")], trained=False)
    assert found["oracle/target/knn"].item() == pytest.approx(0.5)
    assert found["val/target/feature_std"].item() == pytest.approx(0.5 * 2**0.5)


def test_a_constant_encoder_is_told_once() -> None:
    method = SimCLR(backbone=Constant(), task=CLASSES, **narrow(SimCLR))
    with pytest.warns(Note, match="the features have collapsed") as said:
        trainer(2).fit(method, Toy(steps=1))
    assert len([warning for warning in said if issubclass(warning.category, Note)]) == 1


@pytest.mark.parametrize(("domains", "fields"), [("both", ("source", "target")), ("source", ("source",)), ("target", ("target",))])
def test_it_learns_from_the_domains_that_are_named(domains: Any, fields: tuple[str, ...]) -> None:
    method: Any = SimCLR(backbone=Tiny(), task=CLASSES, domains=domains, **narrow(SimCLR))
    assert method.batch_type._fields == fields


def test_its_checkpoint_starts_another_with_a_head_of_its_own(tmp_path: Path) -> None:
    method = make("BYOL")
    run = trainer(1)
    run.fit(method, Toy(steps=2))
    run.save_checkpoint(tmp_path / "byol.ckpt")
    other = DANN(backbone=Tiny(), task=CLASSES, init_from=str(tmp_path / "byol.ckpt"))
    head = other.head.weight.clone()
    trainer(1).validate(other, Toy(), verbose=False)
    for key, value in method.backbone.state_dict().items():
        assert torch.equal(value, other.backbone.state_dict()[key]), key
    assert torch.equal(other.head.weight, head)  # and not the probe, which has seen the source's labels


def test_the_centre_of_dino_is_a_moving_average_of_what_the_teacher_says() -> None:
    method = new("DINO", views=[], crops=1, centre_momentum=0.75)
    assert isinstance(method, DINO)
    method.large.forward = method.small.forward = lambda x: x  # type: ignore[method-assign]
    x = torch.rand(6, 1, 4, 4)
    (before, centre), terms = (method.teacher(x), method.centre.clone()), method.train().terms(x)
    torch.testing.assert_close(method.centre, 0.75 * centre + 0.25 * before.mean(0))
    terms["distillation"].backward()
    assert all(weight.grad is None for weight in method.teacher.parameters())
    assert all(weight.grad is not None for weight in method.learnt.parameters())


def test_small_crops_of_dino_have_a_size_of_their_own() -> None:
    method = make("DINO", crop_size=2)
    assert isinstance(method, DINO)
    assert method.local(torch.rand(3, 1, 4, 4)).shape == (3, 1, 2, 2)


def striped(seed: int) -> Tensor:
    """Images whose quarters are one pattern of two, so that those that are covered follow from one that is seen."""
    generator = torch.Generator().manual_seed(seed)
    pattern = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]])[torch.randint(2, (64,), generator=generator)]
    return (pattern.repeat(1, 2, 2) * 0.8 + 0.1 * torch.rand(64, 4, 4, generator=generator))[:, None]


def reconstruction(learns: bool) -> float:
    """The loss of MAE after some steps, or of one whose terms have no gradient; predicting each patch's mean has a loss of 1."""
    method, x = make("MAE", views=[]), striped(0)
    assert isinstance(method, MAE)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2 if learns else 0.0)
    for _ in range(60):
        optimizer.zero_grad()
        method.terms(x)["reconstruction"].backward()
        optimizer.step()
    return float(method.terms(striped(1))["reconstruction"].detach())


def test_mae_predicts_what_is_covered_from_what_is_seen() -> None:
    assert reconstruction(learns=True) < 0.5 < 0.9 < reconstruction(learns=False)


def test_a_vision_transformer_takes_patches_line_by_line() -> None:
    net = SmallViT(channels=2, size=4, patch=2, width=8, depth=1, heads=2).eval()
    x = torch.rand(3, 2, 4, 4)
    patches = net.patches(x)
    assert torch.equal(patches[:, 1], x[:, :, :2, 2:].flatten(1))
    kept = torch.tensor([[2, 0]]).expand(3, -1)
    changed = patches.clone()
    changed[:, [1, 3]] = 9.0
    assert torch.equal(net.tokens(patches, kept), net.tokens(changed, kept))  # what is covered is not looked at
    torch.testing.assert_close(net.tokens(patches, torch.arange(4).expand(3, -1)).mean(1), net.features(x))


def test_a_teacher_follows_and_begins_where_the_network_does(tmp_path: Path) -> None:
    first = make("SimCLR")
    run = trainer(1)
    run.fit(first, Toy(steps=2))
    run.save_checkpoint(tmp_path / "first.ckpt")
    method = make("BYOL", init_from=str(tmp_path / "first.ckpt"), momentum=0.75)
    trainer(1).validate(method, Toy(), verbose=False)
    assert isinstance(method, BYOL)
    before = [weight.clone() for weight in method.teacher.copy[0].parameters()]
    assert all(map(torch.equal, before, first.backbone.parameters()))
    after: list[Tensor] = []

    class Keep(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            after.extend(weight.detach().clone() for weight in pl_module.backbone.parameters() if batch_idx == 0)

    trainer(1, limit_val_batches=0, callbacks=[Keep()]).fit(method, Toy(steps=2))
    for old, teacher, student in zip(before, method.teacher.copy[0].parameters(), after, strict=True):
        torch.testing.assert_close(teacher, 0.875 * old + 0.125 * student)  # half a cosine from 0.75 to 1, in the middle


def test_a_teacher_follows_once_a_step_of_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[float] = []
    monkeypatch.setattr(MovingAverage, "follow", lambda self, momentum, *modules: kept.append(momentum))
    trainer(1, limit_val_batches=0, accumulate_grad_batches=2).fit(make("BYOL"), Toy(steps=4))
    assert len(kept) == 2


def test_supervised_contrast_pulls_a_class_together() -> None:
    method = make("SupCon").eval()
    assert isinstance(method, SupCon)
    x, seen = torch.rand(6, 1, 4, 4), []
    method.contrast = lambda x, labels: (seen.append(labels), x.sum())[1]  # type: ignore
    method.total = lambda terms: terms["contrast"]  # type: ignore[method-assign]
    batch = method.batch_type(Sample(x[:4], torch.tensor([0, 1, 0, -1]), torch.arange(4)), Unlabelled(x[4:], torch.arange(2)))
    method.training_step(batch, 0)
    assert seen[0].tolist() == [0, 1, 0, -4, -5, -6]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make("SupCon", domains="target"), "SupCon learns from labels, and the target's are not seen"),
        (lambda: make("MAE", ratio=0.0), r"ratio 0\.0 covers 0 of 4 patches: leave some, and cover some"),
        (lambda: make("MAE", ratio=1.0), r"ratio 1\.0 covers 4 of 4 patches"),
        (lambda: MAE(backbone=Tiny(), task=CLASSES), "MAE covers patches of a vision transformer, and Tiny has none: use SmallViT"),
        (lambda: SmallViT(size=30), "cuts 30 pixels into patches of 4"),
        (lambda: make("BYOL", momentum=1.5), r"momentum of BYOL is 1\.5"),
        (lambda: make("SimCLR", plus=[MMD()]), r"leave the loss 'mmd' out of --model\.plus"),
    ],
)
def test_bad_input_is_one_sentence(call: Callable[[], Method], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


def test_the_example_of_ones_own_is_short_and_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    cls: Any = importlib.import_module("my_pretraining").Orthonormal
    assert len((EXAMPLES / "my_pretraining.py").read_text().splitlines()) <= 40
    seed_everything(0, verbose=False)
    check(cls(backbone=Tiny(16, 0.0), task=CLASSES, width=16, views=[Redrawn()], optimizer=Adam(1e-2)))
