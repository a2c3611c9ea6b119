"""The files that `tlda predict` writes: answers as CSV, boxes as JSON and pictures too, features as NumPy or Parquet."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from tlda.batch import Prediction
from tlda.data.files import reading, shape_of
from tlda.data.pair import DomainPair
from tlda.documents.palette import palette
from tlda.errors import UserError, lacking
from tlda.tasks import Detection
from tlda.training.found_boxes import labelled, places_of, write_pictures
from tlda.training.processes import of_all
from tlda.writing import require_writable, write_bytes, write_text

Columns = dict[str, list[Any]]
"""Predictions by column: ``file`` (or the row's number), and the answers of the task, such as ``class`` and ``confidence``."""


class Predictions(Callback):
    """Collects the rows that all processes predict into :attr:`columns`, which the first process writes.

    Args:
        path: the CSV of the answers, or the JSON of boxes, if any is written; boxes are drawn in a folder beside it.
        features: the file of the features, if any is written, see :func:`write_features`.
    """

    def __init__(self, path: str | Path | None = None, features: str | Path | None = None) -> None:
        if features is not None:
            require_kind(features)
        self.path, self.features = path, features
        self.own: list[Prediction] = []
        self.columns: Columns = {}

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Prediction, *args: Any) -> None:
        kept = outputs.features if self.features is not None else outputs.features[:, :0]
        self.own.append(Prediction(outputs.row.cpu(), outputs.answers, kept.float().cpu()))

    def on_predict_end(self, trainer: Trainer, *args: Any) -> None:
        run: Any = trainer
        parts, self.own = of_all(self.own), []
        predictions = [prediction for part in parts for prediction in part]
        self.columns = columns_of(predictions, run.datamodule)
        if not trainer.is_global_zero:
            return
        if self.path is not None:
            if Path(self.path).suffix == ".json":
                write_coco(self.path, self.columns, run.datamodule.task.outputs)
            else:
                write_predictions(self.path, self.columns)
            if isinstance(task := run.datamodule.task, Detection):
                write_pictures(Path(self.path), self.columns, task.names, labelled(run.datamodule, task.names))
        if self.features is not None:
            write_features(self.features, self.columns, features_of(predictions))


def columns_of(predictions: Iterable[Prediction], data: DomainPair) -> Columns:
    """The columns of ``predictions``, sorted by the target's rows."""
    lines = sorted(rows_of(predictions), key=lambda line: line[0])
    names = list(lines[0][1]) if lines else []
    return {"file": [data.describe_row(row) for row, _ in lines], **{name: [answers[name] for _, answers in lines] for name in names}}


def write_predictions(path: str | Path, columns: Columns) -> None:
    """Write ``columns`` as CSV, one line per row of the target; maps of classes as PNG in a folder beside it, whose paths are in the
    CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    shown = {name: write_maps(Path(path), name, columns) if _are_maps(values) else values for name, values in columns.items()}
    writer.writerows([_printed(value) for value in line] for line in zip(*shown.values(), strict=True))
    write_text(Path(path), text.getvalue())


def _are_maps(values: Sequence[object]) -> bool:
    return bool(values) and isinstance(values[0], np.ndarray)


def write_maps(path: Path, name: str, columns: Columns) -> list[str]:
    """Write the maps (h, w) of the column ``name`` as PNG whose values are class numbers, and whose palette shows them, each in the size
    of its image's file; give their paths."""
    from PIL import Image

    folder = path.with_name(f"{path.stem}_{name}")
    require_writable(folder, "--output")
    colours = [part for colour in palette(256) for part in colour]
    written = []
    for file, place, values in zip(columns["file"], places_of(columns["file"]), columns[name], strict=True):
        picture = Image.fromarray(values)
        if Path(str(file)).is_file():  # a row of a data set that is no file has no other size
            with reading(Path(file)):
                height, width = shape_of(Path(file), turned=False)
            picture = picture.resize((width, height), Image.Resampling.NEAREST)
        picture.putpalette(colours)
        picture.save(png := io.BytesIO(), "PNG")
        target = folder / f"{place}.png"
        write_bytes(target, png.getvalue())
        written.append(target.relative_to(path.parent).as_posix())
    return written


