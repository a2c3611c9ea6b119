"""The base class of self-supervised methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from tlda.batch import Batch, Pair, SourceBatch, Takes, TargetBatch
from tlda.data.augment import ColourJitter, PerImage, RandomAffine
from tlda.data.augmenting import Augment
from tlda.inputs import joined
from tlda.method import Method
from tlda.training.probing import Probed, Worth

Domains = Literal["both", "source", "target"]
BATCHES: dict[str, type] = {"both": Pair, "source": SourceBatch, "target": TargetBatch}


class Pretraining(Probed, Method, ABC):
    """The base of methods that learn features from images without labels: a start for any other, by its ``init_from``.

    A subclass puts its layers into ``self.learnt`` in ``__init__``, and gives :meth:`terms`. Answers are those of a linear
    probe on labelled rows of the source, which teaches the features nothing; others start without it.

    Args:
        domains: whose training images are learnt from: those of ``both``, the ``source`` or the ``target``.
        views: what makes a view of an image, in order; a random affine map, brightness, contrast and blur where none is given.
    """

    few_labels_fit = False
    setting: ClassVar[str] = "pretraining"
    takes: ClassVar[Takes] = "images"
    whole_inputs: ClassVar[str] = "learns the features of whole images"
    takes_no_loss: ClassVar[str] = "pre-training compares views of one image, and has no source and target that a loss could compare"
    strict_loading = False  # its checkpoints have no head: a method that starts from one makes its own

    def __init__(self, *, domains: Domains = "both", views: Sequence[Augment] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        usual = (RandomAffine(15.0, 0.1, 0.2, 10.0), ColourJitter(0.4, 0.4), PerImage("GaussianBlur", {"kernel_size": 3}))
        self.domains, self.views = domains, nn.Sequential(*(usual if views is None else views))
        self.worth, self.learnt = Worth(self.task, self.num_features), nn.ModuleDict()
        self.head.requires_grad_(False)

    @property
    def batch_type(self) -> type:
        return BATCHES[self.domains]

    @abstractmethod
    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The terms by name, whose sum is minimised, of images (n, c, h, w) in 0..1."""

    def compared(self, features: Tensor) -> Tensor:
        """What the loss looks at of features (n, d): their projection, where there is one."""
        return cast(Tensor, self.learnt["projector"](features)) if "projector" in self.learnt else features

    def view(self, x: Tensor) -> Tensor:
        """A view of each image, drawn anew; at full precision, since autocast would blur where a pixel is read."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            seen: Tensor = self.views(x)
        return seen

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [*super().parameter_groups(), {"name": "learnt", "params": list(self.learnt.parameters()), "lr_multiplier": 1.0}]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.total(self.terms(joined([domain.x for domain in batch])))
