from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.text.test_reviews import reviews
from tests.data.text.test_tagging import tagging
from tests.helpers.toy import Tiny, Toy, trainer
from tlda.backbones import Text
from tlda.batch import PAD
from tlda.errors import UserError
from tlda.methods import MLM, SourceOnly
from tlda.optim import Adam
from tlda.tasks.masked_tokens import Masking


def made(model: str, **options: Any) -> MLM:
    torch.manual_seed(0)
    return MLM(backbone=Text(model), task=2, optimizer=Adam(5e-3), **options)


def test_the_share_of_the_tokens_is_masked_as_in_bert(model: str) -> None:
    masking = Masking(Text(model), 0.2)
    ids = torch.full((200, 50), 9)
    ids[:, 0], ids[:, 40], ids[:, 41:] = 2, 3, PAD
    torch.manual_seed(0)
    masked, told = masking(ids)
    assert not told[:, 0].any()
    assert not told[:, 40:].any()
    assert told[:, 1:40].float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert (masked[told] == masking.mask).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert (masked[told] == 9).float().mean().item() == pytest.approx(0.1, abs=0.03)
    assert torch.equal(masked[~told], ids[~told])


@pytest.mark.slow
def test_it_learns_the_texts_of_the_target(root: Path, model: str) -> None:
    method, data = made(model, share=0.3), reviews(model, steps=20, seed=0)
    run = trainer(4)
    before = run.validate(method, data, verbose=False)
    run.fit(method, data)
    after = run.validate(method, data, verbose=False)
    values = [{name: value for row in rows for name, value in row.items()} for rows in (before, after)]
    assert set(values[0]) == {"val/source/masked", "val/target/masked"}
    assert values[1]["val/target/masked"] < 0.6 * values[0]["val/target/masked"]


@pytest.mark.parametrize("source", [True, False])
def test_its_checkpoint_starts_any_other(root: Path, model: str, tmp_path: Path, source: bool) -> None:
    method, run = made(model, source=source), trainer(1)
    run.fit(method, reviews(model, steps=2, seed=0))
    run.save_checkpoint(tmp_path / "mlm.ckpt")
    other = SourceOnly(backbone=Text(model), task=17, bottleneck=8, init_from=str(tmp_path / "mlm.ckpt"))
    head = other.head.weight.clone()
    trainer(1).validate(other, tagging(tmp_path, model), verbose=False)
    for key, value in method.backbone.state_dict().items():
        assert torch.equal(value, other.backbone.state_dict()[key]), key
    assert torch.equal(other.head.weight, head)


def test_what_has_no_words_is_refused(root: Path, model: str) -> None:
    with pytest.raises(UserError, match="needs the backbone Text, and this is Tiny"):
        MLM(backbone=Tiny(), task=3)
    with pytest.raises(UserError, match="MLM trains on tokens, and the inputs of Toy are \\(1, 4, 4\\)"):
        trainer(1).fit(MLM(backbone=Text(model), task=3), Toy())
    with pytest.raises(UserError, match=r"--model\.share is 1\.5"):
        made(model, share=1.5)
