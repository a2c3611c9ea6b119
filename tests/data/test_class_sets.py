"""Sets of classes: whose rows take part, under every kind of data, and that training cannot know which rows are unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor

from tests.helpers.folders import write_folders
from tests.helpers.toy import Tiny, blobs, trainer
from tlda.config.protocol import class_sets, decisive, digest, protocol, without_nulls
from tlda.data import Datasets, Digits, Domain, DomainPair, Features, Folders, Images, Relabelled, Tabular
from tlda.errors import UserError
from tlda.methods import DANN, Oracle, SourceOnly
from tlda.tasks import Classification, OpenSet, Task

DRAWN: dict[str, Any] = {"batch_size": 4, "steps": 2, "seed": 0}


class Letters(DomainPair):
    """Twelve rows a domain of the classes a, b, c and d in turn; a row's input is its number."""

    def __init__(self, order: Tensor | None = None, classes: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.order, self.classes = order, classes

    @property
    def task(self) -> Task:
        return self.classification(["a", "b", "c", "d"], shared=self.classes)

    def load(self) -> tuple[Domain, Domain]:
        labels = torch.arange(12) % 4
        images = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1).expand(12, 1, 4, 4).contiguous()
        return Domain("s", Images(images, labels)), Domain("t", Images(images, labels if self.order is None else labels[self.order]))


def rows(data: DomainPair) -> list[list[tuple[int, int]]]:
    """The number and the label of each training row of both domains."""
    found = [domain.train[torch.arange(len(domain.train))] for domain in data.loaded]
    return [list(zip(sample.row.tolist(), sample.y.tolist(), strict=True)) for sample in found]


def test_each_domain_has_the_rows_of_its_classes_and_unknown_is_one_label_more() -> None:
    data = Letters(source_private=["a"], target_private=["c"])  # b and d are shared
    assert isinstance(data.task, OpenSet)
    assert list(data.task.classes) == ["b", "d", "a", "unknown"]
    source, target = rows(data)
    assert source == [(0, 2), (1, 0), (3, 1), (4, 2), (5, 0), (7, 1), (8, 2), (9, 0), (11, 1)]
    assert target == [(1, 0), (2, 3), (3, 1), (5, 0), (6, 3), (7, 1), (9, 0), (10, 3), (11, 1)]
    assert data.loaded[1].train.labels.tolist() == [label for _, label in target]


def test_partial_adaptation_is_a_classification_of_the_sources_classes() -> None:
    data = Letters(source_private=["d", "b"])
    assert type(data.task) is Classification
    assert list(data.task.classes) == ["a", "c", "d", "b"]
    source, target = rows(data)
    assert len(source) == 12
    assert target == [(0, 0), (2, 1), (4, 0), (6, 1), (8, 0), (10, 1)]
    # Of the classes that are named, no more.
    assert [len(part) for part in rows(Letters(classes=["c"], source_private=["d"]))] == [6, 3]


def test_missing_labels_of_the_target_stay_and_stay_missing() -> None:
    class Some(Letters):
        def load(self) -> tuple[Domain, Domain]:
            source, target = super().load()
            target.train.labels[3] = -1
            return source, Domain("t", target.train, labelled=False)

    assert (3, -1) in rows(Some(target_private=["a"]))[1]


def test_without_private_classes_nothing_changes() -> None:
    data = Letters()
    assert data.loaded is data.as_read
    assert type(data.task) is Classification


SWAP = torch.tensor([2, 1, 0, 3, 6, 5, 4, 7, 8, 9, 10, 11])
"""Some rows of a are of c, and the reverse."""


@pytest.mark.parametrize("method", [SourceOnly, DANN])
def test_training_does_not_know_which_rows_are_unknown(method: type) -> None:
    weights = []
    for order in (None, SWAP):
        seed_everything(0, verbose=False)
        data = Letters(order, source_private=["d"], target_private=["c"], shots=1, **DRAWN)
        learner = method(backbone=Tiny(), task=data.task)
        run = trainer(1, limit_val_batches=0)
        run.fit(learner, data)
        assert data.training_rows()["target"][torch.arange(6)]._fields == ("x", "row", "domain")
        weights.append(learner.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    first, second = (Letters(order, source_private=["d"], target_private=["c"]) for order in (None, SWAP))
    assert [row for row, _ in rows(first)[1]] == [row for row, _ in rows(second)[1]]
    assert rows(first)[1] != rows(second)[1]


def test_what_sees_labels_learns_the_classes_of_the_source_and_is_measured_on_all() -> None:
    data = Letters(target_private=["c"], holdout=0.5, **{**DRAWN, "seed": 1})
    learner = Oracle(backbone=Tiny(), task=data.task)
    run = trainer(1)
    run.fit(learner, data)
    assert {"oracle/target/h_score", "val/source/accuracy", "val/target/entropy"} <= run.callback_metrics.keys()
    found = {name: value for part in run.test(learner, data, verbose=False) for name, value in part.items()}
    names = {"test/target/h_score", "test/target/os_star", "test/target/unk", "test/target/os", "test/target/unknown_auroc"}
    assert names | {"test/target/accuracy", "test/source/accuracy"} <= found.keys()
    matrix = learner.measures.matrix()
    assert matrix is not None
    assert len(matrix) == 4


def test_folders_take_the_classes_by_name(tmp_path: Path) -> None:
    root = str(write_folders(tmp_path, source="abcx", target="abcy", count=2))
    open_set = Folders(root, size=4, classes=["a", "b"], source_private=["c"], target_private=["y"])
    assert list(open_set.task.classes) == ["a", "b", "c", "unknown"]
    assert [len(part) for part in rows(open_set)] == [6, 6]
    open_set.setup("test")
    assert Path(open_set.describe_row(rows(open_set)[1][-1][0])).parent.name == "y"
    assert list(Folders(root, size=4, source_private=["x"], target_private=["y"]).task.classes) == ["a", "b", "c", "x", "unknown"]
    with pytest.raises(UserError, match=r"differ: only 'target' has y; give --data\.classes \[a,b,c\], or .*--data\.target_private"):
        _ = Folders(root, size=4, source_private=["x"]).task
    with pytest.raises(UserError, match=r"'target' has no class 'x', which --data\.target_private names"):
        _ = Folders(root, size=4, classes=["a", "b"], target_private=["x"]).task


def test_features_are_computed_for_all_rows_and_scaled_by_those_that_take_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path))

    def net() -> Tiny:
        torch.manual_seed(0)
        return Tiny(dropout=0.0).eval()

    whole = Features(Letters(), net)
    part = Features(Letters(source_private=["a"], target_private=["c"]), net, standardise="source")
    assert [label for _, label in rows(part)[1]] == [label for _, label in rows(part.data)[1]]
    x, every = part.loaded[0].train[torch.arange(9)].x, whole.loaded[0].train[torch.arange(12)].x
    kept = every[[row for row, _ in rows(part)[0]]]
    torch.testing.assert_close(x, (kept - kept.mean(0)) / torch.where(kept.std(0, correction=0) > 1e-6, kept.std(0, correction=0), 1.0))
    with pytest.raises(UserError, match=r"--data\.data\.source_private"):
        Features(Letters(), net, source_private=["a"])


