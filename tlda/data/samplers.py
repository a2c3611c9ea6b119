"""Samplers: the rows of each batch are a function of seed and epoch alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.utils.data import Sampler

from tlda.errors import UserError

ALONE: ContextVar[bool] = ContextVar("ALONE", default=False)
"""Whether loaders are made for one process, of however many."""


@contextmanager
def by_one_process() -> Iterator[None]:
    """Within the block, loaders are made that give all rows to the process that makes them, and not its part."""
    token = ALONE.set(True)
    try:
        yield
    finally:
        ALONE.reset(token)


class Steps(Sampler[Tensor]):
    """A fixed number of training batches an epoch, from shuffled passes over the data.

    The order depends on (seed, epoch) alone, whatever the number of processes: together they take the batches that one
    process with a batch as large as theirs together would take. So unequal domains, several GPUs and exact resume work.

    Args:
        size: the rows of the data set.
        batch_size: the rows of one batch of one process.
        steps: the batches of an epoch; by default one pass, without the last incomplete batch.
        seed: the seed of the order.
        rank: this process.
        world_size: the number of processes.
    """

    def __init__(self, size: int, batch_size: int, steps: int | None = None, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.size, self.batch_size, self.seed, self.rank, self.world_size = size, batch_size, seed, rank, world_size
        self.steps = steps or max(1, size // (batch_size * world_size))
        self.epoch = self.done = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch, and on resume."""
        if epoch != self.epoch:
            self.go_on(epoch, 0)

    def go_on(self, epoch: int, done: int) -> None:
        """Begin the next pass in ``epoch`` after its first ``done`` batches, as a run does that goes on from a checkpoint."""
        self.epoch, self.done = epoch, done

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.order()[self.done :, self.rank])

    def order(self) -> Tensor:
        """The rows of every batch of the epoch, (steps, processes, batch size)."""
        rows = self.steps * self.batch_size * self.world_size
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        passes = [torch.randperm(self.size, generator=generator) for _ in range(-(-rows // self.size))]
        return torch.cat(passes)[:rows].view(self.steps, self.world_size, self.batch_size)


class Buckets(Steps):
    """:class:`Steps` whose batches hold texts of like lengths, so that little of a batch is padding.

    The rows of some following batches are sorted by length together and cut into batches anew, which come in an order of their own. That
    order is the same for both domains, so that short texts meet short ones. Which rows an epoch has stays as it was.

    Args:
        lengths: the length of each row, (size,).
        batch_size: the rows of one batch of one process.
        steps: the batches of an epoch.
        seed: the seed of the rows.
        rank: this process.
        world_size: the number of processes.
        order_seed: the seed of the order of the batches, one for both domains.
        window: how many batches are sorted together.
    """

    def __init__(
        self,
        lengths: Tensor,
        batch_size: int,
        steps: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        order_seed: int = 0,
        window: int = 50,
    ) -> None:
        super().__init__(len(lengths), batch_size, steps, seed, rank, world_size)
        self.lengths, self.order_seed = lengths, order_seed
        # No more than a pass over the data, or one batch would hold a row twice.
        self.window = max(1, min(window, self.size // (batch_size * world_size)))

    def order(self) -> Tensor:
        order = super().order()
        windows = [part.flatten() for part in torch.split(order, self.window)]
        order = torch.cat([part[self.lengths[part].argsort(stable=True)] for part in windows]).view(order.shape)
        generator = torch.Generator().manual_seed(self.order_seed * 1_000_003 + self.epoch)
        return order[torch.randperm(self.steps, generator=generator)]


class Balanced(Steps):
    """:class:`Steps` whose batches each have all classes equally often, or once more: shuffled passes over the rows of each class.

    Args:
        labels: the class of each row, (size,); rows of none, at -1, are left out.
        batch_size: the rows of one batch of one process.
        steps: the batches of an epoch.
        seed: the seed of the rows.
        rank: this process.
        world_size: the number of processes.
    """

    def __init__(self, labels: Tensor, batch_size: int, steps: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(len(labels), batch_size, steps, seed, rank, world_size)
        self.rows = [(labels == c).nonzero().flatten() for c in sorted({*labels[labels >= 0].tolist()})]

    def order(self) -> Tensor:
        """The rows of an epoch, (steps, world_size, batch_size): in each batch all classes as often, but for one."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        count, batches = len(self.rows), self.steps * self.world_size
        # Rounds of all classes, each in an order of its own; the last round of a batch is cut.
        rounds = torch.rand(batches, -(-self.batch_size // count), count, generator=generator).argsort(2)
        classes = rounds.flatten(1)[:, : self.batch_size].flatten()
        order = torch.empty_like(classes)
        for number, own in enumerate(self.rows):
            places = (classes == number).nonzero().flatten()
            passes = [own[torch.randperm(len(own), generator=generator)] for _ in range(-(-len(places) // len(own)))]
            order[places] = torch.cat(passes)[: len(places)]
        return order.view(self.steps, self.world_size, self.batch_size)


class RareClasses(Steps):
    """:class:`Steps` that draws a class and then an image that has it, rare classes more often (Hoyer et al., CVPR 2022, eq. 9-10).

    Args:
        counts: the pixels of each class in each image, (size, classes).
        temperature: the lower, the more the rarest classes are drawn, see :func:`chances`; the authors' is 0.01.
        batch_size: the rows of one batch of one process.
        steps: the batches of an epoch.
        seed: the seed of the rows.
        rank: this process.
        world_size: the number of processes.
    """

    def __init__(
        self, counts: Tensor, temperature: float, batch_size: int, steps: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(len(counts), batch_size, steps, seed, rank, world_size)
        self.chances = chances(counts, temperature)
        self.rows = [(counts[:, c] > 0).nonzero().flatten() for c in range(counts.shape[1])]

    def order(self) -> Tensor:
        """The rows of an epoch, (steps, world_size, batch_size), each drawn anew."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        count = self.steps * self.world_size * self.batch_size
        classes = torch.multinomial(self.chances, count, replacement=True, generator=generator)
        places = torch.rand(count, generator=generator, dtype=torch.float64)
        drawn = [self.rows[c][int(place * len(self.rows[c]))] for c, place in zip(classes.tolist(), places.tolist(), strict=True)]
        return torch.stack(drawn).view(self.steps, self.world_size, self.batch_size)


def chances(counts: Tensor, temperature: float) -> Tensor:
    r"""The probability of each class (classes,) of its pixels in each image (n, classes); 0 of one that has none.

    .. math:: P(c) \propto \exp((1 - f_c) / T)

    Here f_c is the fraction of all labelled pixels that have the class.

    Raises:
        UserError: no pixel has a class.
    """
    pixels = counts.sum(0).double()
    if not pixels.any():
        raise UserError("--data.rare_classes draws images by their classes, and no pixel of these has one: leave it out")
    return ((1 - pixels / pixels.sum()) / temperature).masked_fill(pixels == 0, -math.inf).softmax(0)


class Once(Sampler[Tensor]):
    """Every row once, for evaluation: no row is repeated to fill a process, and all have as many batches.

    They come in one shuffled order, the same each time, because folders are read class by class, and what looks at a batch as
    a whole (adaptation at test time, mixtures) wants one like the domain.

    Texts come by length instead, so that little of a batch is padding.

    Args:
        size: the rows of the data set.
        batch_size: the most rows of a batch.
        rank: this process.
        world_size: the number of processes.
        lengths: the length of each row, (size,), where they differ.
    """

    def __init__(self, size: int, batch_size: int, rank: int = 0, world_size: int = 1, lengths: Tensor | None = None) -> None:
        rows = torch.randperm(size, generator=torch.Generator().manual_seed(0))
        if lengths is not None:
            rows = rows[lengths[rows].argsort(stable=True)]
        rows = rows[rank::world_size]
        self.batches = torch.tensor_split(rows, math.ceil(math.ceil(size / world_size) / batch_size))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)
