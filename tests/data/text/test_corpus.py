"""Plain text as rows of tokens: every token is predicted once, its bytes are counted, and what cannot be read is said."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.tiny_causal import SIZE, tiny_causal, write_corpora
from tests.helpers.tiny_text import tiny_model
from tests.helpers.toy import trainer
from tlda.backbones import LanguageModel
from tlda.backbones.text import load_tokenizer
from tlda.data import Corpus
from tlda.data.text.corpus import packed
from tlda.data.text.documents import Document, documents
from tlda.errors import UserError
from tlda.finetuning import Gradual, LastBlocks, LinearProbe, LoRA
from tlda.inputs import END
from tlda.losses import L2SP
from tlda.methods import DANN, FineTune, SourceOnly
from tlda.optim import Adam
from tlda.training.predictions import Predictions


def corpus(folder: Path, **options: Any) -> Corpus:
    source, target = write_corpora(folder)
    return Corpus(source, target, **{"tokenizer": tiny_causal(), "max_length": 16, "batch_size": 4, "steps": 4, **options})


def test_each_token_but_the_first_is_predicted_once(tmp_path: Path) -> None:
    data = corpus(tmp_path, holdout=0.5)
    domain = data.loaded[1]
    assert domain.test is not None
    samples = [part[torch.arange(len(part))] for part in (domain.train, domain.test)]
    text = torch.tensor([*load_tokenizer(tiny_causal()).encode((tmp_path / "new.txt").read_text()).ids, 256])
    rows, y = (torch.cat(parts) for parts in zip(*((s.row, s.y) for s in samples), strict=True))
    assert rows.tolist() == list(range(1, len(text)))
    assert y.tolist() == text[1:].tolist()
    x = samples[0].x
    assert x[1, :, 0].tolist() == text[16:32].tolist()
    assert (x[..., 1] == 1).all()
    last = samples[1].x[-1]
    assert (last[:, 1] == 1).all()  # the last label is the separator


def test_the_bytes_of_the_tokens_are_those_of_the_text() -> None:
    text = "Ein Bär, 日本!\nand more"
    for model in (tiny_causal(), tiny_model()):
        found = packed([Document(text, ""), Document("two", "")], model)
        assert int(found["sizes"].sum()) == len(text.encode()) + 3
        assert found["ends"].sum() == 2
        assert found["ends"][-1]
    assert packed([Document(text, "")], tiny_causal())["sizes"][-1] == 0  # the separator


def test_documents_apart_neither_see_nor_predict_one_another(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": "ab" * n}) + "\n" for n in (2, 3, 9, 20)))
    data = Corpus(str(tmp_path / "a.jsonl"), str(tmp_path / "a.jsonl"), tokenizer=tiny_causal(), max_length=8, apart=True)
    x = data.loaded[0].train[torch.tensor([0])].x[0]
    assert x[:, 1].tolist() == [1, 1, 1, 1, END, 1, 1, 1]
    assert x[4, 0] == 256
    assert len(data.loaded[0].train[torch.tensor([0])].y) == 7


def tiny(**options: Any) -> Any:
    return {"backbone": LanguageModel(tiny_causal()), "optimizer": Adam(lr=0.01), **options}


def perplexities(method: Any, data: Corpus, steps: int = 1) -> tuple[float, float]:
    run = trainer(steps, limit_val_batches=0)
    run.fit(method, data)
    metrics = {name: value for row in run.test(method, data, verbose=False) for name, value in row.items()}
    assert {"test/source/bits_per_byte", "test/target/bits_per_byte"} <= metrics.keys()
    return metrics["test/source/perplexity"], metrics["test/target/perplexity"]


def test_fine_tuning_learns_the_new_text_and_forgets_the_old(tmp_path: Path) -> None:
    data = corpus(tmp_path)
    fast = {"task": data.task, "optimizer": Adam(lr=0.03)}
    old, new = perplexities(SourceOnly(**tiny(**fast)), data, 10)
    assert old < 0.5 * new
    after_old, after_new = perplexities(FineTune(**tiny(**fast), pretrain=0.0), data, 10)
    assert after_new < 0.5 * new
    assert after_old > old


@pytest.mark.parametrize(
    "options",
    [
        {"tuning": LoRA(rank=2)},
        {"tuning": LastBlocks(1)},
        {"tuning": Gradual()},
        {"plus": [L2SP(0.01)]},
    ],
    ids=["lora", "last", "gradual", "l2_sp"],
)
def test_each_way_of_fine_tuning_runs(options: dict[str, Any], tmp_path: Path) -> None:
    data = corpus(tmp_path)
    method = FineTune(**tiny(task=data.task, **options), pretrain=0.0)
    before = {name: value.clone() for name, value in method.network.named_parameters()}
    perplexities(method, data, 1)
    moved = {name for name, value in method.network.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    if "tuning" in options:
        assert not any("embed" in name for name in moved) or isinstance(options["tuning"], Gradual)
        assert isinstance(options["tuning"], LoRA) is all("lora" in name for name in moved)


def test_alignment_runs_unchanged_on_tokens(tmp_path: Path) -> None:
    data = corpus(tmp_path)
    assert perplexities(DANN(**tiny(task=data.task)), data, 1)[0] > 1


def test_predict_continues_the_rows_and_the_lines_of_a_file(tmp_path: Path) -> None:
    data = corpus(tmp_path, continuation=3)
    method, run = (
        FineTune(**tiny(task=data.task), pretrain=0.0),
        trainer(1, limit_val_batches=0, callbacks=[Predictions(tmp_path / "out.csv")]),
    )
    run.fit(method, data)
    run.predict(method, data)
    rows = list(csv.DictReader((tmp_path / "out.csv").open(newline="")))
    assert len(rows) == len(data.loaded[1].test or [])
    assert rows[0]["file"].endswith("new.txt, token 544")
    assert rows[0]["text"] == (tmp_path / "new.txt").read_text()[544:560]
    (tmp_path / "lines.txt").write_text("ZION\n\nand a line that is longer than sixteen\n")
    with pytest.warns(UserWarning, match="1 of 2 texts of .* have more than 16 tokens: the ends are continued"):
        new = data.read_new(str(tmp_path / "lines.txt"), None)
    assert [name.rpartition(", ")[2] for name in new.names] == ["line 1", "line 3"]
    assert load_tokenizer(tiny_causal()).decode(new.rows[torch.tensor([1])].x[0].tolist()) == "ger than sixteen"


def test_readers(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "inner").mkdir(parents=True)
    (folder / "b.md").write_text("second")
    (folder / "a.txt").write_text("first")
    (folder / "inner" / "c.txt").write_text("third")
    assert [document.text for document in documents(str(folder), "text")] == ["first", "second", "third"]
    squad = {"data": [{"paragraphs": [{"context": "one", "qas": []}, {"context": "two", "qas": []}]}]}
    (tmp_path / "squad.json").write_text(json.dumps(squad))
    assert [document.text for document in documents(str(tmp_path / "squad.json"), "text")] == ["one", "two"]
    with sqlite3.connect(tmp_path / "verses.db") as base:
        base.execute('CREATE TABLE "the verses" (number INT, passage TEXT)')
        base.executemany('INSERT INTO "the verses" VALUES (?, ?)', [(1, "In the beginning"), (2, None), (3, "And the earth")])
    assert [document.text for document in documents(str(tmp_path / "verses.db"), "passage")] == ["In the beginning\nAnd the earth"]
    (tmp_path / "books.task.train").write_text("1\tgood\n0\tbad\n")
    assert [document.text for document in documents(str(tmp_path / "books.task.train"), "text")] == ["good", "bad"]
    with pytest.raises(UserError, match=r"has no column 'passsage'; did you mean 'passage'\?$"):
        documents(str(tmp_path / "verses.db"), "passsage")


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "line.txt").write_text("one line\n")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "bad.db").write_text("no database, though it is long enough to be one" * 30)
    source = write_corpora(tmp_path)[0]

    def load(name: str, **options: Any) -> object:
        return Corpus(source, name, **{"tokenizer": tiny_causal(), "max_length": 16, **options}).loaded

    for name, told in {
        str(
            tmp_path / "line.txt"
        ): r"has 10 tokens, too few for a row of 16 to train on and one to measure: give more text, or a lower --data.max_length$",
        str(tmp_path / "empty.txt"): r"there is no text in .*empty.txt: look at the file$",
        str(tmp_path / "lime.txt"): r"cannot read .*lime.txt .*did you mean 'line.txt'\?$",
        str(tmp_path / "bad.json"): r"is not in SQuAD's JSON",
        str(tmp_path / "bad.db"): r"cannot be read as SQLite",
        "package:no-such-text": r"the package 'no-such-text' is not installed: pip install no-such-text$",
        "package:pytest": r"has \d+ files of text, not one",
    }.items():
        with pytest.raises(UserError, match=told) as error:
            load(name)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"--data.measured is 0: it is a number of rows, 1 or more"):
        load(source, measured=0)
    data = corpus(tmp_path)
    with pytest.raises(UserError, match="FineTune nothing to train"):
        perplexities(FineTune(**tiny(task=data.task, tuning=LinearProbe()), pretrain=0.0), data)
    with pytest.raises(UserError, match="was trained on others: name one model for both"):
        perplexities(FineTune(**tiny(task=data.task), pretrain=0.0), corpus(tmp_path, tokenizer=tiny_model()))


def test_one_measures_some_of_the_rows_at_equal_distances(tmp_path: Path) -> None:
    data = corpus(tmp_path, holdout=0.5, measured=3)
    assert [int(rows.kept[0]) for rows in (data.loaded[0].train, data.loaded[0].test)] == [0, 19]  # type: ignore[union-attr]
    assert data.loaded[0].test.kept.tolist() == [19, 25, 31]  # type: ignore[union-attr]
    assert data.transfer == "old_to_new"
    assert data.task.size == SIZE  # type: ignore[attr-defined]