def test_digits_datasets_and_tables_take_them_too() -> None:
    digits = Digits("handwritten", "fonts", classes=[3, 1], source_private=[7], target_private=[0, 2])
    assert list(digits.task.classes) == ["3", "1", "7", "unknown"]
    assert list(Digits("handwritten", "fonts", source_private=[9]).task.classes) == [*map(str, range(9)), "9"]

    class Pictures(torch.utils.data.Dataset[Any]):
        images, targets = blobs(12, 0.0, 0)
        classes = ("a", "b", "c")

        def __len__(self) -> int:
            return 12

        def __getitem__(self, row: int) -> Any:
            return self.images[row], int(self.targets[row])

    data = Datasets(Pictures(), Pictures(), target_private=["b"])
    assert list(data.task.classes) == ["a", "c", "unknown"]
    assert [len(part) for part in rows(data)] == [8, 12]
    with pytest.raises(UserError, match="source_private or target_private"):
        Datasets(Pictures(), Pictures(), classes=["a"])
    frames = [pd.DataFrame({"age": range(6), "label": list(labels)}) for labels in ("kkllmm", "kkllzz")]
    table = Tabular.of_frames(*frames, source_private=["m"], target_private=["z"])
    assert list(table.task.classes) == ["k", "l", "m", "unknown"]
    assert [[label for _, label in part] for part in rows(table)] == [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 3, 3]]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"source_private": ["a"], "target_private": ["a"]},
            r"--data\.target_private names the class 'a', which --data\.source_private",
        ),
        ({"classes": ["a", "b"], "target_private": ["b"]}, r"target_private names the class 'b', which --data\.classes has too"),
        ({"target_private": ["bb"]}, r"--data\.target_private names the class 'bb', which the data have not; did you mean 'b'\?"),
        ({"source_private": ["a", "a"]}, r"--data\.source_private names 'a' twice"),
        ({"classes": ["a"], "target_private": ["b"]}, r"only the class"),
    ],
)
def test_sets_that_do_not_fit_are_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _ = Letters(**options).task


def test_other_mistakes_are_one_sentence_too() -> None:
    class Bare(Letters):
        @property
        def task(self) -> Task:
            return Classification(["a", "b", "c", "d"])

    class Lacking(Letters):
        def load(self) -> tuple[Domain, Domain]:
            source, target = super().load()
            target.train.labels[target.train.labels == 3] = 0
            return source, target

    with pytest.raises(UserError, match="declares no classes to choose from"):
        _ = Bare(target_private=["a"]).loaded
    with pytest.raises(UserError, match="'t' has no row of the class 'd'"):
        _ = Lacking(target_private=["d"]).loaded
    with pytest.raises(UserError, match=r"--data\.rejection entropy .* --data\.target_private"):
        Letters(rejection="entropy")
    with pytest.raises(UserError, match="leave target_private out"):
        Relabelled(Letters(target_private=["a"]), tasks={"half": {"x": ["b"], "y": ["c"]}})


def test_the_protocol_states_the_sets_and_keys_stay_where_there_are_none() -> None:
    def config(**options: Any) -> dict[str, Any]:
        inner = {"class_path": "tlda.data.Folders", "init_args": {"source": "a", "target": "b", **options}}
        return {"model": {}, "data": {"class_path": "tlda.data.Features", "init_args": {"data": inner}}, "trainer": {}}

    sets = {"classes": ["x", "y"], "source_private": ["z"], "target_private": None}
    assert class_sets(protocol(config(**sets))) == {"label_set": "partial", "classes": ["x", "y"], "source_private": ["z"]}
    assert protocol(config(**{**sets, "target_private": ["w"]}))["data.label_set"] == "universal"
    assert protocol(config(target_private=["w"]))["data.label_set"] == "open"
    assert class_sets(protocol(config(classes=["x"]))) == {}
    off = dict.fromkeys(("source_private", "target_private", "rejection"))
    assert digest(without_nulls(decisive(config(**off)))) == digest(without_nulls(decisive(config())))
