"""What a step of CycleGAN costs: beside a loop by hand of the same nets, and in memory, with gradient checkpointing and without.

python benchmarks/translation/step.py  (writes step.json beside itself; about six minutes of a core)
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, mse_loss
from torch.optim import Adam

from tlda.backbones import LeNet
from tlda.data import Domain, DomainPair, Images
from tlda.methods import CycleGAN
from tlda.tasks import Classification
from tlda.training.lightning import Unprofiled
from tlda.translation.cycle import Translator
from tlda.translation.generators import ResNetGenerator, UNetGenerator

ROUNDS, STEPS, SKIPPED, BATCH = 16, 30, 5, 32


class Digits(DomainPair):
    """Noise in the shape of digits."""

    task = Classification([str(c) for c in range(10)])
    rows, channels, size = 2000, 1, 28

    def load(self) -> tuple[Domain, Domain]:
        torch.manual_seed(0)
        shape = (self.rows, self.channels, self.size, self.size)
        rows = Images(torch.randint(256, shape, dtype=torch.uint8), torch.arange(self.rows) % 10)
        return Domain("source", rows, rows), Domain("target", rows, rows)


class Photos(Digits):
    """Noise in the shape of photographs."""

    rows, channels, size = 20, 3, 256


def method() -> CycleGAN:
    """The method, without the pool, whose few lines are no part of what is compared."""
    seed_everything(0, verbose=False)
    translator = Translator(UNetGenerator(16), identity=0.0, pool=0, critic_width=16)
    return CycleGAN(backbone=LeNet(), task=10, translator=translator, pretrain=0.0)


class Times(Callback):
    """When each step ended, in seconds of the processor."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        self.ends.append(time.process_time())


def trainer(*callbacks: Callback) -> Trainer:
    """One that does nothing but train an epoch."""
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(max_epochs=1, accelerator="cpu", devices=1, limit_val_batches=0, callbacks=[*callbacks], profiler=Unprofiled(), **quiet)


def ours() -> float:
    """The seconds of a step in a trainer."""
    times = Times()
    trainer(times).fit(method(), Digits(batch_size=BATCH, steps=STEPS))
    return (times.ends[-1] - times.ends[SKIPPED]) / (STEPS - 1 - SKIPPED)


def by_hand() -> float:
    """The seconds of a step of the same nets and losses in a plain loop."""
    made = method()
    there, back = made.translator.generators["to_target"], made.translator.generators["to_source"]
    critics = dict(made.translator.critics.items())
    average = copy.deepcopy(made.translator.generators)
    generators = Adam([*there.parameters(), *back.parameters()], lr=2e-4, betas=(0.5, 0.999), fused=True)
    judges = [Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True) for critic in critics.values()]
    classifier = Adam([*made.backbone.parameters(), *made.head.parameters()], lr=1e-3, fused=True)
    data = Digits(batch_size=BATCH, steps=STEPS)
    data.setup("fit")
    ends = []
    for (source, target), _, _ in data.train_dataloader():
        x, y = source.x.float() / 255, target.x.float() / 255
        made_of_x, made_of_y = there(x), back(y)
        for critic in critics.values():
            critic.requires_grad_(False)
        loss = sum(
            mse_loss(score, torch.ones_like(score)) for score in (critics["target"](made_of_x), critics["source"](made_of_y))
        ) + 20 * (l1_loss(back(made_of_x), x) + l1_loss(there(made_of_y), y))
        generators.zero_grad()
        loss.backward()
        generators.step()
        for critic in critics.values():
            critic.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), [*there.parameters(), *back.parameters()], 0.001)
        for optimizer in judges:
            optimizer.zero_grad()
        loss = sum(
            (judged(critics[name], real, fake.detach()) for name, real, fake in (("source", x, made_of_y), ("target", y, made_of_x))),
            torch.zeros(()),
        )
        loss.backward()
        for optimizer in judges:
            optimizer.step()
        with torch.no_grad():
            translated = average["to_target"](x)
        classifier.zero_grad()
        cross_entropy(made.head(made.backbone(translated)), source.y).backward()
        classifier.step()
        ends.append(time.process_time())
    return (ends[-1] - ends[SKIPPED]) / (STEPS - 1 - SKIPPED)


def judged(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The critic's loss."""
    scores = critic(torch.cat((real, fake)))
    ones, zeros = scores[: len(real)], scores[len(real) :]
    return (mse_loss(ones, torch.ones_like(ones)) + mse_loss(zeros, torch.zeros_like(zeros))) / 2


def kept(checkpointing: bool) -> float:
    """The mebibytes that a generator's step at 256 x 256 keeps for its gradient: a ResNet of width 64 and 9 blocks, one image."""
    generator = ResNetGenerator(checkpointing=checkpointing)
    generator.build(3, 256)
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        generator(torch.rand(1, 3, 256, 256)).mean()
    weights = {p.untyped_storage().data_ptr() for p in generator.parameters()}
    return sum(size for place, size in sizes.items() if place not in weights) / 2**20


def grown(checkpointing: bool) -> float:
    """The mebibytes by which a process grows in two whole steps of the paper's networks at 256 x 256, one image of each domain."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_grown, (checkpointing,))


def _grown(checkpointing: bool) -> float:
    torch.set_num_threads(1)
    backbone = LeNet(channels=Photos.channels, size=Photos.size, num_features=8)
    made = CycleGAN(backbone=backbone, task=10, translator=Translator(ResNetGenerator(checkpointing=checkpointing)), pretrain=0.0)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    trainer().fit(made, Photos(batch_size=1, steps=2))
    return (getrusage(RUSAGE_SELF).ru_maxrss - before) / 2**10


def main() -> None:
    """Measure, in turns whose order alternates, and write."""
    torch.set_num_threads(1)
    both = [("ours", ours), ("by_hand", by_hand)]
    rounds = [{name: step() for name, step in (both, both[::-1])[i % 2]} for i in range(ROUNDS)]
    measures: dict[str, Callable[[], float]] = {
        "step_seconds": lambda: round(statistics.median(r["ours"] for r in rounds), 4),
        "step_seconds_by_hand": lambda: round(statistics.median(r["by_hand"] for r in rounds), 4),
        "ratio": lambda: round(statistics.median(r["ours"] / r["by_hand"] for r in rounds), 3),
        "kept_mebibytes_256_pixels": lambda: round(kept(False), 1),
        "kept_mebibytes_256_pixels_checkpointing": lambda: round(kept(True), 1),
        "step_mebibytes_256_pixels": lambda: round(grown(False)),
        "step_mebibytes_256_pixels_checkpointing": lambda: round(grown(True)),
    }
    found = {name: measure() for name, measure in measures.items()}
    (Path(__file__).parent / "step.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(found)


if __name__ == "__main__":
    main()
