"""ATDOC's memory bank in a run: what it holds, that it is saved, loaded and resumed, and that several processes share one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor
from torch.nn.functional import normalize

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.config import build
from tlda.data import Domain
from tlda.data.rows import Subset
from tlda.errors import UserError
from tlda.methods import ATDOC
from tlda.optim import SGD

RECIPE = {"model": {"class_path": "ATDOC", "init_args": {"backbone": {"class_path": "tests.helpers.toy.Tiny"}, "neighbours": 3}}}


def make(**options: Any) -> ATDOC:
    seed_everything(0, verbose=False)
    return ATDOC(**{"backbone": Tiny(), "task": CLASSES, "neighbours": 3, **options})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[ATDOC, Path]:
    """A trained method, and its checkpoint."""
    method, run = make(), trainer(1)
    method.recipe = RECIPE
    run.fit(method, Toy())
    path = tmp_path_factory.mktemp("atdoc") / "a.ckpt"
    run.save_checkpoint(path)
    return method, path


def known(method: ATDOC) -> Tensor:
    return method.bank.predictions.any(1)


def same(first: ATDOC, second: ATDOC) -> bool:
    return all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def test_the_bank_has_a_row_per_target_row_and_knows_those_that_were_seen(saved: tuple[ATDOC, Path]) -> None:
    method, _ = saved
    assert len(method.bank) == 192
    assert known(method).sum() == 6 * 16
    assert torch.equal(known(method), method.bank.features.any(1))


def test_it_holds_what_the_network_says_in_evaluation_mode() -> None:
    method, data = make(backbone=Tiny(batch_norm=False), optimizer=SGD(lr=0.0)), Toy()
    trainer(1).fit(method, data)
    assert method.training
    rows = known(method).nonzero()[:, 0]
    target = data.prepare(data.training_rows()["target"][rows])
    features = normalize(method.eval()(target.x).features.detach())
    torch.testing.assert_close(method.bank.features[rows].float(), features, rtol=1e-2, atol=1e-3)


def test_the_term_grows_with_progress_and_reaches_the_target_alone() -> None:
    method, data = make(trade_off=0.5), Toy()
    trainer(1).fit(method, data)
    rows = torch.arange(16)
    batch = method.batch_type(*(data.prepare(data.training_rows()[name][rows]) for name in ("source", "target")))
    before, terms = copy.deepcopy(method.bank.state_dict()), {}
    for progress in (0.0, 0.5, 1.0):
        method.progress = progress
        method.bank.load_state_dict(before)
        source, target = method.eval().forward_pair(batch)
        terms[progress] = method.objective(batch, source, target)["neighbourhood"]
    gradients = torch.autograd.grad(terms[1.0], (source.logits, target.logits), materialize_grads=True)
    assert terms[0.0].item() == 0.0
    torch.testing.assert_close(terms[1.0], 2.0 * terms[0.5])
    assert [bool(gradient.any()) for gradient in gradients] == [False, True]


def test_a_checkpoint_loads_without_a_fit(saved: tuple[ATDOC, Path]) -> None:
    method, path = saved
    assert same(method, build.load(path))  # type: ignore[arg-type]
    fresh = make()
    assert trainer().predict(fresh, Toy(), ckpt_path=path, weights_only=True)
    assert same(method, fresh)


def test_a_run_resumes_only_on_as_many_target_rows(saved: tuple[ATDOC, Path]) -> None:
    with pytest.raises(UserError, match="the checkpoint remembers 192 target rows, and the target has 150"):
        trainer(2).fit(make(), Toy(n=150), ckpt_path=saved[1], weights_only=True)


def test_fine_tuning_starts_with_an_empty_bank(saved: tuple[ATDOC, Path]) -> None:
    method = make(init_from=str(saved[1]), optimizer=SGD(lr=0.0))
    trainer(1).fit(method, Toy(seed=1))
    assert torch.equal(method.state_dict()["network.head.weight"], saved[0].state_dict()["network.head.weight"])
    assert not torch.equal(known(method), known(saved[0]))
    assert known(method).sum() == 6 * 16


class Part(Toy):
    """The target is the last half of a larger data set, whose numbers its rows keep."""

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        return source, Domain(target.name, Subset(target.train, torch.arange(self.n // 2, self.n)))


def test_a_subset_keeps_the_numbers_of_the_whole() -> None:
    method = make()
    trainer(1).fit(method, Part(steps=6, batch_size=16))
    assert known(method).nonzero()[:, 0].tolist() == list(range(96, 192))


def test_all_processes_write_the_rows_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    method, data = make(), Toy()
    trainer(1).fit(method, data)
    target = data.prepare(data.training_rows()["target"][torch.arange(8)])
    other = (torch.arange(8, 16), *(part.detach() for part in method.eval()(target.x)))
    monkeypatch.setattr(method, "all_gather", lambda mine: tuple(map(torch.stack, zip(mine, other, strict=True))))
    method.bank.clear(20)
    method.remember(target)
    assert known(method).tolist() == 16 * [True] + 4 * [False]
    torch.testing.assert_close(method.bank.predictions.sum(0), torch.ones(CLASSES))  # balanced over both batches together


def test_without_a_datamodule_it_says_what_it_needs() -> None:
    data = Toy()
    data.setup("fit")
    with pytest.raises(UserError, match="fit it on a DomainPair"):
        trainer(1).fit(make(), data.train_dataloader())
