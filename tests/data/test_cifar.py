"""CIFAR-10 from folders of images and from the distributor's binary files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tlda.backbones import SmallResNet
from tlda.data import CIFAR10
from tlda.data.cifar import CLASSES
from tlda.data.corruptions import corrupt
from tlda.errors import UserError


def pictures(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count * len(CLASSES), 32, 32, 3), dtype=np.uint8)


def test_folders_and_binary_files_are_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "cache"))
    images, labels = pictures(), [c for c in range(len(CLASSES)) for _ in range(2)]
    (packed := tmp_path / "b" / "cifar-10-batches-bin").mkdir(parents=True)
    for part, file in (("train", "data_batch_1.bin"), ("test", "test_batch.bin")):
        rows = [bytes([c]) + image.transpose(2, 0, 1).tobytes() for c, image in zip(labels, images, strict=True)]
        (packed / file).write_bytes(b"".join(rows))
        for number, (c, image) in enumerate(zip(labels, images, strict=True)):
            (folder := tmp_path / "a" / "cifar10" / part / CLASSES[c]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:02}.png")
    found = [CIFAR10(root=str(tmp_path / name), target="cifar10+fog5").loaded for name in "ab"]
    rows_ = torch.arange(20)
    for one, other in zip(*found, strict=True):
        assert one.train[rows_].y.tolist() == labels == other.train[rows_].y.tolist()
        assert torch.equal(one.train[rows_].x, other.train[rows_].x)
    clean, foggy = (domain.test[rows_].x for domain in found[0] if domain.test is not None)
    assert torch.equal(foggy, corrupt(clean, "fog5", rows_))


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no domain 'cifar' of CIFAR10"):
        CIFAR10(target="cifar")
    with pytest.raises(UserError, match=r"give --data\.root"):
        _ = CIFAR10(root=str(tmp_path)).loaded


@pytest.mark.parametrize(("blocks", "layers"), [(1, 7), (3, 19)])
def test_the_small_network_has_six_layers_a_block(blocks: int, layers: int) -> None:
    net = SmallResNet(blocks, 4)
    convolutions = [layer for name, layer in net.named_modules() if isinstance(layer, torch.nn.Conv2d) and "shortcut" not in name]
    assert len(convolutions) == layers
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 16)
