from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

import tlda.data.text.tokens as tokens
from tests.helpers.tiny_text import review
from tests.helpers.toy import trainer
from tlda.backbones import Text
from tlda.batch import PAD, Pair
from tlda.data import Buckets, Reviews, Steps
from tlda.errors import UserError
from tlda.inputs import joined
from tlda.methods import DANN, SHOT, SourceOnly
from tlda.optim import Adam


def reviews(model: str, **options: Any) -> Reviews:
    return Reviews(**{"source": "books", "target": "dvd", "tokenizer": model, "max_length": 16, "batch_size": 8, **options})


def test_texts_are_read_with_their_labels_and_padded_to_the_longest(root: Path, model: str) -> None:
    data = reviews(model)
    source, target = data.load()
    assert list(data.task.classes) == ["0", "1"]
    assert (len(source.train), len(source.test or []), len(target.train), len(target.test or [])) == (24, 12, 24, 12)
    assert target.unlabelled is not None
    assert target.unlabelled.labels.tolist() == [-1] * 12
    sample = source.train[torch.tensor([4, 1])]
    ids = tokens.load_tokenizer(model)  # type: ignore[attr-defined]
    wanted = [ids.encode(review("books", bool(i % 2), i)).ids for i in (4, 1)]
    assert sample.x.tolist() == [wanted[0], wanted[1] + [PAD] * (len(wanted[0]) - len(wanted[1]))]
    assert (sample.y.tolist(), sample.row.tolist()) == ([0, 1], [4, 1])
    assert data.describe_row(1) == "1"


def test_the_target_trains_on_its_unlabelled_rows_too_and_an_oracle_does_not(root: Path, model: str) -> None:
    data = reviews(model)
    data.setup("fit")
    rows = data.training_rows()
    assert (len(rows["target"]), len(rows["oracle"]), len(rows["source"])) == (36, 24, 24)
    last, first = rows["target"][torch.tensor([35, 0])], rows["target"][torch.tensor([0])]
    assert last.x[1, : first.x.shape[1]].tolist() == first.x[0].tolist()
    assert len(reviews(model, unlabelled=False).load()[1].without_labels) == 24
    assert data.fingerprint() != reviews(model, unlabelled=False).fingerprint()


def test_domains_can_be_joined(root: Path, model: str) -> None:
    data = reviews(model, source="books+kitchen")
    assert len(data.load()[0].train) == 48
    with pytest.raises(UserError, match=r"no reviews of 'dvds'.*did you mean 'dvd'"):
        reviews(model, target="dvds").load()


def test_a_target_among_the_sources_is_refused(model: str) -> None:
    with pytest.raises(UserError, match=r"'dvd' is in --data.source and in --data.target"):
        reviews(model, source="books+dvd")
    with pytest.raises(UserError, match=r"--data.source names 'books' twice"):
        reviews(model, source="books+books")


def test_tokens_are_made_once(root: Path, model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "cache"))
    first = reviews(model).load()[0].train[torch.arange(24)].x
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "_encode", None)  # to call it would fail
        start = time.perf_counter()
        assert torch.equal(reviews(model).load()[0].train[torch.arange(24)].x, first)
        assert time.perf_counter() - start < 2
    path = root / "fdu_mtl" / "books.task.train"
    path.write_text(path.read_text().replace("very good", "very fine"))
    changed = reviews(model).load()[0].train[torch.arange(24)].x
    assert not torch.equal(changed, first)
    path.write_text(path.read_text().replace("\tvery", "\tvery a a a a a"))
    with pytest.warns(UserWarning, match="24 of 24 texts .* more than 8 tokens"):
        assert reviews(model, max_length=8).load()[0].train.lengths.max() == 8  # type: ignore[attr-defined]


def test_a_text_over_the_limit_is_cut_counted_and_said(root: Path, model: str) -> None:
    (root / "fdu_mtl" / "books.task.train").write_text(f"0\tbad {'a ' * 50}\n1\tgood\n")
    with pytest.warns(
        UserWarning, match=r"1 of 2 texts of 'train' .*books.task.train.* more than 16 tokens and are cut: see --data.max_length"
    ):
        source = reviews(model).load()[0].train
    assert source.lengths.tolist() == [16, 3]  # type: ignore[attr-defined]
    assert source[torch.tensor([0])].x[0, -1] == 3  # its end is still marked


