"""MedMNIST's files: their images, labels and editions, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tlda.data import MedMNIST
from tlda.errors import UserError


def write(path: Path, shape: tuple[int, ...] = (28, 28), labels: int = 1, classes: int = 2) -> Any:
    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {}
    for part, n in (("train", 12), ("val", 3), ("test", 6)):
        content[f"{part}_images"] = random.integers(0, 256, (n, *shape), dtype=np.uint8)
        content[f"{part}_labels"] = (np.arange(n * labels) % classes).reshape(n, labels).astype(np.uint8)
    np.savez(path, **content)
    return content


def test_rows_are_the_files_training_and_test_images(tmp_path: Path) -> None:
    content = write(tmp_path / "pneumoniamnist" / "pneumoniamnist.npz")
    data = MedMNIST(root=str(tmp_path))
    assert data.task.classes == ["normal", "pneumonia"]
    train, test = data.loaded[1].splits
    sample = train[torch.tensor([3, 0])]
    assert torch.equal(sample.x, torch.from_numpy(content["train_images"][[3, 0]])[:, None])
    assert sample.y.tolist() == [1, 0]
    assert (len(train), len(test or ())) == (12, 6)


def test_colour_another_size_and_another_edition(tmp_path: Path) -> None:
    content = write(tmp_path / "bloodmnist_64.npz", (64, 64, 3), classes=3)
    data = MedMNIST("bloodmnist", str(tmp_path), edition=64, size=32)
    assert data.task.classes == ["0", "1", "2"]
    x = data.loaded[0].train[torch.arange(2)].x
    assert x.shape == (2, 3, 32, 32)
    assert abs(float(x.float().mean()) - float(content["train_images"][:2].mean())) < 1


@pytest.mark.parametrize(
    ("file", "options", "sentence"),
    [
        ({}, {"name": "breastmnist"}, "there is no breastmnist.npz in .* or .*: get it from medmnist.com, or set --data.root"),
        ({"labels": 14}, {}, "has 14 labels per image, and MedMNIST reads sets with one"),
        ({"classes": 3}, {}, "--data.classes names 2 classes, and .* has 3"),
        (None, {}, "pneumoniamnist.npz is no file of MedMNIST, or damaged"),
    ],
)
def test_what_does_not_fit_is_a_sentence(tmp_path: Path, file: dict[str, int] | None, options: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "pneumoniamnist.npz"
    write(path, **file) if file is not None else path.write_bytes(b"no archive")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=sentence):
        _ = MedMNIST(root=str(tmp_path), **options).task
