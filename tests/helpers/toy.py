"""Toy domains that every test can train on in seconds, without a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from tests.helpers.tiny_text import tiny_model
from tlda.backbones import Backbone, SmallViT, Text, Towers
from tlda.data import Domain, DomainPair, Images, Pairs
from tlda.data.rows import Pooled
from tlda.data.text.tokens import Texts
from tlda.methods import DACS, DAPL, MAE, MLM, BoxTeacher, CoOp, Detector, ImageText, MixStyle
from tlda.methods.from_pairs import FromPairs
from tlda.tasks import Classification, Task

CLASSES = 3


def blobs(n: int, shift: float, seed: int) -> tuple[Tensor, Tensor]:
    """Images (n, 1, 4, 4) of bytes: a bright spot a class in a place of its own; ``shift`` darkens and moves the domain."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % CLASSES
    images = 40 + 30 * torch.randn(n, 16, generator=generator)
    images[torch.arange(n), labels * 4] += 110
    images[:, 12:] += shift
    return images.clamp(0, 255).to(torch.uint8).view(n, 1, 4, 4), labels


class Toy(DomainPair):
    """Two domains of blobs; the target's are shifted."""

    source, target = "blobs", "shifted"

    def __init__(
        self, n: int = 192, shift: float = 60.0, batch_size: int = 16, steps: int | None = 6, sources: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(batch_size=batch_size, steps=steps, **kwargs)
        self.n, self.shift, self.sources = n, shift, sources

    @property
    def task(self) -> Task:
        task = Classification([f"class {c}" for c in range(CLASSES)])
        task.sources = [f"blobs {number}" for number in range(self.sources)] if self.sources > 1 else ()
        return task

    def load(self) -> tuple[Domain, Domain]:
        parts = [Images(*blobs(self.n // self.sources, 20.0 * number, 2 * number)) for number in range(self.sources)]
        source = Pooled(parts) if self.sources > 1 else parts[0]
        return Domain("blobs", source), Domain("shifted", Images(*blobs(self.n, self.shift, 1)))


class Tiny(Backbone):
    """A hidden layer on 4 x 4 images, with BatchNorm and dropout so that resume has something to get wrong."""

    channels, size = 1, 4

    def __init__(self, num_features: int = 8, dropout: float = 0.1, batch_norm: bool = True) -> None:
        super().__init__(num_features)
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(16, 16),
            torch.nn.BatchNorm1d(16) if batch_norm else torch.nn.Identity(),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(16, num_features),
            torch.nn.ReLU(),
        )

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


class Maps(Backbone):
    """A convolution and a hidden layer on 4 x 4 images: its first block gives maps."""

    channels, size = 1, 4

    def __init__(self, num_features: int = 8) -> None:
        super().__init__(num_features)
        first = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
        self.layers = torch.nn.Sequential(
            *first, torch.nn.Flatten(), torch.nn.Dropout(0.1), torch.nn.Linear(64, num_features), torch.nn.ReLU()
        )

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features

    def blocks(self) -> list[torch.nn.Module]:
        return [torch.nn.ModuleList(self.layers[:3]), torch.nn.ModuleList(self.layers[3:])]


class Sentences(DomainPair):
    """Two domains of texts of the tiny encoder: one word tells the class, and the target's texts are longer."""

    source, target = "short", "long"

    def __init__(self, n: int = 192, batch_size: int = 16, steps: int | None = 6, **kwargs: Any) -> None:
        super().__init__(batch_size=batch_size, steps=steps, **kwargs)
        self.n = n

    @property
    def task(self) -> Task:
        return Classification([f"class {c}" for c in range(CLASSES)])

    def load(self) -> tuple[Domain, Domain]:
        return Domain("short", self.texts(4, 0)), Domain("long", self.texts(7, 1))

    def texts(self, length: int, seed: int) -> Texts:
        """Random words between the marks of a text's beginning and end, of which the first is that of the class."""
        labels = torch.arange(self.n) % CLASSES
        ids = torch.randint(5, 25, (self.n, length), generator=torch.Generator().manual_seed(seed))
        ids[:, 0], ids[:, 1], ids[:, -1] = 2, 30 + labels, 3
        return Texts(ids.flatten().int(), torch.full((self.n,), length).cumsum(0), labels)


def toy_of(method: type) -> DomainPair:
    """A toy of the kind that the ``method`` trains on."""
    if getattr(method, "setting", "") == "few-shot":
        from tests.helpers.toys import episodes

        return episodes()
    if issubclass(method, FromPairs):
        return Pairs(Toy(), Toy(shift=0.0), batch_size=16, steps=6)
    if method is DACS:
        from tests.helpers.masked import Scenes

        return Scenes(steps=6)
    if method is BoxTeacher:
        from tests.helpers.boxed import Cells

        return Cells(steps=6)
    if issubclass(method, Detector):
        from tests.helpers.boxed import Cells

        return Cells(steps=6, stride=None)
    return Sentences() if method is MLM else Toy(sources=2 if getattr(method, "several_sources", False) else 1)


def backbone_of(method: type) -> Backbone:
    """A tiny network for that toy."""
    if method is MAE:
        return SmallViT(channels=1, size=4, patch=2, width=8, depth=1, heads=2)
    if issubclass(method, (CoOp, DAPL, ImageText)):
        return Towers(Tiny(), Text(tiny_model()))
    if method is MixStyle:
        return Maps()
    if method in (DACS, BoxTeacher):
        from tests.helpers.masked import TinyDense

        return TinyDense(16)
    if issubclass(method, Detector):
        from tests.helpers.masked import TinyDense

        return TinyDense(32)
    return Text(tiny_model()) if method is MLM else Tiny()


class Rows(Callback):
    """Writes the source rows that each process saw in each epoch, and what its weights sum to then, into the folder ``ROWS``."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen += batch.source.row.tolist()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        name = f"rows-{trainer.current_epoch}-{trainer.global_rank}.json"
        (Path(os.environ["ROWS"]) / name).write_text(json.dumps(self.seen))
        self.seen = []
        sums = {name: p.detach().abs().sum().item() for name, p in pl_module.named_parameters()}
        (Path(os.environ["ROWS"]) / f"sums-{type(pl_module).__name__}-{trainer.global_rank}.json").write_text(json.dumps(sums))


def trainer(epochs: int = 2, **options: Any) -> Trainer:
    """A quiet trainer on the processor."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, use_distributed_sampler=False, **{"num_sanity_val_steps": 0, **quiet, **options}
    )
