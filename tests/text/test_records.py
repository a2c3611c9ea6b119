from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tlda.data import Records
from tlda.errors import UserError

ROWS = [("good book", "pos"), ('a "bad", plot', "neg"), ("fine\nfilm", "pos"), ("awful lens", "neg")]


def write_csv(path: Path, rows: list[tuple[str, ...]], header: str = "review,stars") -> str:
    quoted = [",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' for field in row) for row in rows]
    path.write_text("\n".join([header, *quoted]) + "\n")
    return str(path)


def records(tmp_path: Path, model: str, **options: Any) -> Records:
    files = {"source": write_csv(tmp_path / "shop.csv", ROWS), "target": write_csv(tmp_path / "mails.csv", ROWS[::-1])}
    return Records(**{**files, "text": "review", "label": "stars", "tokenizer": model, "max_length": 16, **options})


def test_columns_are_named(tmp_path: Path, model: str) -> None:
    data = records(tmp_path, model)
    source, target = data.load()
    assert data.class_names == ["neg", "pos"]
    assert source.train.labels.tolist() == [1, 0, 1, 0]
    assert target.train.labels.tolist() == [0, 1, 0, 1]
    assert (data.describe_row(3), data.task) == ("good book", "shop_to_mails")
    assert torch.equal(source.train[torch.tensor([2])].x, target.train[torch.tensor([1])].x)


@pytest.mark.parametrize("kind", ["jsonl", "tsv", "dataset"])
def test_every_layout_gives_the_same(tmp_path: Path, model: str, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"review": text, "stars": label}) + "\n" for text, label in ROWS))
    elif kind == "tsv":
        lines = ["\t".join([f'"{text.replace(chr(34), chr(34) * 2)}"', label]) for text, label in ROWS]
        path.write_text("\n".join(["review\tstars", *lines]))
    else:
        import datasets

        columns = {"review": [text for text, _ in ROWS], "stars": [int(label == "pos") for _, label in ROWS]}
        features = datasets.Features({"review": datasets.Value("string"), "stars": datasets.ClassLabel(names=["neg", "pos"])})
        datasets.Dataset.from_dict(columns, features).save_to_disk(str(path))
    assert records(tmp_path, model, target=str(path)).load()[1].train.digest == records(tmp_path, model).load()[0].train.digest  # type: ignore[attr-defined]


def test_one_file_with_a_column_of_domains(tmp_path: Path, model: str) -> None:
    rows = [(*row, domain) for domain in ("shop", "mail") for row in ROWS[: 4 if domain == "shop" else 3]]
    path = write_csv(tmp_path / "all.csv", rows, "review,stars,origin")
    source, target = records(tmp_path, model, source="shop", target="mail", file=path, domain="origin").load()
    assert (len(source.train), len(target.train)) == (4, 3)
    with pytest.raises(UserError, match=r"has no row whose origin is 'mails'; did you mean 'mail'"):
        records(tmp_path, model, source="shop", target="mails", file=path, domain="origin").load()
    with pytest.raises(UserError, match=r"--data.file and --data.domain belong together"):
        records(tmp_path, model, file=path)


def test_a_target_without_labels_is_not_measured(tmp_path: Path, model: str) -> None:
    bare = write_csv(tmp_path / "bare.csv", [(text,) for text, _ in ROWS], "review")
    data = records(tmp_path, model, target=bare)
    data.setup("fit")
    assert not data.loaded[1].labelled
    assert len(data.test_dataloader()) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("reviews,stars\na,pos\n", r"shop.csv, line 2, has no column 'review'; did you mean 'reviews'"),
        ("review,stars\na,pos\n  ,neg\n", r"shop.csv, line 3, has an empty text"),
        ("review,stars\na,pos\nb,\n", r"shop.csv, line 3, has no label, and the source needs one"),
        ("review,stars\na,pos\nb,c,neg\n", r"shop.csv, line 3, has not as many fields as the header, 2: put quotes around commas"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, model: str, text: str, sentence: str) -> None:
    data = records(tmp_path, model)
    (tmp_path / "shop.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        data.setup("fit")


def test_bytes_and_files_that_cannot_be_read(tmp_path: Path, model: str) -> None:
    data = records(tmp_path, model)
    (tmp_path / "shop.csv").write_bytes(b"review,stars\ngood,pos\nb\xe9d,neg\n")
    with pytest.raises(UserError, match=r"shop.csv, line 3, has the byte 0xe9, which is not UTF-8: save the file in UTF-8"):
        data.setup("fit")
    with pytest.raises(UserError, match=r"cannot read .*shops.csv .*; did you mean 'shop.csv'"):
        records(tmp_path, model, source=str(tmp_path / "shops.csv")).load()
    with pytest.raises(UserError, match=r"mails.txt is no file of rows: name a .csv"):
        records(tmp_path, model, target=str(tmp_path / "mails.txt")).load()
    (tmp_path / "bad.jsonl").write_text('{"review": "a", "stars": 1}\n{"review"\n')
    with pytest.raises(UserError, match=r"bad.jsonl, line 2, is not JSON"):
        records(tmp_path, model, target=str(tmp_path / "bad.jsonl")).load()
    (tmp_path / "mails.csv").write_text("review,stars\na,posi\n")
    data = records(tmp_path, model)
    (tmp_path / "mails.csv").write_text("review,stars\na,posi\n")
    with pytest.raises(UserError, match=r"mails.csv, line 2, has the label 'posi', which the source has not; did you mean 'pos'"):
        data.load()
