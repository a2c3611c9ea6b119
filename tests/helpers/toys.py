"""Pairs of domains in the plane on which source only fails, each in a way that some idea of adaptation repairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from tlda.data import Augment, Domain, DomainPair, Episodes, Images
from tlda.data.rows import Pooled
from tlda.tasks import Classification, Task
from tlda.translation import generators

ROWS = 60
"""Rows of a domain; a batch is the whole domain, and so is the test."""


class Plane(DomainPair):
    """Two domains of points in the plane, which are the first two of 4 x 4 pixels; the others are grey."""

    def __init__(self, steps: int = 50, target_seed: int = 1, **kwargs: Any) -> None:
        super().__init__(batch_size=ROWS, steps=steps, **kwargs)
        self.target_seed = target_seed

    def points(self, labels: Tensor, is_target: bool, generator: Generator) -> Tensor:
        """The points (n, 2) of classes (n,) in one domain, with 0 as the grey."""
        raise NotImplementedError

    def load(self) -> tuple[Domain, Domain]:
        return Domain("source", *self.rows(is_target=False, seed=0)), Domain("target", *self.rows(is_target=True, seed=self.target_seed))

    def rows(self, is_target: bool, seed: int) -> tuple[Images, Images]:
        """What a domain is trained and tested on, which is the same."""
        labels = torch.arange(ROWS) % len(self.task.classes)
        pixels = torch.zeros(ROWS, 16)
        pixels[:, :2] = self.points(labels, is_target, Generator().manual_seed(seed))
        images = Images(0.5 + pixels.view(-1, 1, 4, 4) / 2, labels)
        return images, images


class Arcs(Plane):
    """Three arcs around the middle, a class each. The target's are turned by ``turn`` degrees, then scaled, then moved."""

    task = Classification(["first", "second", "third"])

    def __init__(
        self, turn: float = 0.0, scale: float = 1.0, move: Sequence[float] = (0.0, 0.0), width: float = 0.6, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.turn, self.scale, self.move, self.width = math.radians(turn), scale, torch.tensor(move), width

    def points(self, labels: Tensor, is_target: bool, generator: Generator) -> Tensor:
        angle = 2 * math.pi * labels / 3 + self.width * (2 * torch.rand(ROWS, generator=generator) - 1) + is_target * self.turn
        radius = 1.6 + 0.3 * torch.randn(ROWS, generator=generator)
        points = radius[:, None] * torch.stack((angle.cos(), angle.sin()), 1)
        return self.scale * points + self.move if is_target else points


class Shortcut(Plane):
    """Two classes that differ in both coordinates, in the first one more. In the target that one is the same for all."""

    task = Classification(["left", "right"])

    def points(self, labels: Tensor, is_target: bool, generator: Generator) -> Tensor:
        side = 2.0 * labels - 1
        first = torch.full_like(side, -0.4) if is_target else 1.5 * side
        return torch.stack((first, 0.7 * side), 1) + 0.3 * torch.randn(ROWS, 2, generator=generator)


class OpenArcs(Arcs):
    """Arcs of which the third is unknown: only the target has it."""

    @property
    def task(self) -> Classification:  # type: ignore[override]
        return self.classification(["first", "second", "third"])

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(target_private=["third"], **kwargs)


class Lamp(generators.Generator):
    """As small as a generator can be: it makes images brighter or darker, and their contrast higher or lower; at first, neither."""

    def build(self, channels: int, size: int) -> None:
        self.contrast, self.light = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.zeros(1))

    def translate(self, x: Tensor) -> Tensor:
        return self.contrast * x.clamp(-0.99, 0.99).atanh() + self.light


class Noise(Augment):
    """Noise on each pixel: in the plane, where to mirror or to cover means another class, an augmentation that keeps it."""

    def __init__(self, deviation: float = 0.2) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.deviation * torch.randn_like(x)


