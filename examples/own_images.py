"""Adapt from one folder of images to another: `python examples/own_images.py [FOLDER SOURCE TARGET]`.

FOLDER has a folder for each domain; the source's has one for each class. Without arguments small pictures are drawn.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import tlda
from tlda.backbones import LeNet
from tlda.data import Folders
from tlda.methods import DANN


def draw(folder: Path) -> None:
    """Bright and dark pictures of bars that lie and bars that stand, in two looks."""
    random = np.random.default_rng(0)
    for place, brightness in (("day/lying", 255), ("day/standing", 255), ("night/lying", 90), ("night/standing", 90)):
        (folder / place).mkdir(parents=True)
        for number in range(32):
            picture = random.integers(0, 40, (32, 32), dtype=np.uint8)
            picture[random.integers(4, 28)] = brightness
            Image.fromarray(picture if "lying" in place else picture.T).save(folder / place / f"{number}.png")


if sys.argv[1:]:
    folder, source, target = sys.argv[1:]
else:
    folder, source, target = tempfile.mkdtemp(), "day", "night"
    draw(Path(folder))
data = Folders(root=folder, source=source, target=target, size=28, batch_size=16, steps=10)
run = tlda.fit(lambda: DANN(backbone=LeNet(channels=3), task=data.task), data, max_epochs=3)
print(tlda.test(run, data))
