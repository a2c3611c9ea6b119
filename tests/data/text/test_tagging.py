from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from seqeval.metrics import f1_score

from tests.helpers.toy import Tiny, trainer
from tlda.backbones import Text
from tlda.batch import Sample, TargetBatch
from tlda.data import Tagging
from tlda.errors import UserError, subclasses
from tlda.inputs import joined, split
from tlda.losses import DomainAdversarial
from tlda.method import Method
from tlda.methods import DANN, MCC, MCD, SourceOnly
from tlda.metrics.scores import SpanF1
from tlda.optim import Adam

NOUNS, VERBS = ("book", "film", "plot", "lens"), ("was", "is", "ran", "saw")


def conllu_line(number: int, word: str, tag: str) -> str:
    return "\t".join([str(number), word, word, tag, *["_"] * 6])


def write_conllu(root: Path, n: int = 12) -> Path:
    folder = root / "ewt"
    folder.mkdir(exist_ok=True)
    for part in ("dev", "test"):
        lines = []
        for genre in ("reviews", "email"):
            lines += [f"# newdoc id = {genre}-1"]
            for i in range(n):
                sentence = [("the", "DET"), (NOUNS[i % 4], "NOUN"), (VERBS[i % 3], "VERB"), *[("very", "ADV")] * (i % 3), (".", "PUNCT")]
                lines += ["# text = …", "1-2\tthebook" + "\t_" * 8, *(conllu_line(k, *pair) for k, pair in enumerate(sentence, 1)), ""]
        (folder / f"en-{part}.conllu").write_text("\n".join(lines))
    return folder


def write_entities(root: Path, n: int = 12) -> Path:
    folder = root / "ner"
    for domain, other in (("politics", "party"), ("science", "theory")):
        (folder / domain).mkdir(parents=True, exist_ok=True)
        text = ""
        for i in range(n):
            name, kind = (("bo", "person"), ("paris", "place"))[i % 2]
            text += f"the\tO\n{name}\tB-{kind}\nross\tI-{kind}\n{NOUNS[i % 4]}\tB-{other}\n\n"
        for part in ("train", "test"):
            (folder / domain / f"{part}.txt").write_text(text)
    return folder


def tagging(root: Path, model: str, **options: Any) -> Tagging:
    return Tagging(**{"root": str(write_conllu(root)), "tokenizer": model, "max_length": 32, "batch_size": 6, "seed": 0, **options})


def entities(root: Path, model: str, **options: Any) -> Tagging:
    own = {"source": "politics", "target": "science", "root": str(write_entities(root))}
    return Tagging(**{**own, "tokenizer": model, "max_length": 32, "batch_size": 6, "seed": 0, **options})


def test_each_word_is_a_row_with_its_tag(tmp_path: Path, model: str) -> None:
    data = tagging(tmp_path, model)
    train = data.load()[0].train
    sample = train[torch.tensor([2, 0])]
    assert [data.task.classes[c] for c in sample.y] == ["DET", "NOUN", "VERB", "ADV", "ADV", "PUNCT", "DET", "NOUN", "VERB", "PUNCT"]
    assert sample.x.shape == (2, 8, 2)
    assert (sample.x[..., 1] == 1).sum(1).tolist() == [6, 4]
    assert sample.row.tolist() == [*range(9, 15), *range(4)]
    features = Text(model).eval()(sample.x)
    assert features.shape == (10, 16)
    data.trainer = None
    assert data.describe_row(9).endswith(" the")


def test_a_word_of_several_tokens_is_one_row(tmp_path: Path, model: str) -> None:
    folder = write_conllu(tmp_path)
    lines = [conllu_line(1, "bookfilm", "NOUN"), conllu_line(2, "was", "VERB")]
    (folder / "en-dev.conllu").write_text("# newdoc id = reviews-1\n" + "\n".join(lines) + "\n\n# newdoc id = email-1\n" + "\n".join(lines))
    sample = Tagging(root=str(folder), tokenizer=model).load()[0].train[torch.tensor([0])]
    assert sample.x[0, :, 1].sum() == 2
    assert sample.x.shape[1] > 4 + 1
    assert len(sample.y) == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", [SourceOnly, DANN, MCC, MCD])
def test_methods_see_words_unchanged(tmp_path: Path, model: str, method: Any) -> None:
    torch.manual_seed(0)
    data = tagging(tmp_path, model, steps=10)
    made = method(backbone=Text(model), task=data.task, optimizer=Adam(5e-3))
    run = trainer(1)
    run.fit(made, data)
    found = {name: value for row in run.test(made, data, verbose=False) for name, value in row.items()}
    assert found["test/target/accuracy"] > 0.9
    assert "test/target/f1" not in found


