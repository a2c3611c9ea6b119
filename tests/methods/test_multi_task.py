from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint

from tests.helpers.toy import CLASSES, Tiny, Toy, blobs, trainer
from tlda.batch import Output
from tlda.data import Domain, Images, Relabelled, Tasks, Translated
from tlda.errors import UserError
from tlda.losses import L2SP, ConditionalAdversarial, DomainAdversarial, Loss
from tlda.losses.weightings import DWA, RLW, CAGrad, Equal, GradNorm, PCGrad, Uncertainty, Weighting
from tlda.methods import MultiTask
from tlda.optim import Adam
from tlda.tasks import Classification, Several

PARITY = {"even": ["class 0", "class 2"], "odd": ["class 1"]}


def shared(**options: Any) -> Relabelled:
    """One data set with three tasks: class, parity, and the domain of origin."""
    return Relabelled(Toy(), "class", {"parity": PARITY}, origin="domain", steps=6, batch_size=32, seed=0, **options)


def several(**options: Any) -> Tasks:
    """Two data sets with a task each."""
    return Tasks({"near": Toy(seed=0), "far": Toy(shift=90.0, seed=1)}, **options)


def make(data: Any, weighting: Weighting | None = None, **options: Any) -> MultiTask:
    seed_everything(0, verbose=False)
    return MultiTask(backbone=Tiny(), task=data.task, weighting=weighting, optimizer=Adam(0.01), **options)


def measured(method: MultiTask, data: Any, epochs: int = 6) -> dict[str, float]:
    run = trainer(epochs)
    run.fit(method, data)
    return {name: value for row in run.test(method, data, verbose=False) for name, value in row.items()}


@pytest.mark.slow
@pytest.mark.parametrize("weighting", [Equal, Uncertainty, GradNorm, DWA, RLW, PCGrad, CAGrad])
def test_every_weighting_learns_class_parity_and_origin(weighting: type[Weighting]) -> None:
    found = measured(make(shared(), weighting()), shared(), epochs=9)
    assert found["test/source/class/accuracy"] > 0.8
    assert found["test/source/parity/accuracy"] > 0.8
    assert found["test/target/domain/accuracy"] > 0.8


@pytest.mark.slow
def test_tasks_on_data_sets_of_their_own() -> None:
    found = measured(make(several()), several())
    assert {name for name in found if name.endswith("accuracy")} == {
        f"test/{d}/{t}/accuracy" for d in ("source", "target") for t in ("near", "far")
    }
    assert found["test/source/near/accuracy"] > 0.8
    assert found["test/source/far/accuracy"] > 0.8


@pytest.mark.parametrize("data", [shared, several])
def test_adaptation_on_the_shared_features(data: Any) -> None:
    method = make(data(), PCGrad(), plus=[DomainAdversarial(hidden=8)])
    before = {key: value.clone() for key, value in method.state_dict().items()}
    trainer(1).fit(method, data())
    moved = {key for key, value in method.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {key for key, _ in method.named_parameters()}


def test_the_origin_is_all_that_is_seen_of_the_target() -> None:
    data = shared()
    data.setup("fit")
    rows = data.training_rows()["source"]
    labels = rows[torch.arange(len(rows))].y
    assert labels[labels[:, 2] == 1].unique(dim=0).tolist() == [[-1, -1, 1]]
    seen = labels[labels[:, 2] == 0]
    assert len(seen) == 192 - 19
    assert torch.equal(seen[:, 1], seen[:, 0] % 2)
    assert {name: len(task.classes) for name, task in data.task.parts.items()} == {"class": CLASSES, "parity": 2, "domain": 2}


@pytest.mark.slow
@pytest.mark.parametrize("weighting", [Uncertainty, GradNorm, DWA, RLW, PCGrad])
def test_resume_equals_uninterrupted(weighting: type[Weighting], tmp_path: Path) -> None:
    whole = make(several(), weighting())
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer(4, enable_checkpointing=True, callbacks=[keep]).fit(whole, several())
    resumed = make(several(), weighting())
    torch.manual_seed(12345)
    trainer(4).fit(resumed, several(), ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_a_checkpoint_makes_the_network_again(tmp_path: Path) -> None:
    from tlda.config import build

    config = {
        "model": {
            "class_path": "MultiTask",
            "init_args": {
                "backbone": {"class_path": "tests.helpers.toy.Tiny"},
                "weighting": {"class_path": "Fixed", "init_args": {"weights": [1.0, 2.0]}},
            },
        },
        "data": {
            "class_path": "Tasks",
            "init_args": {"tasks": {name: {"class_path": "tests.helpers.toy.Toy", "init_args": {"steps": 2}} for name in ("near", "far")}},
        },
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False},
    }
    method, data, run = build.build(config)
    run.fit(method, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    again = build.load(tmp_path / "a.ckpt")
    x = torch.rand(4, 1, 4, 4)
    torch.testing.assert_close(again(x).logits, method.eval()(x).logits)
    assert (data.transfer, {name: list(tasks) for name, tasks in method.task.by_data.items()}) == (  # type: ignore[attr-defined]
        "far+near",
        {"far": ["far"], "near": ["near"]},
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"tasks": {"parity": {"even": ["clas 0"]}}},
            "--data.tasks.parity names the class 'clas 0', which the data have not; did you mean 'class 0'",
        ),
        ({"name": "a", "origin": "a"}, "two tasks have one name: a, a"),
        ({"tasks": {"a.b": PARITY}}, "'a.b' can name no part of a network"),
        ({"name": "keys"}, "'keys' can name no part of a network"),
        ({"tasks": {"all": {"any": ["class 0", "class 1"]}}}, r"--data.tasks.all has only the classes \['any'\]: a task needs two"),
        ({"translated": Translated("folder")}, "--data.translated is for images themselves, .* not for Relabelled"),
    ],
)
def test_bad_tasks_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Relabelled(Toy(), **options)


