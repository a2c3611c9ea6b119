"""Tables of numbers and categories: what a file is read as, what it becomes, and the sentence about each that is malformed."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import seed_everything
from sklearn.metrics import roc_auc_score

from tests.helpers.toy import trainer
from tlda.backbones import MLP
from tlda.data import Tabular
from tlda.data.rows import domains_of
from tlda.data.tabular import Sheet, encode, joined, read_sheet, sheet_of_frame
from tlda.data.tabular.encoding import Encoding, canonical, number, sort_names
from tlda.errors import UserError
from tlda.methods import DAN
from tlda.optim import Adam

SOURCE = """age,colour,dose,code,label
20,red,1.5,1,no
30,blue,?,2,yes
40,red,2.5,1.0,no
50,green,NA,2,yes
"""
TARGET = """label,code,age,dose,colour,more
yes,3,60,2.5,violet,1
,1,,1.5,red,2
no,2,20,,,3
"""


def write(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def sheet(text: str) -> Sheet:
    header, *rows = (line.split(",") for line in text.strip().splitlines())
    return Sheet("a.csv", {name: [row[i] for row in rows] for i, name in enumerate(header)}, range(2, len(rows) + 2))


def pair_of(folder: Path, **options: Any) -> Tabular:
    source, target = write(folder, SOURCE, "shop.csv"), write(folder, TARGET, "mail.csv")
    return Tabular(str(source), str(target), **{"categories": ["code"], "holdout": 0.5, **options})


# Reading


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path, SOURCE.replace(",", separator))
    assert read_sheet(path).columns == read_sheet(write(tmp_path, SOURCE, "b.csv")).columns


def test_a_field_is_read_without_its_quotes_and_space_and_a_row_knows_its_line(tmp_path: Path) -> None:
    read = read_sheet(write(tmp_path, '\ufeffa, b\r\n1,"x, y"\r\n\r\n2,"two\nlines"\r\n3, z \r\n'))
    assert read.columns == {"a": ["1", "2", "3"], "b": ["x, y", "two\nlines", "z"]}
    assert list(read.lines) == [2, 4, 6]


def test_an_encoding_is_an_option(tmp_path: Path) -> None:
    path = write(tmp_path, "größe,label\n1,a\n2,b\n", encoding="latin-1")
    assert list(read_sheet(path, encoding="latin-1").columns) == ["größe", "label"]
    with pytest.raises(UserError, match=r"line 1, has the byte 0xf6, which is not utf-8: name the file's --data\.encoding"):
        read_sheet(path)
    with pytest.raises(UserError, match=r"--data\.encoding is 'latin', which is no encoding|latin"):
        read_sheet(path, encoding="lattin")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no rows"),
        ("a,b\n", "has no rows"),
        ("a,b\n1,2\n1,2,3\n", "line 3, has 3 fields, and the header has 2"),
        ("a,b\n1\n", "line 2, has 1 fields, and the header has 2"),
        ("a,,b\n1,2,3\n", "a column without a name"),
        ("a,b,a\n1,2,3\n", "'a' twice"),
        ('a,b\n1,"2\n3,4\n', "line 2, cannot be read .*close its quote"),
    ],
)
def test_a_malformed_file_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read_sheet(write(tmp_path, text))


def test_a_missing_file_has_its_near_name(tmp_path: Path) -> None:
    write(tmp_path, SOURCE)
    with pytest.raises(UserError, match=r"did you mean 'table\.csv'"):
        read_sheet(tmp_path / "tabel.csv")


def test_a_frame_is_read_as_its_file_is(tmp_path: Path) -> None:
    path = write(tmp_path, SOURCE)
    frame = pd.read_csv(path)
    encoded = [encode(table, table, Encoding(categories=["code"]), "label") for table in (read_sheet(path), sheet_of_frame(frame, "a"))]
    assert encoded[0].names == encoded[1].names
    np.testing.assert_array_equal(encoded[0].source, encoded[1].source)
    frame["flag"] = pd.Categorical(["x", None, "y", "x"])
    assert sheet_of_frame(frame, "a").columns["flag"] == ["x", "", "y", "x"]


def test_without_pandas_csv_is_read_and_parquet_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] in ("pandas", "pyarrow"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert len(read_sheet(write(tmp_path, SOURCE))) == 4
    with pytest.raises(UserError, match=r"needs pandas and pyarrow, which is not installed: pip install 'tlda\[tabular\]'"):
        read_sheet(write(tmp_path, "", "a.parquet"))


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.read_csv(write(tmp_path, SOURCE))
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_sheet(tmp_path / "a.parquet").columns == sheet_of_frame(frame, "a").columns
    with pytest.raises(UserError, match="it is damaged, or no Parquet"):
        read_sheet(write(tmp_path, "no", "b.parquet"))


# Encoding


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1.5", ".", 1.5),
        (".7", ".", 0.7),
        ("1,5", ",", 1.5),
        ("1e3", ".", 1000.0),
        ("1_0", ".", None),
        ("inf", ".", None),
        ("1,5", ".", None),
    ],
)
def test_what_is_a_number(text: str, decimal: str, value: float | None) -> None:
    assert number(text, decimal) == value


def test_equal_numbers_have_one_name_and_names_have_an_order() -> None:
    assert [canonical(text) for text in ("4.0", "4", "a4", "0.30")] == ["4", "4", "a4", "0.3"]
    assert sort_names({"10", "9", "b", "a"}) == ["9", "10", "a", "b"]


def test_columns_become_the_numbers_that_are_worked_out_by_hand() -> None:
    encoded = encode(sheet(SOURCE), sheet(TARGET), Encoding(categories=["code"], standardise="none"), "label")
    names = ["age", "age is missing", "colour=blue", "colour=green", "colour=red", "dose", "dose is missing", "code=1", "code=2"]
    assert encoded.names == names
    # The medians of the source fill: 35 of the ages, 2 of the doses. Violet, no colour and code 3 are zero in all columns of their kind.
    source = [
        [20, 0, 0, 0, 1, 1.5, 0, 1, 0],
        [30, 0, 1, 0, 0, 2.0, 1, 0, 1],
        [40, 0, 0, 0, 1, 2.5, 0, 1, 0],
        [50, 0, 0, 1, 0, 2.0, 1, 0, 1],
    ]
    target = [[60, 0, 0, 0, 0, 2.5, 0, 0, 0], [35, 1, 0, 0, 1, 1.5, 0, 1, 0], [20, 0, 0, 0, 0, 2.0, 1, 0, 1]]
    np.testing.assert_array_equal(encoded.source, np.array(source, dtype=np.float32))
    np.testing.assert_array_equal(encoded.target, np.array(target, dtype=np.float32))


@pytest.mark.parametrize("standardise", ["source", "each"])
def test_numbers_are_standardised_by_the_source_or_by_each_domain(standardise: Any) -> None:
    how = Encoding(columns=["age"], standardise=standardise)
    encoded = encode(sheet("age\n1\n2\n6\n"), sheet("age\n10\n30\n"), how)
    np.testing.assert_allclose(encoded.source[:, 0], (np.array([1, 2, 6]) - 3) / np.sqrt(14 / 3), rtol=1e-6)
    mean, deviation = (3, np.sqrt(14 / 3)) if standardise == "source" else (20, 10)
    np.testing.assert_allclose(encoded.target[:, 0], (np.array([10, 30]) - mean) / deviation, rtol=1e-6)
    constant = encode(sheet("age\n1\n2\n6\n"), sheet("age\n10\n10\n"), how).target[:, 0]
    np.testing.assert_allclose(constant, 0.0 if standardise == "each" else 7 / np.sqrt(14 / 3), rtol=1e-6)


def test_a_value_that_stands_for_a_missing_one_is_filled() -> None:
    how = Encoding(missing={"chol": [0]}, standardise="none")
    encoded = encode(sheet("chol\n200\n0\n300\n240\n"), sheet("chol\n0.0\n"), how)
    assert encoded.names == ["chol", "chol is missing"]
    assert encoded.source[1].tolist() == [240, 1]
    assert encoded.target[0].tolist() == [240, 1]


@pytest.mark.parametrize(
    ("source", "target", "how", "says"),
    [
        ("age\n1\n2x\n", "age\n1\n", Encoding(), r"a\.csv, line 3, has '2x' in the column 'age', which is no number"),
        ("age\n1\n2\n", "age\n1\nx\n", Encoding(), r"line 3, has 'x' in the column 'age'"),
        ("age,b\n1,1\n2,2\n", "aeg,b\n1,1\n", Encoding(), r"no column 'age', which a\.csv names; did you mean 'aeg'"),
        ("age\n?\nNA\n", "age\n1\n", Encoding(), r"no value in the column 'age': leave it out by --data\.drop\+=age"),
        ("age\n0\n0\n", "age\n1\n", Encoding(missing={"age": ["0"]}), r"no value in the column 'age'"),
        ("age\n3\n3.0\n", "age\n1\n", Encoding(), r"the value 3\.0 alone in the column 'age'"),
        ("c\nred\nred\n", "c\nred\n", Encoding(), r"the value red alone in the column 'c'"),
        ("age\n1\n2\n", "age\n1\n", Encoding(drop=["agee"]), r"no column 'agee', which --data\.drop names; did you mean 'age'"),
        ("age\n1\n2\n", "age\n1\n", Encoding(columns=["height"]), r"no column 'height', which --data\.columns names"),
        ("age\n1\n2\n", "age\n1\n", Encoding(drop=["age"]), "has no column beside the label"),
        ("age\n1;5\n2;5\n", "age\n1\n", Encoding(decimal=","), "only for the next case"),
    ],
)
def test_a_column_that_cannot_be_used_is_one_sentence(source: str, target: str, how: Encoding, says: str) -> None:
    if "next case" in says:
        comma = Sheet("a.csv", {"age": ["1,5", "2,5"]}, [2, 3])
        with pytest.raises(UserError, match=r"has '1,5' in the column 'age': set --data\.decimal ','"):
            encode(comma, comma, Encoding())
        assert encode(comma, comma, how).source.shape == (2, 1)
        return
    with pytest.raises(UserError, match=says):
        encode(sheet(source), sheet(target), how)


# The data of a run


def test_rows_and_classes_of_a_pair(tmp_path: Path) -> None:
    data = pair_of(tmp_path)
    source, target = data.loaded
    assert data.task.classes == ["no", "yes"]
    assert (source.train.labels.tolist(), target.train.labels.tolist()) == ([0, 1, 0, 1], [1, -1, 0])
    assert (data.transfer, target.labelled, data.describe_row(1)) == ("shop_to_mail", False, f"{tmp_path / 'mail.csv'}:3")
    sample = source.train[torch.tensor([2, 0])]
    assert sample.x.dtype == torch.float32
    assert torch.equal(sample.x, torch.from_numpy(data.encoded.source[[2, 0]]))
    assert sample.row.tolist() == [2, 0]


def test_a_fingerprint_is_that_of_the_numbers(tmp_path: Path) -> None:
    first = pair_of(tmp_path).fingerprint()
    assert pair_of(tmp_path).fingerprint() == first
    assert pair_of(tmp_path, standardise="each").fingerprint() != first
    assert pair_of(tmp_path, drop=["age"]).fingerprint() != first


def test_classes_gather_labels_however_a_number_is_written(tmp_path: Path) -> None:
    table = write(tmp_path, "x,hospital,target\n1,a,0.0\n2,a,3\n3,a,1\n4,b,0\n5,b,2.0\n6,b,\n")
    options: dict[str, Any] = {"label": "target", "file": str(table), "domain": "hospital"}
    classes = {"healthy": [0], "disease": [1, "2", 3, 4]}
    data = Tabular("a", "b", classes=classes, **options)  # type: ignore[arg-type]
    assert data.task.classes == ["healthy", "disease"]
    assert [domain.train.labels.tolist() for domain in data.loaded] == [[0, 1, 1], [0, 1, -1]]
    assert data.encoded.names == ["x"]
    assert Tabular("a", "b", **options).task.classes == ["0", "1", "3"]
    with pytest.raises(UserError, match=r"line 6, has the label '2\.0', which is of no class"):
        Tabular("a", "b", **options).load()
    with pytest.raises(UserError, match=r"no row whose hospital is 'c'"):
        Tabular("a", "c", **options).load()
    with pytest.raises(UserError, match=r"the label '0' twice"):
        Tabular("a", "b", classes={"healthy": [0], "disease": ["0.0", 1]}, **options).load()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label": "lable"}, r"no column 'lable', which --data\.label names; did you mean 'label'"),
        ({"columns": ["age", "label"]}, "must not hold its answer"),
        ({"file": "a.csv"}, "belong together"),
        ({"decimal": ";"}, r"--data\.decimal is ';'"),
        ({"separator": "--"}, r"--data\.separator is '--'"),
        ({"missing": {"label": ["no"]}}, r"line 2, has no label, and the source needs one"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        pair_of(tmp_path, **options).load()


def test_a_target_without_the_column_of_labels_has_none(tmp_path: Path) -> None:
    source, target = write(tmp_path, "x,label\n1,a\n2,b\n", "s.csv"), write(tmp_path, "x\n1\n", "t.csv")
    assert Tabular(str(source), str(target)).loaded[1].train.labels.tolist() == [-1]


def test_a_column_names_the_rows_and_nothing_is_learnt_from_it(tmp_path: Path) -> None:
    source, target = write(tmp_path, "x,who,label\n1,p1,a\n2,p2,b\n", "s.csv"), write(tmp_path, "x,who\n3,p3\n4,p4\n", "t.csv")
    data = Tabular(str(source), str(target), id="who")
    assert len(data.loaded[1].train) == 2
    assert (data.encoded.names, [data.describe_row(row) for row in (0, 1)]) == (["x"], ["p3", "p4"])
    assert data.read_new(str(target), data.fitted).names == ["p3", "p4"]
    with pytest.raises(UserError, match=r"no column 'whom', which --data\.id names; did you mean 'who'"):
        Tabular(str(source), str(target), id="whom").load()


def test_frames_train_by_any_method_from_python() -> None:
    generator = np.random.default_rng(0)
    frames = []
    for shift in (0.0, 1.0):
        labels = generator.integers(0, 2, 60)
        rows = {"a": 3.0 * labels + generator.normal(0, 0.3, 60) + shift, "b": np.where(labels == 1, "yes", "no")}
        frames.append(pd.DataFrame({**rows, "label": labels}))
    data = Tabular.of_frames(*frames, names=("old", "new"), batch_size=20, steps=20)  # type: ignore[misc]
    assert (data.transfer, data.encoded.names, data.describe_row(0)) == ("old_to_new", ["a", "b=no", "b=yes"], "new:1")
    seed_everything(0, verbose=False)
    method, run = DAN(backbone=MLP(3, [8]), task=2, optimizer=Adam(0.02)), trainer(2)
    run.fit(method, data)
    measured = run.test(method, data, verbose=False)[1]
    assert measured["test/target/accuracy"] > 0.9
    with torch.no_grad():
        logits = method.eval()(torch.from_numpy(data.encoded.target)).logits.numpy()
    expected = roc_auc_score(frames[1]["label"], logits[:, 1] - logits[:, 0])
    assert measured["test/target/auc"] == pytest.approx(expected)
    assert {"balanced_accuracy", "ece", "brier", "sensitivity"} <= {name.rpartition("/")[2] for name in measured}


# Several sources


def domain_numbers(rows: Any) -> list[int]:
    found = domains_of(rows)
    assert found is not None
    return [int(number) for number in found]


def test_several_tables_are_pooled_and_each_row_knows_its_own(tmp_path: Path) -> None:
    places = [
        write(tmp_path, text, name) for text, name in ((SOURCE, "a.csv"), (SOURCE.replace("yes", "no", 1), "b.csv"), (TARGET, "c.csv"))
    ]
    data = Tabular([str(place) for place in places[:2]], str(places[2]), categories=["code"], holdout=0.25)
    rows = data.loaded[0].train
    assert domain_numbers(rows) == [0] * 4 + [1] * 4
    assert rows.labels.tolist() == [0, 1, 0, 1, 0, 0, 0, 1]
    assert torch.equal(rows[torch.arange(4)].x, rows[torch.arange(4, 8)].x)
    assert data.transfer == "a+b_to_c"
    assert list(data.task.sources) == [str(place) for place in places[:2]]


def test_a_row_of_a_pooled_table_is_named_by_its_own_file_and_line() -> None:
    both = joined([sheet(SOURCE), Sheet("b.csv", sheet(SOURCE).columns, range(2, 6))])
    assert both.where(1) == "a.csv, line 3,"
    assert both.where(4) == "b.csv, line 2,"
    other = Sheet("b.csv", {name: texts for name, texts in sheet(SOURCE).columns.items() if name != "dose"}, range(2, 6))
    with pytest.raises(UserError, match="only one has the column 'dose'"):
        joined([sheet(SOURCE), other])


def test_pooled_rows_without_a_number_are_left_out_of_their_own_table(tmp_path: Path) -> None:
    places = [write(tmp_path, text, name) for text, name in ((SOURCE, "a.csv"), (SOURCE, "b.csv"), (TARGET, "c.csv"))]
    data = Tabular([str(place) for place in places[:2]], str(places[2]), label="dose", label_type="number", drop=["label"], holdout=0.25)
    rows = data.loaded[0].train
    assert rows.labels.tolist() == [1.5, 2.5, 1.5, 2.5]
    assert domain_numbers(rows) == [0, 0, 1, 1]