def test_the_joint_forward_is_that_of_each_domain(tmp_path: Path, model: str) -> None:
    data = tagging(tmp_path, model)
    method = DANN(backbone=Text(model), task=data.task).eval()
    rows = data.load()[0].train
    inputs = [rows[torch.tensor(numbers)].x for numbers in ([0, 3], [2])]
    assert inputs[0].shape[1] < inputs[1].shape[1]
    for output, x in zip(split(method(joined(inputs)), inputs), inputs, strict=True):
        torch.testing.assert_close(output.features, method(x).features)
        assert len(output.logits) == int((x[..., 1] == 1).sum())
        assert method.task.arrange(output.logits, x) is output.logits
    DomainAdversarial(hidden=8).build(16, 17)


def test_the_target_is_the_source_or_no_part_of_it(tmp_path: Path, model: str) -> None:
    for names in ("email", "email+reviews"):
        source, target = tagging(tmp_path, model, source=names, target=names).load()
        assert len(source.train) == len(target.train)
    with pytest.raises(UserError, match=r"'email' is in --data.source and in --data.target, whose labels would be trained on"):
        tagging(tmp_path, model, source="reviews+email", target="email")


def test_what_trains_is_never_what_measures(tmp_path: Path, model: str) -> None:
    data = tagging(tmp_path, model)
    (tmp_path / "ewt" / "en-test.conllu").unlink()
    with pytest.raises(UserError, match=r"ewt has no \*test\*.conllu: put the file of its test sentences there"):
        data.load()
    (tmp_path / "ewt" / "en-dev.conllu").rename(tmp_path / "ewt" / "en-test.conllu")
    with pytest.raises(UserError, match=r"ewt has no \*train\*.conllu or \*dev\*.conllu: put the file of its train sentences there"):
        tagging_of(tmp_path / "ewt", model).load()


def test_entities_of_types_that_are_not_shared_are_no_entities(tmp_path: Path, model: str) -> None:
    data = entities(tmp_path, model)
    assert list(data.task.classes) == ["O", "B-person", "I-person", "B-place", "I-place"]
    assert data.load()[1].train[torch.tensor([1])].y.tolist() == [0, 3, 4, 0]
    assert list(entities(tmp_path, model, types=["place"]).task.classes) == ["O", "B-place", "I-place"]
    with pytest.raises(UserError, match=r"--data.types names 'plac', which is no type of both politics and science; did you mean 'place'"):
        entities(tmp_path, model, types=["plac"]).load()


@pytest.mark.slow
def test_entities_are_measured_as_spans(tmp_path: Path, model: str) -> None:
    torch.manual_seed(0)
    data = entities(tmp_path, model, steps=25)
    method, run = SourceOnly(backbone=Text(model), task=data.task, optimizer=Adam(5e-3)), trainer(1)
    run.fit(method, data)
    found = {name: value for row in run.test(method, data, verbose=False) for name, value in row.items()}
    assert found["test/target/f1"] > 0.9


def test_few_shots_are_sentences(tmp_path: Path, model: str) -> None:
    data = entities(tmp_path, model, shots=3)
    data.setup("fit")
    assert len(data.training_rows()["labelled"]) == 3


def test_span_f1_is_that_of_seqeval() -> None:
    tags = ["O", "B-a", "I-a", "B-b", "I-b"]
    generator = torch.Generator().manual_seed(0)
    metric, predicted, wanted = SpanF1(tags), list[Any](), list[Any]()
    for _ in range(30):
        sizes = torch.randint(1, 8, (4,), generator=generator)
        x = torch.full((4, 8, 2), -1)
        for row, size in enumerate(sizes):
            x[row, :size] = 1
        labels = torch.randint(5, (int(sizes.sum()),), generator=generator)
        guesses = torch.where(
            torch.rand(labels.shape, generator=generator) < 0.7, labels, torch.randint(5, labels.shape, generator=generator)
        )
        metric.update(torch.nn.functional.one_hot(guesses, 5).float(), Sample(x, labels, labels))
        for found, into in ((guesses, predicted), (labels, wanted)):
            into += [[tags[c] for c in part] for part in found.split(sizes.tolist())]
    assert metric.compute().item() == pytest.approx(f1_score(wanted, predicted), abs=1e-6)
    assert 0.2 < metric.compute() < 0.9


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("the\tO\nbo\tI-person\n", "train.txt, line 1, word 2, 'bo', has the tag 'I-person' after 'O': an entity begins with B-person"),
        ("\nthe\tO\nbo\tB-person\nross\tI-place\n", "line 2, word 3, 'ross', has the tag 'I-place' after 'B-person'"),
        ("the\tO\nbo\n", "train.txt, line 2, has not one word and one tag"),
        ("the\tO\nbo\tperson\n", "word 2, 'bo', has the tag 'person': BIO tags are O, B-TYPE and I-TYPE"),
    ],
)
def test_bad_tags_are_named(tmp_path: Path, model: str, text: str, sentence: str) -> None:
    data = entities(tmp_path, model)
    (tmp_path / "ner" / "politics" / "train.txt").write_text(text)
    with pytest.raises(UserError, match=sentence):
        data.load()


