"""The average of a network with its start, WiSE-FT: by hand, exact at both ends, in checkpoints and in runs that go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer, seed_everything
from torch import Tensor

import tlda
from tests.helpers.toy import Tiny, Toy, trainer
from tlda.methods import SourceOnly
from tlda.training.averaging import interpolated

Weights = dict[str, Tensor]


def test_the_ends_are_exact_and_the_middle_is_on_the_line() -> None:
    torch.manual_seed(0)
    start, trained = ({"a": torch.randn(50) * 10.0**k, "n": torch.tensor(k), "b": torch.randn(3)} for k in (1, 3))
    del start["b"]
    assert torch.equal(interpolated(start, trained, 0.0)["a"], start["a"])
    assert all(torch.equal(value, trained[name]) for name, value in interpolated(start, trained, 1.0).items())
    middle = interpolated(start, trained, 0.3)
    torch.testing.assert_close(middle["a"], 0.7 * start["a"] + 0.3 * trained["a"])
    assert torch.equal(middle["b"], trained["b"])
    assert middle["n"] == 3


def method(average: float | None, init_from: str | None = None) -> SourceOnly:
    seed_everything(0, verbose=False)
    return SourceOnly(backbone=Tiny(), task=Toy().task, average=average, init_from=init_from)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checkpoint of a network to start from."""
    path = tmp_path_factory.mktemp("start") / "start.ckpt"
    seed_everything(5, verbose=False)
    torch.save({"state_dict": SourceOnly(backbone=Tiny(), task=Toy().task).state_dict()}, path)
    return str(path)


def fitted(average: float | None, init_from: str | None, epochs: int = 2, **options: object) -> tuple[Trainer, SourceOnly]:
    """A run, which validates between its epochs."""
    run, made = trainer(epochs), method(average, init_from)
    run.fit(made, Toy(holdout=0.2), **options)  # type: ignore[arg-type]
    return run, made


def weights(made: tlda.Method) -> Weights:
    return {name: value.detach().clone() for name, value in made.network.state_dict().items()}


def same(found: Weights, expected: Weights) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in found.items())


def test_a_run_answers_by_the_average_and_its_checkpoint_holds_it(start: str, tmp_path: Path) -> None:
    theirs = {name.removeprefix("network."): value for name, value in torch.load(start)["state_dict"].items()}
    trained = weights(fitted(None, start)[1])
    assert not same(trained, theirs)
    assert same(weights(fitted(1.0, start)[1]), trained)  # validating by the average has not changed the training
    at_start = weights(fitted(0.0, start)[1])
    assert same({name: value for name, value in at_start.items() if value.is_floating_point()}, theirs)
    run, made = fitted(0.3, start)
    assert same(weights(made), interpolated(theirs, trained, 0.3))
    run.save_checkpoint(path := tmp_path / "average.ckpt")
    loaded = tlda.load(path)
    assert same(weights(loaded), weights(made))
    trainer().test(loaded, Toy(), verbose=False)
    assert same(weights(loaded), weights(made))


def test_a_run_that_goes_on_trains_the_network_and_not_the_average(start: str, tmp_path: Path) -> None:
    run, _ = fitted(0.3, start, epochs=1)
    run.save_checkpoint(path := tmp_path / "half.ckpt")
    _, resumed = fitted(0.3, None, ckpt_path=path, weights_only=True)
    assert same(weights(resumed), weights(fitted(0.3, start)[1]))


def test_a_head_that_starts_at_random_is_not_averaged() -> None:
    first, trained, found = weights(method(None)), weights(fitted(None, None)[1]), weights(fitted(0.3, None)[1])
    assert torch.equal(found["head.weight"], trained["head.weight"])
    assert not torch.equal(first["head.weight"], trained["head.weight"])
    name = "backbone.layers.1.weight"
    torch.testing.assert_close(found[name], 0.7 * first[name] + 0.3 * trained[name])
