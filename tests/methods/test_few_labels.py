"""A few labels of the target beside any method: who sees them, which rows they are, and that they teach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.helpers.folders import write_folders
from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.methods.test_contract import make
from tlda.batch import FewPair, FewSource, ImageTokens, Output, Pair, Sample, SourceBatch, Unlabelled, read_by
from tlda.data import Folders
from tlda.data.holding import list_at
from tlda.errors import UserError
from tlda.inputs import merged, of_source
from tlda.losses import MMD
from tlda.methods import DANN, MCC, MME, SourceOnly
from tlda.network import Head
from tlda.nn.cosine_head import CosineHead
from tlda.optim import SGD


def rows(first: int, count: int) -> Sample:
    numbers = torch.arange(first, first + count)
    return Sample(numbers.float().view(-1, 1, 1, 1).expand(-1, 1, 4, 4), numbers % CLASSES, numbers, torch.zeros(count, dtype=torch.long))


def test_the_labelled_rows_of_the_target_are_marked_among_those_of_the_source() -> None:
    target = Unlabelled(torch.zeros(4, 1, 4, 4), torch.arange(4))
    batch: Any = merged(FewPair(rows(0, 3), rows(10, 2), target))
    assert isinstance(batch, Pair)
    assert batch.source.row.tolist() == [0, 1, 2, 10, 11]
    assert batch.source.domain.tolist() == [0, 0, 0, -1, -1]
    assert batch.target is target
    assert isinstance(merged(FewSource(rows(0, 3), rows(10, 2))), SourceBatch)
    own, output = of_source(batch, Output(torch.arange(10.0).view(5, 2), torch.zeros(5, 3)))
    assert own[0].row.tolist() == [0, 1, 2]
    assert output.features.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


def with_tokens(batch: Sample) -> Sample:
    inputs: Any = ImageTokens(batch.x, batch.row[:, None])
    return batch._replace(x=inputs)


def test_inputs_of_several_parts_are_taken_apart_too() -> None:
    merged_rows = merged(FewSource(with_tokens(rows(0, 3)), with_tokens(rows(10, 2))))
    own, _ = of_source(merged_rows, Output(torch.zeros(5, 2), torch.zeros(5, 3)))
    assert own[0].x[1].tolist() == [[0], [1], [2]]


class Watched(MMD):
    """Counts the rows of each domain that a loss of both sees, which no labelled row of the target is among."""

    seen: tuple[int, int] = (0, 0)

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> torch.Tensor:
        self.seen = len(source.features), len(target.features)
        assert batch.source.domain.eq(0).all()
        return super().forward(batch, source, target, progress)


@pytest.mark.parametrize("method", [SourceOnly, DANN, MCC, MME])
def test_any_method_learns_a_few_labels_beside_the_source(method: type) -> None:
    made = make(method.__name__, few_labels=True, plus=[watched := Watched()])
    assert read_by(made) is FewPair
    trainer(1, limit_val_batches=0).fit(made, Toy(steps=2, shots=2, unlabelled_ratio=2))
    assert watched.seen == (16, 32)


def test_the_task_loss_is_that_of_all_labelled_rows() -> None:
    made = SourceOnly(backbone=Tiny(8, 0.0, batch_norm=False), task=CLASSES, few_labels=True)
    batch: Any = merged(FewSource(rows(0, 3), rows(10, 2)))
    found = made.objective(batch, *made.forward_pair(batch))
    assert found["task"].item() == pytest.approx(cross_entropy(made(batch.source.x).logits, batch.source.y).item())


def labels_move(few: bool) -> bool:
    """Whether the labels of the target's few rows move the weights."""
    states = []
    for turn in (0, 1):
        data = Toy(steps=2, shots=2, seed=0)
        labels: Any = data.loaded[1].train
        labels.labels = (labels.labels + turn) % CLASSES
        made = make("SourceOnly", few_labels=few or None, optimizer=SGD(0.1))
        trainer(1, limit_val_batches=0).fit(made, data)
        states.append(made.head.weight.detach().clone())
    return not torch.equal(*states)


def test_the_labels_teach_only_where_they_are_asked_for() -> None:
    assert labels_move(True)
    assert not labels_move(False)


def test_what_has_no_place_for_the_labels_says_so() -> None:
    for name, match in (("Oracle", "Oracle has no labels of the source"), ("ADDA", "ADDA has no labels of the source"), ("ATDOC", "")):
        with pytest.raises(UserError, match=match or "leave --model.few_labels out"):
            trainer(1).fit(make(name, few_labels=True), Toy(shots=1) if match else Toy(sources=1))
    with pytest.raises(UserError, match=r"nothing says which: give --data\.shots or --data\.labelled"):
        trainer(1).fit(make("DANN", few_labels=True), Toy())
    # Of 64 rows a class some are held out.
    with pytest.raises(
        UserError, match=r"--data\.shots is 64, and 'shifted' has 5\d rows of the class 'class 0' to train on: ask for fewer"
    ):
        trainer(1).fit(make("DANN", few_labels=True), Toy(shots=64))


def test_a_list_says_which_rows_have_labels_whatever_the_method(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "images")
    (listed := tmp_path / "list.txt").write_text("target/images/b/3.png 1\ntarget/images/a/0.png 0\ntarget/images/z/0.png 7\n")
    data = Folders(root=str(root), size=16, labelled=str(listed), batch_size=4)
    for seen in ("source", "oracle"):
        trainer_like: Any = type("Like", (), {"lightning_module": type("Method", (), {"batch_type": type("B", (), {"_fields": (seen,)})})})
        data.trainer = trainer_like
        data.setup("test")
        assert [data.describe_row(int(data.training_rows()["labelled"][torch.tensor([i])].row)).rsplit("/", 2)[1:] for i in (0, 1)] == [
            ["b", "3.png"],
            ["a", "0.png"],
        ]
        measured = data.evaluation_rows[1]
        assert len(measured) == (16 if seen == "source" else 2)
        others = measured[torch.arange(len(measured))].row.tolist()
        assert not {0, 9} & {*others}
    without = Folders(root=str(root), size=16)
    assert without.fingerprint() != data.fingerprint()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("other/images/a/0.png 0", "which is not of the target 'target'"),
        ("a/9.png 0", "of which the target 'target' has none"),
        ("z/0.png 0", "lists no image of a, b, c"),
        ("a/0.png 0\na/0.png 0", "lists an image twice"),
    ],
)
def test_a_list_that_is_wrong_is_one_sentence(tmp_path: Path, text: str, match: str) -> None:
    root = write_folders(tmp_path / "images")
    (tmp_path / "list.txt").write_text(text)
    data = Folders(root=str(root), size=16, labelled=str(tmp_path / "list.txt"))
    with pytest.raises(UserError, match=match):
        _ = data.labelled_rows


def test_mistakes_of_the_options_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no list nowhere"):
        list_at("nowhere.txt")
    with pytest.raises(UserError, match="leave one out"):
        Toy(shots=1, labelled="list.txt")
    with pytest.raises(UserError, match=r"--model\.head\.temperature is 0"):
        Head(temperature=0.0)


def test_the_head_of_cosines() -> None:
    made = SourceOnly(backbone=Tiny(), task=CLASSES, head=Head(temperature=0.1))
    assert isinstance(made.head, CosineHead)
    x, w = torch.randn(4, 8), made.head.weight
    torch.testing.assert_close(made.head(x), 10 * nn.functional.cosine_similarity(x[:, None], w, dim=2))