def rows_of(predictions: Iterable[Prediction]) -> Iterator[tuple[int, dict[str, object]]]:
    """The number of each row, and its answers by column."""
    for prediction in predictions:
        for i, row in enumerate(prediction.row.tolist()):
            yield row, {name: column[i] for name, column in prediction.answers.items()}


FEATURES = (".npy", ".npz", ".parquet")
"""The endings of a file of features."""


def require_kind(path: str | Path) -> None:
    """Raise :class:`UserError` where the ending of ``path`` is none of :data:`FEATURES`, or Parquet is not installed."""
    if Path(path).suffix not in FEATURES:
        raise UserError(f"--features is {path}: its ending says how features are written, {', '.join(FEATURES)}")
    if Path(path).suffix == ".parquet" and not (find_spec("pandas") and find_spec("pyarrow")):
        raise lacking(f"{path} is Parquet, which", "pandas and pyarrow", "tabular")


def features_of(predictions: Sequence[Prediction]) -> Tensor:
    """The features (n, d) of ``predictions``, sorted by the target's rows."""
    if not predictions:
        return torch.empty(0, 0)
    rows, features = (torch.cat(part) for part in zip(*((each.row, each.features) for each in predictions), strict=True))
    return features[rows.argsort(stable=True)]


def write_features(path: str | Path, columns: Columns, features: Tensor) -> None:
    """Write ``features`` (n, d), in the order of the rows of ``columns``.

    A ``.npy`` has the array alone. A ``.npz`` has it as ``features``, with each of ``columns`` beside it. In a ``.parquet`` each feature is
    a column, ``f0`` and so on, after those of ``columns``.
    """
    require_kind(path)
    file = io.BytesIO()
    if Path(path).suffix == ".npy":
        np.save(file, features.numpy())
    elif Path(path).suffix == ".npz":
        with zipfile.ZipFile(file, "w") as archive:  # np.savez has no name for a column called ``file``
            for name, values in {**columns, "features": features.numpy()}.items():
                np.save(part := io.BytesIO(), np.asarray(values))
                archive.writestr(f"{name}.npy", part.getvalue())
    else:
        import pandas as pd

        named = {f"f{number}": column for number, column in enumerate(features.T.numpy())}
        pd.DataFrame({**columns, **named}).to_parquet(file)
    write_bytes(Path(path), file.getvalue())


def _printed(value: object) -> object:
    return json.dumps(value) if isinstance(value, list) else f"{value:.6f}" if isinstance(value, float) else value


def write_coco(path: str | Path, columns: Columns, names: Sequence[str]) -> None:
    """Write the boxes of images as COCO's JSON, in pixels of the images' files, each with its ``score``. The categories are numbered
    as ``names`` has them, the outputs of the task, which begin with the classes; :class:`tlda.data.Boxes` reads such a file.

    Raises:
        UserError: the answers are no boxes.
    """
    if "boxes" not in columns:
        raise UserError(f"--output is {path}, and JSON is written of boxes alone: let the name end in .csv")
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for image, (file, boxes) in enumerate(zip(columns["file"], columns["boxes"], strict=True)):
        with reading(Path(file)):
            height, width = shape_of(Path(file), turned=False)
        images.append({"id": image, "file_name": str(file), "width": width, "height": height})
        for box in boxes:
            sides = [box.left * width, box.top * height, box.width * width, box.height * height]
            numbers = {"id": len(annotations), "image_id": image, "category_id": names.index(box.name), "iscrowd": 0}
            annotations.append({**numbers, "bbox": sides, "area": sides[2] * sides[3], "score": box.score})
    categories = [{"id": number, "name": name} for number, name in enumerate(names[:-4])]
    write_text(Path(path), json.dumps({"images": images, "categories": categories, "annotations": annotations}) + "\n")
