from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.toy import trainer
from tlda.backbones import Text
from tlda.data import Features, Records
from tlda.errors import Note, UserError
from tlda.methods import SourceOnly

ROWS = [("good book", "pos"), ('a "bad", plot', "neg"), ("fine\nfilm", "pos"), ("awful lens", "neg")]


def write_csv(path: Path, rows: Sequence[tuple[str, ...]], header: str = "review,stars") -> str:
    quoted = [",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' for field in row) for row in rows]
    path.write_text("\n".join([header, *quoted]) + "\n")
    return str(path)


def records(tmp_path: Path, model: str, **options: Any) -> Records:
    files = {"source": write_csv(tmp_path / "shop.csv", ROWS), "target": write_csv(tmp_path / "mails.csv", ROWS[::-1])}
    return Records(**{**files, "text": "review", "label": "stars", "tokenizer": model, "max_length": 16, **options})


def test_columns_are_named(tmp_path: Path, model: str) -> None:
    data = records(tmp_path, model)
    source, target = data.load()
    assert list(data.task.classes) == ["neg", "pos"]
    assert source.train.labels.tolist() == [1, 0, 1, 0]
    assert target.train.labels.tolist() == [0, 1, 0, 1]
    assert (data.describe_row(3), data.transfer) == ("3", "shop_to_mails")
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
        ("review,stars,stars\na,pos,neg\n", r"shop.csv, line 1, names the column 'stars' twice: name each once"),
        (
            "review,stars\na,pos\nb,c,neg\n",
            r"shop.csv, line 3, has not as many fields as the header, 2, with a comma between two: put",
        ),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, model: str, text: str, sentence: str) -> None:
    data = records(tmp_path, model)
    (tmp_path / "shop.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        data.setup("fit")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"review": "a", "stars": [0, 1]}', r"line 2, has \[0, 1\] as its 'stars', and a label is one name"),
        ('{"review": "a", "stars": {"pos": 1}}', r"line 2, has \{'pos': 1\} as its 'stars'"),
        ('{"review": ["a", "b"], "stars": "pos"}', r"line 2, has \['a', 'b'\] as its 'review', which is no text"),
        ('{"review": null, "stars": "pos"}', r"line 2, has an empty text"),
        ('{"review": "a", "stars": NaN}', r"line 2, has no label, and the source needs one"),
        ("[" * 100_000, r"line 2, is not JSON"),
    ],
)
def test_bad_lines_of_json_are_named(tmp_path: Path, model: str, line: str, sentence: str) -> None:
    (tmp_path / "x.jsonl").write_text('{"review": 7, "stars": "neg"}\n' + line)
    with pytest.raises(UserError, match=rf"x.jsonl, {sentence}"):
        records(tmp_path, model, source=str(tmp_path / "x.jsonl")).setup("fit")


def test_a_long_text_is_read_and_a_quote_that_nothing_closes_is_named(tmp_path: Path, model: str) -> None:
    data = records(tmp_path, model)
    write_csv(tmp_path / "shop.csv", [("book " * 30_000, "pos"), ("bad", "neg")])
    assert len(data.records[0]["train"][0].text) == 149_999
    data = records(tmp_path, model)
    (tmp_path / "shop.csv").write_text("review,stars\nfine,pos\n" + 'bad,"neg\n' + "good,pos\n" * 1_200_000)
    with pytest.raises(
        UserError, match=r"shop.csv, line 3, cannot be read \(field larger than field limit \(10000000\)\): close its quote"
    ):
        data.load()


def test_a_class_of_minus_one_is_no_label(tmp_path: Path, model: str) -> None:
    import datasets

    features = datasets.Features({"review": datasets.Value("string"), "stars": datasets.ClassLabel(names=["neg", "pos"])})
    datasets.Dataset.from_dict({"review": ["good", "bad"], "stars": [-1, -1]}, features).save_to_disk(str(tmp_path / "bare"))
    assert not records(tmp_path, model, target=str(tmp_path / "bare")).load()[1].labelled


def test_bytes_and_files_that_cannot_be_read(tmp_path: Path, model: str) -> None:
    data = records(tmp_path, model)
    (tmp_path / "shop.csv").write_bytes(b"review,stars\ngood,pos\nb\xe9d,neg\n")
    with pytest.raises(UserError, match=r"shop.csv, line 3, has the byte 0xe9, which is not utf-8: name the file's --data.encoding"):
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