def test_no_tasks() -> None:
    with pytest.raises(UserError, match=r"--data.tasks is empty"):
        Tasks({})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"near-by": Toy()}, "'near-by' can name no field of a batch"),
        ({"class": Toy()}, "'class' can name no field of a batch"),
        ({"items": Toy()}, "'items' can name no part of a network"),
        ({"near": Relabelled(Toy(), "a"), "far": Relabelled(Toy(), "a")}, "two tasks have one name: a, a"),
    ],
)
def test_bad_names_of_data_are_named(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Tasks(data)


def test_translations_that_no_task_would_see_are_refused() -> None:
    with pytest.raises(UserError, match="not for Tasks"):
        Tasks({"near": Toy()}, translated=Translated("folder"))
    with pytest.raises(UserError, match="not for Relabelled"):
        Relabelled(Toy(translated=Translated("folder")))


class Beside(Toy):
    """A target with rows without labels beside those with them."""

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        return source, Domain(target.name, target.train, unlabelled=Images(blobs(32, 60.0, 2)[0], torch.full((32,), -1)))


def test_rows_without_labels_are_adapted_to_as_well() -> None:
    data = Relabelled(Beside(), "class", {"parity": PARITY}, steps=2, batch_size=32)
    method = make(data, plus=[DomainAdversarial(hidden=8)])
    trainer(1).fit(method, data)
    assert len(data.training_rows()["target"]) == 192 + 32


def test_the_fingerprint_does_not_follow_the_seed() -> None:
    first, second = (Relabelled(Toy(), "class", {"parity": PARITY}, seed=seed).fingerprint() for seed in (0, 1))
    assert first == second != Relabelled(Toy(), "class", {"parity": PARITY}, origin="domain").fingerprint()


class Seen(Loss):
    """What a loss is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Output] = []

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> torch.Tensor:
        self.outputs += [source, target]
        return 0.0 * source.features.sum()


def test_an_added_loss_sees_the_logits_of_the_first_task_of_each_data_set() -> None:
    loss, data = Seen(), several(steps=1)
    method = make(data, plus=[loss])
    heads = copy.deepcopy(method.head.tasks)
    trainer(1, limit_val_batches=0).fit(method, data)
    for task, output in zip(("far", "far", "near", "near"), loss.outputs, strict=True):
        torch.testing.assert_close(output.logits, heads[task](output.features))


def test_a_loss_that_is_made_for_classes_wants_as_many_in_all_data_sets() -> None:
    parts = Several({"near": {"near": Classification(["a", "b", "c"])}, "far": {"far": Classification(["a", "b"])}})
    with pytest.raises(UserError, match=r"the loss 'conditional_adversarial' is made for one number of classes.*near 3, far 2"):
        MultiTask(backbone=Tiny(), task=parts, plus=[ConditionalAdversarial()])
    assert "domain_adversarial" in MultiTask(backbone=Tiny(), task=parts, plus=[DomainAdversarial()]).losses


@pytest.mark.parametrize("kind", [RLW, PCGrad])
def test_processes_draw_the_same_at_random_and_another_number_in_each_batch(kind: type[Weighting], monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorded(kind):  # type: ignore[misc, valid-type]
        def forward(self, losses: torch.Tensor) -> torch.Tensor:
            self.states.append(torch.randn(2, generator=self.generator).tolist())
            self.dropout.append(torch.rand(()).item())
            found: torch.Tensor = super().forward(losses)
            return found

    drawn, dropout = [], []
    for rank in (0, 1):
        weighting = Recorded()
        weighting.states, weighting.dropout = [], []
        monkeypatch.setattr(MultiTask, "global_rank", rank)
        trainer(limit_val_batches=0).fit(make(shared(), weighting), shared())
        drawn.append(weighting.states)
        dropout.append(weighting.dropout)
    assert drawn[0] == drawn[1]
    assert len({*map(tuple, drawn[0])}) == 2 * 6
    assert dropout[0] != dropout[1]


def test_l2_sp_leaves_what_weighs_the_tasks_alone() -> None:
    method = make(shared(), Uncertainty(), plus=[L2SP()])
    trainer(1, limit_val_batches=0).fit(method, shared())
    loss, output = method.losses["l2_sp"], Output(torch.zeros(1), torch.zeros(1))
    value = loss(None, output, output, 0.0)
    gradient = torch.autograd.grad(value, [method.head.weighting.log_variances, method.head.tasks["parity"].weight], materialize_grads=True)
    assert [bool(g.any()) for g in gradient] == [False, True]
