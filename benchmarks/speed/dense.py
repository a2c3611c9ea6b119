"""Measure a training step of segmentation: its time beside a hand-written loop of the same nets, and its peak memory.

    python benchmarks/speed/dense.py     # dense.json

Source only on :class:`tlda.backbones.Dense` of EfficientNet-Lite0 with random weights, on one thread. Time: 192 x 128, batches of 4, the
median ratio of blocks of steps in turn, in processor seconds. Memory: 512 x 256, batches of 4, the most that a process of its own had
resident, with and without gradient checkpointing; what it has before the step is subtracted.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from tlda.backbones import Dense
from tlda.batch import ONE_DOMAIN, Sample, SourceBatch
from tlda.methods import SourceOnly
from tlda.optim import Adam
from tlda.tasks import Segmentation
from tlda.training.quiet import silence

RESULT = Path(__file__).with_name("dense.json")
CLASSES, BATCH, BLOCK, BLOCKS = 11, 4, 8, 12
NAME = "tf_efficientnet_lite0"


def batches(height: int, width: int, count: int) -> Iterator[SourceBatch]:
    """Random images, with the labels of their positions."""
    rows = BATCH * (height // 4) * (width // 4)
    for _ in range(count):
        yield SourceBatch(Sample(torch.rand(BATCH, 3, height, width), torch.randint(0, CLASSES, (rows,)), torch.arange(rows), ONE_DOMAIN))


def made(checkpointing: bool) -> SourceOnly:
    torch.manual_seed(0)
    backbone = Dense(NAME, None, checkpointing=checkpointing)
    return SourceOnly(backbone=backbone, task=Segmentation([str(c) for c in range(CLASSES)]), optimizer=Adam(1e-3))


def by_hand(batches: list[SourceBatch]) -> Iterator[float]:
    """The processor seconds of each step of a loop of the same network, loss and optimizer."""
    network = made(False).network.train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=0.0)
    for batch in batches:
        begun = time.process_time()
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(network(batch.source.x).logits, batch.source.y))
        optimizer.step()
        yield time.process_time() - begun


class Steps(Callback):
    """The processor seconds from the beginning of each step to that of the next, with a block by hand after each block."""

    def __init__(self, hand: Iterator[float]) -> None:
        self.hand, self.begun, self.seen = hand, 0.0, 0
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.begun:
            self.ours.append(time.process_time() - self.begun)
            if len(self.ours) % BLOCK == 0:
                self.theirs += [next(self.hand) for _ in range(BLOCK)]
        self.begun = time.process_time()


def ratio() -> dict[str, float]:
    """The milliseconds of a step by hand, and the median over blocks of ours over it."""
    data = list(batches(128, 192, 8))
    many = [data[i % 8] for i in range(BLOCK * BLOCKS + 1)]
    watch = Steps(by_hand(many))
    run = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[watch],
    )  # fmt: skip
    run.fit(made(False), torch.utils.data.DataLoader(many, batch_size=None))
    blocks = [sum(watch.ours[i : i + BLOCK]) / sum(watch.theirs[i : i + BLOCK]) for i in range(BLOCK, BLOCK * BLOCKS, BLOCK)]
    return {"milliseconds_by_hand": round(1000 * median(watch.theirs), 1), "ratio": round(median(blocks), 3)}


def peak(checkpointing: bool) -> float:
    """The GiB that three steps at 512 x 256 need beyond what there was before them."""
    network = made(checkpointing).network.train()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for batch in batches(256, 512, 3):
        torch.autograd.backward(torch.nn.functional.cross_entropy(network(batch.source.x).logits, batch.source.y))
    return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20, 2)


def main() -> None:
    torch.set_num_threads(1)
    silence()
    context = multiprocessing.get_context("spawn")
    found: dict[str, Any] = {"time": ratio()}
    for name, checkpointing in (("gib", False), ("gib_checkpointing", True)):
        with context.Pool(1) as pool:
            found[name] = pool.apply(peak, (checkpointing,))
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