def test_bad_conllu_is_named(tmp_path: Path, model: str) -> None:
    data = tagging(tmp_path, model)
    path = tmp_path / "ewt" / "en-dev.conllu"
    good = path.read_text()
    path.write_text(good.replace("\tNOUN\t", "\tNOUNS\t", 1))
    with pytest.raises(UserError, match="word 2, 'book', has the tag 'NOUNS'; did you mean 'NOUN'"):
        data.load()
    path.write_text(good.replace("\tNOUN\t", "\t", 1))
    with pytest.raises(UserError, match=r"en-dev.conllu, line 5, has 9 fields: a line of CoNLL-U has 10"):
        tagging_of(path.parent, model).load()
    path.write_bytes(good.encode().replace(b"book", b"b\xe9ok", 1))
    with pytest.raises(UserError, match=r"en-dev.conllu, line 3, has the byte 0xe9, which is not UTF-8: save the file in UTF-8"):
        tagging_of(path.parent, model).load()
    path.write_text(good)
    with pytest.raises(UserError, match=r"there is no genre 'emails' in .*did you mean 'email'"):
        Tagging("reviews", "emails", str(path.parent), tokenizer=model).load()


def tagging_of(folder: Path, model: str) -> Tagging:
    return Tagging(root=str(folder), tokenizer=model)


METHODS = {name: cls for name, cls in subclasses(Method).items() if cls.__module__.startswith("tlda.methods")}


def encoder(model: str) -> Text:
    """The tiny encoder, with the BatchNorm that AdaBN asks for beside it."""
    made = Text(model)
    made.norm = torch.nn.BatchNorm1d(made.num_features)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_on_words_or_says_that_it_does_not(tmp_path: Path, model: str, name: str) -> None:
    cls, data, run = METHODS[name], tagging(tmp_path, model, steps=1, batch_size=5), trainer(1, limit_val_batches=0)
    losses = {"DeepJDOT"}  # whose loss pairs rows
    if cls.pairs_rows or name in losses:  # type: ignore[attr-defined]
        with pytest.raises(UserError, match="pairs the rows of two domains"):
            cls(backbone=encoder(model), task=data.task)
        return
    if getattr(cls, "several_sources", False):
        with pytest.raises(UserError, match=f"{name} tells source domains apart and needs two or more, and the data have one"):
            run.fit(cls(backbone=Tiny(), task=data.task), data)
        return
    if cls.takes in ("numbers", "images"):  # type: ignore[attr-defined]
        takes: str = cls.takes  # type: ignore[attr-defined]
        own = "MAE covers patches|DACS pastes the pixels|BoxTeacher learns|(Detector|DAFasterRCNN) finds boxes"
        says = f"{name} trains on {takes}, and the inputs of Tagging are tokens|{own}"
        with pytest.raises(UserError, match=says):
            run.fit(cls(backbone=Tiny(), task=data.task), data)
        return
    if name in ("Contrastive", "Distill"):
        with pytest.raises(UserError, match="learns from paired rows, and Tagging has none"):
            run.fit(cls(backbone=Tiny(), task=data.task), data)
        return
    if name in ("CoOp", "DAPL", "ImageText"):
        with pytest.raises(UserError, match="has no tower of texts"):
            cls(backbone=Tiny(), task=data.task)
        return
    backbone = encoder(model)
    if cls.setting == "few-shot":  # type: ignore[attr-defined]
        with pytest.raises(UserError, match=f"{name} learns from episodes, and the data ask for Words: use --data Episodes"):
            cls(backbone=backbone, task=data.task)
        return
    method = cls(backbone=backbone, task=data.task)
    if method.batch_type is TargetBatch:  # it goes on from a network of the source
        run.fit(SourceOnly(backbone=backbone, task=data.task), data)
        run.save_checkpoint(tmp_path / "source.ckpt")
        method = cls(backbone=encoder(model), task=data.task, init_from=str(tmp_path / "source.ckpt"))
    trainer(1, limit_val_batches=0).fit(method, data)
    assert all(value.isfinite().all() for value in method.state_dict().values())
