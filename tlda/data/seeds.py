"""The seed of a run, which has this one reader, and the random numbers that follow from it where rows are read."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler


def run_seed() -> int:
    """The seed that ``seed_everything`` was given last; 0 where it was not called."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


def seed_from(*numbers: int) -> int:
    """A seed of 63 bits that any change of ``numbers`` changes."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Draw from ``seed`` within the block: torch's numbers on the processor, numpy's and Python's. The run's go on after it as before."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def may_draw(data: object) -> bool:
    """Whether reading rows of ``data`` may draw random numbers, as a transform of the user's own does; tlda's readers draw none."""
    if data is None or isinstance(data, Tensor):
        return False
    inner = (getattr(data, "data", None), *getattr(data, "parts", ()))
    return not type(data).__module__.startswith("tlda.") or any(map(may_draw, inner))


class Numbered(Sampler[tuple[int, Tensor]]):
    """The batches of ``sampler``, each with a seed of its own: a function of ``numbers``, the epoch, and its number in the epoch."""

    def __init__(self, sampler: Any, *numbers: int) -> None:
        self.sampler, self.numbers = sampler, numbers

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch, and on resume."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        epoch, first = getattr(self.sampler, "epoch", 0), getattr(self.sampler, "done", 0)
        for number, rows in enumerate(self.sampler, first):
            yield seed_from(*self.numbers, epoch, number), rows


class Seeded(Dataset[Any]):
    """The rows of ``data``, each batch of which is read with random numbers of its own seed, in whichever process it is read."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: tuple[int, Tensor]) -> Any:
        seed, rows = index
        with drawing(seed):
            return self.data[rows]
