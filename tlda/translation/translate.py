"""A source in the look of a target, written as a data set that any method trains on."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tlda.batch import Rows
from tlda.data.arrays import runs
from tlda.data.files import reading
from tlda.data.pair import DomainPair
from tlda.data.rows import digest_of
from tlda.data.translated import COLUMNS, MANIFEST, PROTOCOL, VERSION, hash_of
from tlda.errors import UserError
from tlda.translation.cycle import Translator
from tlda.writing import require_writable, write_bytes

BATCH = 256
"""The most images that are translated at a time, and no more than the data measure at once; always the same ones together, so that a
resumed run makes the same images."""


def translate_method(method: nn.Module, data: DomainPair, checkpoint: Path, out: Path, made_by: dict[str, Any]) -> int:
    """Translate the source of ``data`` into the folder ``out`` by ``method``, and return the number of images.

    Args:
        method: a method that translates.
        data: the pair of domains whose source it is.
        checkpoint: where the method comes from, for errors.
        out: the folder; what is there of the same translation is kept.
        made_by: the recipe of the checkpoint, which is written beside the images.

    Raises:
        UserError: the method translates nothing; the images are not of the shape that it was trained on; ``out`` holds something
            else, or has no room.
    """
    translator = getattr(method, "translator", None)
    if not isinstance(translator, Translator):
        raise UserError(f"{checkpoint} holds {type(method).__name__}, which translates nothing: name a checkpoint of CycleGAN or CyCADA")
    if not translator.judge.taken:
        raise UserError(f"the run of {checkpoint} ended before it began to translate: train for longer, or lower --model.pretrain")
    weights = hash_of(b"".join(value.numpy().tobytes() for value in translator.averages["to_target"].state_dict().values()))
    if torch.cuda.is_available():
        translator.cuda()
    return write_translation(translator, data, out, {"method": type(method).__name__, "generator": weights, "recipe": made_by})


class Entry(NamedTuple):
    """A line of the manifest."""

    file: str
    split: str
    row: int
    label: int
    hash: str


def write_translation(translator: Translator, data: DomainPair, out: Path, made_by: dict[str, Any]) -> int:
    """Write the source of ``data``, translated, into the folder ``out``; the manifest comes last, when all images are there."""
    source = data.loaded[0]
    splits = {name: rows for name, rows in (("train", source.train), ("test", source.test)) if rows is not None}
    require_writable(out, "--out")
    protocol = {"version": VERSION, "domain": source.name, "classes": data.task.classes, **made_by}
    _begin(out, {**protocol, "rows": {name: digest_of(rows) for name, rows in splits.items()}})
    entries = [entry for name, rows in splits.items() for entry in _write_split(translator.eval(), data, name, rows, out)]
    lines = io.StringIO()
    csv.writer(lines).writerows((COLUMNS, *entries))
    write_bytes(out / MANIFEST, lines.getvalue().encode())
    return len(entries)


def _begin(out: Path, protocol: dict[str, Any]) -> None:
    """Say in ``out`` what goes there, unless it says so already; refuse a folder that holds something else."""
    path = out / PROTOCOL
    if not path.is_file():
        if next((entry for entry in out.iterdir() if not entry.name.endswith(".partial")), None):
            raise UserError(f"{out} holds other files: name an empty or a new folder with --out")
        write_bytes(path, (json.dumps(protocol, indent=1, sort_keys=True) + "\n").encode())
        return
    with reading(path, "delete the folder, or name another one with --out"):
        found = json.loads(path.read_text(encoding="utf-8"))
    if found != json.loads(json.dumps(protocol)):
        raise UserError(f"{out} holds another translation: name another folder with --out, or delete it")


def _write_split(translator: Translator, data: DomainPair, split: str, rows: Rows, out: Path) -> Iterator[Entry]:
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    batches = runs(len(rows), min(BATCH, data.eval_batch_size))
    for batch in track(batches, f"translating {split}", console=console, transient=True, disable=not console.is_terminal):
        labels = [int(label) for label in rows.labels[batch]]
        folders = [data.task.classes[label] if data.task.one_row else "" for label in labels]  # of a map there is no one class
        files = [Path(split, folder, f"{row:07d}.png") for folder, row in zip(folders, batch.tolist(), strict=True)]
        if not all(map(_is_whole, (out / file for file in files))):
            _write_batch(translator, data.prepare(rows[batch]).x, [out / file for file in files])
        for file, row, label in zip(files, batch.tolist(), labels, strict=True):
            yield Entry(file.as_posix(), split, row, label, hash_of((out / file).read_bytes()))


def _is_whole(path: Path) -> bool:
    """Whether an image is there; a loss of power leaves a name without content."""
    return path.is_file() and path.stat().st_size > 0


def _write_batch(translator: Translator, x: Tensor, paths: list[Path]) -> None:
    translator.require_shape(x)
    images = (255 * translator(x.to(next(translator.parameters()).device)).cpu()).round().clamp(0, 255).to(torch.uint8)
    for path, image in zip(paths, images, strict=True):
        if not _is_whole(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, png(image), sync=False)


def png(image: Tensor) -> bytes:
    """The PNG file of bytes (1, h, w) or (3, h, w)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()).save(file, "png")
    return file.getvalue()