def test_test_rows_with_labels_are_tested_beside_training_rows_without(tmp_path: Path, model: str) -> None:
    bare = write_csv(tmp_path / "bare.csv", [(text,) for text, _ in ROWS], "review")
    data = records(tmp_path, model, target=bare, target_test=write_csv(tmp_path / "held.csv", ROWS[:2]))
    data.setup("fit")
    assert len(data.test_dataloader()) == 2


def test_the_tokenizer_is_that_of_the_encoder(tmp_path: Path, model: str) -> None:
    def fit(tokenizer: Path) -> None:
        trainer(1).fit(SourceOnly(backbone=Text(model), task=2), records(tmp_path, str(tokenizer), batch_size=2, seed=0))

    same, other = (Path(shutil.copytree(model, tmp_path / name)) for name in ("same", "other"))
    fit(same)
    vocabulary = json.loads((other / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    words["good"], words["bad"] = words["bad"], words["good"]
    (other / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(UserError, match=r"tokens of '.*other', and the encoder '.*tiny' .* --data.tokenizer and --model.backbone.name"):
        fit(other)
    with pytest.raises(UserError, match=r"tokens of '.*other'"):
        Features(records(tmp_path, str(other)), partial(Text, model)).load()


def test_the_separator_is_found_or_given_and_the_encoding_is_given(tmp_path: Path, model: str) -> None:
    same = records(tmp_path, model).load()[0].train.digest  # type: ignore[attr-defined]
    path = tmp_path / "excel.csv"
    for separator, encoding in ((";", "utf-8-sig"), ("|", "latin-1"), ("\t", "utf-16")):
        rows = [separator.join(f'"{field.replace(chr(34), chr(34) * 2)}"' for field in row) for row in (("review", "stars"), *ROWS)]
        path.write_text("\n".join(rows), encoding=encoding)
        for given in (None, separator):
            data = records(tmp_path, model, source=str(path), target=str(path), separator=given, encoding=encoding)
            assert [list(record) for record in data.records[0]["train"]] == [
                [text.strip(), label, record.place, str(number)]
                for number, ((text, label), record) in enumerate(zip(ROWS, data.records[0]["train"], strict=True))
            ]
            assert data.load()[0].train.digest == same  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"--data.separator is ';;': it is one character"):
        records(tmp_path, model, separator=";;")
    with pytest.raises(UserError, match=r"--data.encoding is 'utf8000', which is no encoding"):
        records(tmp_path, model, encoding="utf8000").load()
    path.write_text("review;stars\ngood; very;pos\n")
    with pytest.raises(UserError, match=r"line 2, has not as many fields as the header, 2, with ';' between two"):
        records(tmp_path, model, source=str(path)).load()


def test_rows_that_cannot_be_read_are_left_out_where_that_is_asked_for(tmp_path: Path, model: str) -> None:
    path = tmp_path / "rough.csv"
    path.write_bytes(b"review,stars\ngood book,pos\n ,neg\na,b,c\ncaf\xe9,neg\nawful lens,neg\n")
    with pytest.raises(UserError, match=r"rough.csv, line 5, has the byte 0xe9"):
        records(tmp_path, model, source=str(path)).load()
    with pytest.warns(Note, match=r"3 of the 5 rows of .*rough.csv cannot be read.*: .*line 3, has an empty text"):
        found = records(tmp_path, model, source=str(path), on_error="skip").records[0]["train"]
    assert [(record.text, record.label, record.key) for record in found] == [("good book", "pos", "0"), ("awful lens", "neg", "4")]
    lines = tmp_path / "rough.jsonl"
    lines.write_text('{"review": "good", "stars": "pos"}\n{"review"\n{"text": "x"}\n[1]\n')
    with pytest.warns(Note, match=r"3 of the 4 rows of .*rough.jsonl"):
        assert len(records(tmp_path, model, source=str(lines), on_error="skip").records[0]["train"]) == 1
    with pytest.raises(UserError, match=r"rough.csv, line 2, has no column 'revew'; did you mean 'review'"):
        records(tmp_path, model, source=str(path), text="revew", on_error="skip").load()


def test_a_column_names_the_rows_of_predictions(tmp_path: Path, model: str) -> None:
    path = write_csv(tmp_path / "new.csv", [("good book", "r7"), ("awful lens", "r9")], "review,id")
    data = records(tmp_path, model, target=path, id="id")
    assert [data.describe_row(row) for row in range(2)] == ["r7", "r9"]
    assert list(data.read_new(path, None).names) == ["r7", "r9"]
    assert list(records(tmp_path, model).read_new(path, None).names) == ["0", "1"]
    with pytest.raises(UserError, match="has no column 'ids'"):
        records(tmp_path, model, id="ids").read_new(path, None)
