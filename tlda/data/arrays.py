"""Images that live in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tlda.batch import Sample


@dataclass
class Images:
    """Images of bytes (n, c, h, w) and their classes (n,): a batch is one indexing."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(self.images[rows], self.labels[rows], rows)
