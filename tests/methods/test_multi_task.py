from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint

from tests.toy import CLASSES, Tiny, Toy, trainer
from tlda.data import Relabelled, Tasks
from tlda.errors import UserError
from tlda.losses import DomainAdversarial
from tlda.methods import MultiTask
from tlda.optim import Adam
from tlda.weightings import DWA, RLW, CAGrad, Equal, GradNorm, PCGrad, Uncertainty, Weighting

PARITY = {"even": ["class 0", "class 2"], "odd": ["class 1"]}


def shared(**options: Any) -> Relabelled:
    """One data set with three tasks: class, parity, and the domain of origin."""
    return Relabelled(Toy(), "class", {"parity": PARITY}, origin="domain", steps=6, batch_size=32, seed=0, **options)


def several(**options: Any) -> Tasks:
    """Two data sets with a task each."""
    return Tasks({"near": Toy(seed=0), "far": Toy(shift=90.0, seed=1)}, **options)


def make(data: Any, weighting: Weighting | None = None, **options: Any) -> MultiTask:
    seed_everything(0, verbose=False)
    return MultiTask(backbone=Tiny(), num_classes=data.num_classes, weighting=weighting, optimizer=Adam(0.01), **options)


def measured(method: MultiTask, data: Any, epochs: int = 6) -> dict[str, float]:
    run = trainer(epochs)
    run.fit(method, data)
    return {name: value for row in run.test(method, data, verbose=False) for name, value in row.items()}


@pytest.mark.parametrize("weighting", [Equal, Uncertainty, GradNorm, DWA, RLW, PCGrad, CAGrad])
def test_every_weighting_learns_class_parity_and_origin(weighting: type[Weighting]) -> None:
    found = measured(make(shared(), weighting()), shared())
    assert found["test/source/class/accuracy"] > 0.8
    assert found["test/source/parity/accuracy"] > 0.8
    assert found["test/target/domain/accuracy"] > 0.8


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
    assert data.num_classes == {"class": CLASSES, "parity": 2, "domain": 2}


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
    from tlda import build, checkpoint

    config = {
        "model": {
            "class_path": "MultiTask",
            "init_args": {
                "backbone": {"class_path": "tests.toy.Tiny"},
                "weighting": {"class_path": "Fixed", "init_args": {"weights": [1.0, 2.0]}},
            },
        },
        "data": {
            "class_path": "Tasks",
            "init_args": {"tasks": {name: {"class_path": "tests.toy.Toy", "init_args": {"steps": 2}} for name in ("near", "far")}},
        },
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False},
    }
    method, data, run = build.build(config)
    run.fit(method, data)
    run.save_checkpoint(tmp_path / "a.ckpt")
    again = checkpoint.load(tmp_path / "a.ckpt")
    x = torch.rand(4, 1, 4, 4)
    torch.testing.assert_close(again(x).logits, method.eval()(x).logits)
    assert (data.task, method.num_classes) == ("far+near", {"near": {"near": 3}, "far": {"far": 3}})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"tasks": {"parity": {"even": ["clas 0"]}}},
            "--data.tasks.parity names the class 'clas 0', which the data have not; did you mean 'class 0'",
        ),
        ({"name": "a", "origin": "a"}, "two tasks have one name: a, a"),
    ],
)
def test_bad_tasks_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Relabelled(Toy(), **options)


def test_no_tasks() -> None:
    with pytest.raises(UserError, match=r"--data.tasks is empty"):
        Tasks({})