def test_bytes_that_are_not_utf_8_are_counted(root: Path, model: str) -> None:
    (root / "fdu_mtl" / "books.task.train").write_bytes(b"0\tbad\n1\tgo\xe9od\n")
    with pytest.warns(UserWarning, match="books.task.train has 1 places that are not UTF-8, the first in line 2"):
        reviews(model).load()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0\tbad\n1\n", "train, line 2, has no tab"),
        ("0\tbad\n1\t  \n", "train, line 2, has an empty text: fill it, or leave the row out"),
        ("0\tbad\n\tgood\n", "train, line 2, has no label, and the source needs one"),
        ("", "there are no texts in 'train'|only one class"),
    ],
)
def test_bad_lines_are_named(root: Path, model: str, text: str, sentence: str) -> None:
    (root / "fdu_mtl" / "books.task.train").write_text(text)
    with pytest.raises(UserError, match=sentence):
        reviews(model).setup("fit")


def test_a_label_that_the_source_has_not_is_named(root: Path, model: str) -> None:
    (root / "fdu_mtl" / "dvd.task.test").write_text("0\tbad\n2\tgood\n")
    with pytest.raises(UserError, match="test, line 2, has the label '2', which the source has not; known: 0, 1"):
        reviews(model).load()


# Batches


def test_buckets_hold_the_rows_of_steps_in_batches_of_like_lengths() -> None:
    lengths = torch.randint(1, 200, (300,), generator=torch.Generator().manual_seed(0))
    plain, buckets = Steps(300, 10, 60, seed=3), Buckets(lengths, 10, 60, seed=3)
    for sampler in (plain, buckets):
        sampler.set_epoch(2)
    assert torch.equal(plain.order().flatten().sort().values, buckets.order().flatten().sort().values)
    assert torch.equal(buckets.order(), buckets.order())
    width, ideal = (torch.stack([lengths[rows].max() for rows in sampler]).sum() for sampler in (plain, buckets))
    assert ideal < 0.7 * width
    assert all(len(set(rows.tolist())) == 10 for rows in buckets)
    first = torch.stack([lengths[rows].max() for rows in buckets])
    assert not torch.equal(first, first.sort().values)  # the short ones do not come first


def test_two_processes_take_the_batches_of_one() -> None:
    lengths = torch.randint(1, 200, (100,), generator=torch.Generator().manual_seed(0))
    whole = list(Buckets(lengths, 10, 5, seed=1))
    parts = [list(Buckets(lengths, 5, 5, seed=1, rank=rank, world_size=2)) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert batch.tolist() == torch.cat(shares).tolist()


def test_short_texts_of_one_domain_meet_short_ones_of_the_other(root: Path, model: str) -> None:
    data = reviews(model, steps=4, batch_size=4)
    data.setup("fit")
    for batch, _, _ in data.train_dataloader():
        assert isinstance(batch, Pair)
        assert joined([batch.source.x, batch.target.x]).shape[1] <= min(batch.source.x.shape[1], batch.target.x.shape[1]) + 1


# Methods


@pytest.mark.slow
@pytest.mark.parametrize("method", [SourceOnly, DANN])
def test_methods_train_on_texts_unchanged(root: Path, model: str, method: Any) -> None:
    torch.manual_seed(0)
    data = reviews(model, steps=30, seed=0)
    made = method(backbone=Text(model), task=2, optimizer=Adam(5e-3))
    run = trainer(2)
    run.fit(made, data)
    found = {name: value for row in run.test(made, data, verbose=False) for name, value in row.items()}
    assert found["test/target/accuracy"] > 0.9
    assert found["test/target/macro_f1"] > 0.9


@pytest.mark.slow
def test_source_free_adaptation_of_texts(root: Path, model: str, tmp_path: Path) -> None:
    data = reviews(model, steps=4, seed=0)
    run = trainer(1)
    run.fit(SourceOnly(backbone=Text(model), task=2), data)
    run.save_checkpoint(tmp_path / "source.ckpt")
    shot = SHOT(backbone=Text(model), task=2, init_from=str(tmp_path / "source.ckpt"))
    trainer(1).fit(shot, reviews(model, steps=2, seed=0))
    assert len(shot.pseudo_labels) == 36
