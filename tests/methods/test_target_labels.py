"""No unsupervised method is moved by the target's training labels, on any kind of data; the oracle is."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor

from tests.data.text.test_questions import squad
from tests.data.text.test_tagging import conllu_line
from tests.helpers.boxed import Cells
from tests.helpers.masked import Scenes, TinyDense
from tests.helpers.tiny_text import tiny_model
from tests.helpers.toy import CLASSES, Sentences, Tiny, Toy, trainer
from tests.methods.test_contract import VARIANTS
from tests.methods.test_learning import TRANSLATION
from tlda.backbones import MLP, Backbone, Precomputed, Text
from tlda.batch import SourceBatch, TargetBatch
from tlda.data import Domain, DomainPair, Features, Images, Questions, Tabular, Tagging
from tlda.data.text.tokens import Texts
from tlda.errors import UserError
from tlda.method import Method

pytest.importorskip("transformers")
ROWS = 24
DRAWN: dict[str, Any] = {"batch_size": 8, "steps": 2, "seed": 0}
SUPERVISED = ("Oracle", "FineTune")
OWN: dict[str, dict[str, Any]] = {
    "BoxTeacher": {"pretrain": 0.0},
    "CycleGAN": TRANSLATION,
    "CyCADA": TRANSLATION,
    "FineTune": {"pretrain": 0.0},
}
"""Generators as small as the toy, and the target from the first step."""
EPISODIC = {"ANIL", "CosineClassifier", "MAML", "NearestCentroid", "ProtoNet", "Reptile"}
"""They learn from episodes, whose labels are their own."""
EACH_WAY = ("SourceOnly", "DANN", "MCC", "MCD", "ATDOC", "FixMatch", "SHOT", "MLM", *SUPERVISED)
"""One for each way to read the target: in pairs, alone, by its rows, in views. All methods are tried on images, those that
tell sources apart on several; these on other data."""
DENSE = ("AdvEnt", "DACS")
"""Those that look at maps."""
SEVERAL = tuple(name for name, (cls, _) in VARIANTS.items() if getattr(cls, "several_sources", False))


class Kind(NamedTuple):
    """A kind of data: its maker, from a folder and whether target labels are permuted; its network; which methods do not train on it."""

    data: Callable[[Path, bool], DomainPair]
    backbone: Callable[[], Backbone]
    refused: set[str]


def turned(labels: list[Any], permuted: bool) -> list[Any]:
    """The labels, each a row further where they are permuted."""
    return labels[1:] + labels[:1] if permuted else labels


class ToldToy(Toy):
    """The toy with a target whose labels may be permuted."""

    permuted = False

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        rows: Any = target.train
        labels = torch.tensor(turned(rows.labels.tolist(), self.permuted))
        return source, Domain(target.name, Images(rows.images, labels))


class ToldSentences(Sentences):
    """The toy of texts with a target whose labels may be permuted."""

    permuted = False

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        rows: Any = target.train
        labels = torch.tensor(turned(rows.labels.tolist(), self.permuted))
        return source, Domain(target.name, Texts(rows.tokens, rows.ends, labels))


def images(folder: Path, permuted: bool) -> DomainPair:
    data = ToldToy(ROWS, **DRAWN)
    data.permuted = permuted
    return data


class ToldScenes(Scenes):
    """The toy of images with masks with a target whose masks may be permuted."""

    permuted = False

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        rows: Any = target.train
        rows.parts = rows.parts[0], rows.parts[1].roll(int(self.permuted), 0)
        return source, target


def masks(folder: Path, permuted: bool) -> DomainPair:
    data = ToldScenes(ROWS, 2, seed=0)
    data.permuted = permuted
    return data


class ToldCells(Cells):
    """The toy of images with boxes with a target whose boxes may be permuted."""

    permuted = False

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        rows: Any = target.train
        rows.boxes = rows.boxes.roll(int(self.permuted), 0)
        return source, target


def boxes(folder: Path, permuted: bool) -> DomainPair:
    data = ToldCells(ROWS, 2, seed=0)
    data.permuted = permuted
    return data


def domains(folder: Path, permuted: bool) -> DomainPair:
    data = ToldToy(ROWS, sources=2, balanced="domains", **DRAWN)
    data.permuted = permuted
    return data


def texts(folder: Path, permuted: bool) -> DomainPair:
    data = ToldSentences(ROWS, **DRAWN)
    data.permuted = permuted
    return data


def words(folder: Path, permuted: bool) -> DomainPair:
    for part in ("dev", "test"):
        lines: list[str] = []
        for genre in ("reviews", "email"):
            sentences = [["the", "book", "was", *["very"] * (i % 3), "."] for i in range(ROWS)]
            tags = [tag for sentence in sentences for tag in ["DET", "NOUN", "VERB", *["ADV"] * (len(sentence) - 4), "PUNCT"]]
            tags = turned(tags, permuted and genre == "email" and part == "dev")
            lines += [f"# newdoc id = {genre}-1"]
            for sentence in sentences:
                lines += [*(conllu_line(k, word, tags.pop(0)) for k, word in enumerate(sentence, 1)), ""]
        (folder / f"en-{part}.conllu").write_text("\n".join(lines))
    return Tagging(root=str(folder), tokenizer=tiny_model(), max_length=32, **DRAWN)


def spans(folder: Path, permuted: bool) -> DomainPair:
    """Questions some of whose answers are cut off; permuted, those of others are."""
    for name in ("source", "target"):
        content = squad(ROWS)
        for number, article in enumerate(content["data"]):
            context = f"{'klmnopqr'[number % 8]} a b c d e f g h book was bad ."
            word = "bad" if (number + (permuted and name == "target")) % 3 == 0 else "book"
            article["paragraphs"][0]["context"] = context
            article["paragraphs"][0]["qas"][0]["answers"] = [{"text": word, "answer_start": context.index(word)}]
        (folder / f"{name}.json").write_text(json.dumps(content))
    return Questions(str(folder / "source.json"), str(folder / "target.json"), 18, tokenizer=tiny_model(), **DRAWN)


def features(folder: Path, permuted: bool) -> DomainPair:
    return Features(images(folder, permuted), functools.partial(extractor), standardise="each", **DRAWN)


def extractor() -> Backbone:
    torch.manual_seed(3)
    return Tiny(8, 0.0)


def tabular(folder: Path, permuted: bool) -> DomainPair:
    numbers = torch.randn(2, ROWS, 2, generator=torch.Generator().manual_seed(0))
    frames = [pd.DataFrame({"age": x[:, 0], "dose": x[:, 1], "label": [i % CLASSES for i in range(ROWS)]}) for x in numbers]
    frames[1]["label"] = turned(frames[1]["label"].tolist(), permuted)
    return Tabular.of_frames(*frames, label="label", **DRAWN)


@functools.cache
def read_encoder() -> Text:
    return Text(tiny_model())


def encoder() -> Backbone:
    return copy.deepcopy(read_encoder())


KINDS = {
    "images": Kind(
        images,
        Tiny,
        {
            "CoOp",
            "Contrastive",
            "DAPL",
            "Distill",
            "ImageText",
            "MLM",
            "MAE",
            "MixStyle",
            "DACS",
            "BoxTeacher",
            "Detector",
            "DAFasterRCNN",
            *EPISODIC,
        },
    ),
    "masks": Kind(masks, TinyDense, {"ATDOC", "FixMatch", "MLM"}),
    "boxes": Kind(boxes, TinyDense, {"ATDOC", "FixMatch", "MCC", "MCD", "MLM", "SHOT"}),
    "domains": Kind(domains, Tiny, {"MLM"}),
    "texts": Kind(texts, encoder, {"FixMatch"}),
    "words": Kind(words, encoder, {"ATDOC", "FixMatch"}),
    "spans": Kind(spans, encoder, {"ATDOC", "FixMatch", "MCC", "MCD", "SHOT"}),
    "features": Kind(features, lambda: Precomputed(8), {"FixMatch", "MCD", "MLM", "SHOT"}),
    "tabular": Kind(tabular, lambda: MLP(2, (8,), batch_norm=True), {"FixMatch", "MLM"}),
}


class Outcome(NamedTuple):
    """The weights, the label-free measures and the answers on the target that a run came to."""

    weights: dict[str, Tensor]
    measures: dict[str, Tensor]
    answers: Tensor

    def differs(self, other: Outcome) -> list[str]:
        """The names of what is not bit-equal in both."""
        assert self.weights.keys() == other.weights.keys()
        assert self.measures.keys() == other.measures.keys()
        unequal = [name for name, value in self.weights.items() if not torch.equal(value, other.weights[name])]
        unequal += [name for name, value in self.measures.items() if not torch.equal(value.nan_to_num(), other.measures[name].nan_to_num())]
        return unequal + ["answers"] * (not torch.equal(self.answers, other.answers))


def outcome(name: str, kind: Kind, data: DomainPair, source: str) -> Outcome:
    """That of two steps of a method, and of a validation; what never sees the source starts from the checkpoint ``source``."""
    cls, own = VARIANTS[name]
    seed_everything(0, verbose=False)
    options = {**copy.deepcopy(OWN.get(name, {})), **own}
    method: Method = cls(backbone=kind.backbone(), task=data.task, **options)
    if method.batch_type is TargetBatch:
        method = cls(backbone=kind.backbone(), task=data.task, init_from=source, **options)
    run = trainer(1)
    run.fit(method, data)
    if method.batch_type is SourceBatch:
        run.save_checkpoint(source)
    rows = data.evaluation_rows[1]
    x = data.prepare(rows[torch.arange(min(len(rows), 6))]).x
    free = {name: value for name, value in run.callback_metrics.items() if name.startswith(("val/target/", "train/"))}
    return Outcome(method.state_dict(), free, method.eval().answer(x, "target").logits.detach())


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_target_labels_move_no_unsupervised_method_and_move_the_oracle(name: str, tmp_path: Path) -> None:
    kind, trained = KINDS[name], []
    pairs = []
    for permuted in (False, True):
        (folder := tmp_path / str(permuted)).mkdir()
        pairs.append(kind.data(folder, permuted))
    tried = {
        "images": {*VARIANTS} - {*SEVERAL},
        "domains": {*SEVERAL, *EACH_WAY},
        "masks": {*DENSE, *EACH_WAY},
        "boxes": {"BoxTeacher", *EACH_WAY},
    }.get(name, {*EACH_WAY})
    for method in sorted(tried, key=lambda method: (method != "SourceOnly", method)):
        try:
            first, second = (outcome(method, kind, data, str(tmp_path / "source.ckpt")) for data in pairs)
        except UserError:
            continue  # it does not train on these data, and says so
        differs = first.differs(second)
        assert bool(differs) is (method in SUPERVISED), f"{method} on {name}: {differs}"
        trained.append(method)
    assert tried - {*trained} == kind.refused