class Washed(Plane):
    """Four classes, a bright spot in a place of its own each; in the target all is brighter and has less contrast."""

    task = Classification(["first", "second", "third", "fourth"])

    def __init__(self, contrast: float = 0.3, light: float = 0.65, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contrast, self.light = contrast, light

    def rows(self, is_target: bool, seed: int) -> tuple[Images, Images]:
        generator = Generator().manual_seed(seed)
        labels = torch.arange(ROWS) % len(self.task.classes)
        pixels = 0.1 + 0.1 * torch.randn(ROWS, 16, generator=generator)
        pixels[torch.arange(ROWS), 5 * labels] += 0.5 + 0.3 * torch.rand(ROWS, generator=generator)
        pixels = pixels.clamp(0, 1)
        images = Images((self.light + self.contrast * pixels if is_target else pixels).view(-1, 1, 4, 4), labels)
        return images, images


class Mirror(Augment):
    """Every other image, by chance, mirrored."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(-1), x)


class Mirrored(Plane):
    """Two classes, a dark or a bright column at the left, among noise; in the target it is at the right."""

    task = Classification(["dark", "bright"])

    def rows(self, is_target: bool, seed: int) -> tuple[Images, Images]:
        labels = torch.arange(ROWS) % len(self.task.classes)
        pixels = 0.2 * torch.randn(ROWS, 1, 4, 4, generator=Generator().manual_seed(seed))
        pixels[..., 0] += 0.6 * (2.0 * labels - 1)[:, None, None]
        images = Images(0.5 + (pixels.flip(-1) if is_target else pixels) / 2, labels)
        return images, images


class Many(Plane):
    """Two classes that lie on both sides of the first coordinate; more rows than other toys, for what is estimated from them."""

    task = Classification(["left", "right"])
    count = 8 * ROWS

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_size = self.count

    def drawn(self, labels: Tensor, points: Tensor) -> tuple[Images, Images]:
        """Images of points (n, 2)."""
        pixels = torch.zeros(self.count, 16)
        pixels[:, :2] = points
        images = Images(0.5 + pixels.view(-1, 1, 4, 4) / 4, labels)
        return images, images


class Scarce(Many):
    """Half of the source's rows are of the first class, and one in ten of the target's; the classes overlap, and look alike."""

    def rows(self, is_target: bool, seed: int) -> tuple[Images, Images]:
        numbers = torch.arange(self.count)
        labels = (numbers % 10 > 0).long() if is_target else numbers % 2
        noise = torch.randn(self.count, 2, generator=Generator().manual_seed(seed))
        return self.drawn(labels, noise * torch.tensor([1.0, 0.0]) + torch.tensor([0.7, 0.0]) * (2.0 * labels - 1)[:, None])


class Rare(Many):
    """The second coordinate is high in few rows of the source, and in most of the target's: there the classes have changed sides."""

    def rows(self, is_target: bool, seed: int) -> tuple[Images, Images]:
        labels, generator = torch.arange(self.count) % 2, Generator().manual_seed(seed)
        place = 2.0 * (torch.rand(self.count, generator=generator) < (0.9 if is_target else 0.03)) - 1
        noise = torch.tensor([0.3, 0.4]) * torch.randn(self.count, 2, generator=generator)
        return self.drawn(labels, noise + torch.stack((-(2.0 * labels - 1) * place, place), 1))


class Two(Plane):
    """Two source domains of two classes, with points of their own each."""

    rows_of: Sequence[int] = (ROWS // 2, ROWS // 2)
    """The rows of the source domains."""

    @property
    def task(self) -> Task:
        task = Classification(["left", "right"])
        task.sources = ["first", "second"]
        return task

    def points_of(self, side: Tensor, domain: int, generator: Generator) -> Tensor:
        """The points (n, 2) of classes ``side`` (n,), -1 or 1, in source ``domain``, or in the target where that is 2."""
        raise NotImplementedError

    def images(self, count: int, domain: int, seed: int) -> Images:
        labels, generator = torch.arange(count) % 2, Generator().manual_seed(10 * seed + domain)
        pixels = torch.zeros(count, 16)
        pixels[:, :2] = self.points_of(2.0 * labels - 1, domain, generator)
        return Images(0.5 + pixels.view(-1, 1, 4, 4) / 2, labels)

    def load(self) -> tuple[Domain, Domain]:
        source = Pooled([self.images(count, domain, 0) for domain, count in enumerate(self.rows_of)])
        target = self.images(ROWS, 2, self.target_seed)
        return Domain("source", source, source), Domain("target", target, target)


class Spurious(Two):
    """The first coordinate is right of three in four rows everywhere; the second of nearly all in the sources, and of few in the target."""

    rows_of = (4 * ROWS, 4 * ROWS)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_size = 8 * ROWS

    def points_of(self, side: Tensor, domain: int, generator: Generator) -> Tensor:
        core, spurious = (torch.rand(len(side), generator=generator) < p for p in (0.75, (0.95, 0.75, 0.1)[domain]))
        points = torch.stack((side * (2.0 * core - 1), side * (2.0 * spurious - 1)), 1)
        return points + 0.1 * torch.randn(len(side), 2, generator=generator)


class Minority(Two):
    """The first coordinate is right by much, but wrong in the few rows of the second domain and in the target; the second, by little."""

    rows_of = (ROWS - 6, 6)

    def points_of(self, side: Tensor, domain: int, generator: Generator) -> Tensor:
        return torch.stack(((1.5 if domain == 0 else -1.5) * side, 0.5 * side), 1) + 0.5 * torch.randn(len(side), 2, generator=generator)


class Marked(Two):
    """The first coordinate tells the domain, and within it the class by much, in the target wrongly; the second tells the class alone."""

    def points_of(self, side: Tensor, domain: int, generator: Generator) -> Tensor:
        first = (-1.2, 1.2, 0.0)[domain] + (1.2, 1.2, -1.2)[domain] * side
        return torch.stack((first, 0.7 * side), 1) + 0.3 * torch.randn(len(side), 2, generator=generator)


class TwoShortcuts(Two):
    """As :class:`Shortcut`, with two sources whose shortcuts have different lengths."""

    def points_of(self, side: Tensor, domain: int, generator: Generator) -> Tensor:
        first = torch.full_like(side, -0.4) if domain == 2 else (1.5, 1.1)[domain] * side
        return torch.stack((first, 0.7 * side), 1) + 0.3 * torch.randn(len(side), 2, generator=generator)


class Codes(DomainPair):
    """Eight classes in the source and six others in the target: a weak code in the first four pixels, and strong noise in the others."""

    source, target = "known", "new"

    @property
    def task(self) -> Task:
        return Classification([f"code {number}" for number in range(14)])

    def load(self) -> tuple[Domain, Domain]:
        return Domain("known", self.drawn(range(8), 0)), Domain("new", self.drawn(range(8, 14), 1))

    def drawn(self, classes: Sequence[int], seed: int) -> Images:
        """Twelve images of each class, whose pixels of the code are dark or bright as the bits of its number."""
        generator, labels = Generator().manual_seed(seed), torch.tensor([c for c in classes for _ in range(12)])
        pixels = torch.rand(len(labels), 16, generator=generator)
        bits = (labels[:, None] + 1) >> torch.arange(4) & 1
        pixels[:, :4] = 0.35 + 0.3 * bits + 0.1 * torch.rand(len(labels), 4, generator=generator)
        return Images((255 * pixels).to(torch.uint8).view(-1, 1, 4, 4), labels)


def episodes(**options: Any) -> Episodes:
    """Small episodes of :class:`Codes`."""
    small = {"ways": 2, "shots": 2, "queries": 3, "episodes": 10, "steps": 6, "batch_size": 16, "holdout": 0.4}
    return Episodes(Codes(), **{**small, **options})
