"""What becomes of a batch before a method sees it: floats, augmented, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from tlda.batch import Batch, Episode, FewPair, FewSource, Inputs, Pair, Paired, Sample, SourceBatch, Unlabelled
from tlda.errors import UserError
from tlda.inputs import merged
from tlda.options.recorded import Recorded

Moved = TypeVar("Moved", bound=tuple[Any, ...])
"""A batch: any NamedTuple."""

OneDomain = TypeVar("OneDomain", bound=Sample | Unlabelled | Episode)
"""The part of a batch that is of one domain."""

Same = TypeVar("Same", bound=Inputs)


class Augment(Recorded, torch.nn.Module):
    """The base of augmentations: a batch of images in 0..1, (n, c, h, w), to another, on its device."""

    crops: ClassVar[bool] = False
    """Whether it cuts squares out of the images as they were read, bytes of any shape; it comes before all that do not."""

    moves: bool | None = None
    """Whether it moves what is in an image, and changes each channel of it alike, so that a mask can be moved with its image; False where
    every pixel stays in its place. Where a class does not say, images with masks cannot have it."""

    sees_target: ClassVar[bool] = False
    """Whether it changes the source's images by the target's, so that both are read for a method that trains on the source alone."""

    def domains(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The images of each domain of a training batch, changed: each for itself, unless a subclass looks at all."""
        return [self(x) for x in images]


class Augmenting(Recorded, LightningDataModule):
    """The base of data whose batches are made floats, and augmented where they are trained on, on their device."""

    augment: list[Augment]

    window: Augment | None = None
    """Cuts a training batch out of images that are larger than the network's, where no augmentation does; None where none are."""

    @property
    def batch_type(self) -> type:
        """The type of the method's training batch, whose fields say what is read."""
        raise NotImplementedError

    def transfer_batch_to_device(self, batch: Moved, device: torch.device, dataloader_idx: int) -> Moved:
        # A batch that is there already is not walked through: that costs a small net a percent of its step.
        moved: Moved = batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved

    def on_after_batch_transfer(self, batch: Moved, dataloader_idx: int) -> Moved:
        """Make floats of the images of a batch, and augment those of a training batch."""
        training = self.trainer is not None and self.trainer.training
        whole: Any = batch
        is_part = isinstance(whole, Sample | Unlabelled | Episode | Paired)
        prepared: Any = self.prepare(whole) if is_part else self._changed(whole, training)
        prepared = merged(prepared) if isinstance(prepared, FewSource | FewPair) else prepared
        if isinstance(prepared, Pair) and self.batch_type is SourceBatch:
            prepared = SourceBatch(prepared.source)  # the target has lent its style, and the method sees no more of it
        moved: Moved = prepared
        return moved

    def as_trained(self, batch: OneDomain) -> OneDomain:
        """A batch of one domain's training rows as a step sees it, but without augmentation."""
        return self.on_after_batch_transfer(batch, 0)

    def augmented(self, batch: Batch) -> Batch:
        """A training ``batch`` as a step sees it: floats, augmented."""
        changed: Batch = self._changed(batch, True)
        return changed

    def _changed(self, batch: Any, training: bool) -> Any:
        cropping, changing = self._changes() if training else ([], [])
        domains = list(batch)
        for change in cropping:
            domains = self.apply(change, domains)
        domains = [self.prepare(domain) for domain in domains]
        for change in changing:
            if not isinstance(domains[0].x, Tensor) or domains[0].x.ndim != 4:
                shape = tuple(domains[0].x.shape) if isinstance(domains[0].x, Tensor) else "images with texts"
                raise UserError(f"--data.augment changes images (n, c, h, w), and these inputs are {shape}: leave it out")
            domains = self.apply(change, domains)
        return type(batch)(*domains)

    def apply(self, change: Augment, domains: Sequence[OneDomain]) -> list[OneDomain]:
        """The ``domains`` of a training batch after an augmentation of their images."""
        images = change.domains([domain.x for domain in domains])
        changed: Any = [domain._replace(x=x) for domain, x in zip(domains, images, strict=True)]
        whole: list[OneDomain] = changed
        return whole

    def _changes(self) -> tuple[list[Augment], list[Augment]]:
        """The augmentations of a training batch: what cuts images as they were read, then what changes those in 0..1."""
        cropping = [change for change in self.augment if change.crops]
        return cropping or ([self.window] if self.window else []), [change for change in self.augment if not change.crops]

    @staticmethod
    def prepare(domain: OneDomain) -> OneDomain:
        """Images of bytes as floats in 0..1, on the batch's device; token ids as they are."""
        given: Any = domain
        if isinstance(given, Paired):
            prepared: Any = given._replace(a=as_floats(given.a), b=as_floats(given.b))
        else:
            spread = given.domain if given.domain.ndim else given.domain.expand(len(given.row))
            prepared = given._replace(x=as_floats(given.x), domain=spread)
        whole: OneDomain = prepared
        return whole


def as_floats(x: Same) -> Same:
    """Images of bytes as floats in 0..1; other tensors as they are; a NamedTuple field by field."""
    floats: Same = _as_floats(x)
    return floats


def _as_floats(x: Any) -> Any:
    if isinstance(x, tuple):
        return type(x)(*map(_as_floats, x))
    return x.float().div_(255.0) if x.dtype == torch.uint8 else x
