"""The images a second that augmentations take, from 256 to 224 pixels, on one core: ours on the batch, and torchvision's image by image.

python benchmarks/speed/augment.py [--runs N] [--output augment.json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from tlda.data import Augment, PhotoJitter, RandomGreyscale, RandomHorizontalFlip, RandomResizedCrop, RandomWindow
from tlda.data.augmenting import as_floats

COUNT, SIZE, CROP = 32, 256, 224
JITTER = (0.3, 0.3, 0.3, 0.3)

OURS: dict[str, list[Augment]] = {
    "window_and_flip": [RandomWindow(CROP), RandomHorizontalFlip()],
    "resized_crop_and_flip": [RandomResizedCrop(CROP), RandomHorizontalFlip()],
    "with_jitter_and_greyscale": [RandomResizedCrop(CROP), RandomHorizontalFlip(), PhotoJitter(*JITTER), RandomGreyscale()],
}
THEIRS: dict[str, list[Any]] = {
    "window_and_flip": [v2.RandomCrop(CROP), v2.RandomHorizontalFlip()],
    "resized_crop_and_flip": [v2.RandomResizedCrop(CROP), v2.RandomHorizontalFlip()],
    "with_jitter_and_greyscale": [
        *(v2.RandomResizedCrop(CROP), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)),
        *(v2.ColorJitter(*JITTER), v2.RandomGrayscale(0.1)),
    ],
}


def on_the_batch(changes: Sequence[Augment], x: Tensor) -> Tensor:
    """Augment a batch of bytes as a training step does."""
    for change in changes:
        x = change(x if change.crops else as_floats(x))
    return x


def one_by_one(changes: Sequence[Any], x: Tensor) -> Tensor:
    """Augment each image by torchvision, as a loader's worker does, and stack them."""
    return as_floats(torch.stack([v2.Compose(changes)(image) for image in x]))


def images_a_second(run: Callable[[], Any], runs: int) -> int:
    """The most images in a second of processor time among ``runs``, after one that is not counted."""
    times = []
    for _ in range(runs + 1):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return round(COUNT / min(times[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "augment.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randint(0, 256, (COUNT, 3, SIZE, SIZE), dtype=torch.uint8)
    found = {
        name: {
            "tlda": images_a_second(lambda changes=OURS[name]: on_the_batch(changes, x), args.runs),
            "torchvision": images_a_second(lambda changes=THEIRS[name]: one_by_one(changes, x), args.runs),
        }
        for name in OURS
    }
    about = {"torch": torch.__version__, "threads": 1, "load": round(os.getloadavg()[0], 1), "pixels": [SIZE, CROP], "batch": COUNT}
    args.output.write_text(json.dumps({**about, "images_a_second": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
