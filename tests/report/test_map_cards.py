"""The report of a run whose rows are positions of images."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import TINY, Tlda
from tests.helpers.masked import write_masks
from tlda.documents.palette import palette
from tlda.report.seen import load_run

OPTIONS = [
    *("--data", "Masks", "--data.root", "road", "--data.classes", "[ground,sky]", "--data.size", "8", "--data.stride", "2"),
    *("--model.backbone", "tests.helpers.masked.TinyDense", "--model.optimizer", "Adam", "--model.optimizer.lr", "0.02"),
]


def pictures(card: str) -> list[Any]:
    """The pictures of a card in their order, (h, w, 3)."""
    found = re.findall(r"base64,([^\"]+)", card)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")) for data in found]


@pytest.mark.slow
def test_a_page_draws_image_labels_before_and_after(tlda: Tlda) -> None:
    """After is the network as it adapts at test: AdaBN's statistics are the target's."""
    write_masks(Path("road"))
    for method in ("SourceOnly", "AdaBN"):
        assert tlda("fit", "--model", method, *OPTIONS, *TINY[:1], "--data.steps=6", "--data.batch_size=4", *TINY[3:]).code == 0
    before, after = (next(Path("runs").glob(f"*/{method}/*")) for method in ("SourceOnly", "AdaBN"))
    done = tlda("report", after, "--before", before)
    assert done.code == 0, done.err
    page = Path("report.html").read_text(encoding="utf-8")
    cards = re.findall(r'<div style="grid-column: 1 / -1">.*?</div>', page)
    assert len(cards) == 4
    assert "image, labels (oracle), before: SourceOnly, after: AdaBN" in cards[0]
    colours = np.array(palette(2), dtype=np.uint8)
    run: Any = load_run(after)
    run.data.setup("fit")
    rows = run.data.loaded[1].train[torch.arange(6)]
    networks = [run.method.network, run.method.network.copied()]
    layer: Any = networks[1].backbone.layers[1]
    x = rows.x / 255
    maps = networks[1].backbone.layers[0](x.sub(networks[1].backbone.mean).div(networks[1].backbone.std))
    layer.running_mean, layer.running_var = maps.mean((0, 2, 3)).detach(), maps.var((0, 2, 3)).detach()
    found = [run.data.task.pixels(network.eval()(x).logits, x).argmax(1) for network in networks]
    assert not torch.equal(*found)
    images = [image.permute(1, 2, 0).numpy() for image in rows.x]
    for card in cards:
        image, *drawn = pictures(card)
        (row,) = [number for number, each in enumerate(images) if np.array_equal(each, image)]
        for picture, classes in zip(drawn, [rows.y[row], found[0][row], found[1][row]], strict=True):
            assert np.array_equal(picture, colours[classes.numpy()])
