"""Two towers, of images and of texts, trained on images and the names of their classes."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.backbones.prompt_head import PromptHead
from tlda.backbones.text_tower import PROMPTS, tower_of
from tlda.batch import Sample, SourceBatch
from tlda.losses import clip
from tlda.method import Method


class ImageText(Method):
    """Each image and its class's name find each other in a batch (CLIP; Radford et al., ICML 2021; locked: Zhai et al., CVPR 2022).

    The backbone is a :class:`tlda.backbones.Towers`. One row per class of a batch takes part, since a second one's text would be the
    same: give ``--data.balanced true``. It answers by the names of the classes, and any method starts from its checkpoint, by
    ``--model.init_from`` and ``--model.head.text backbone``, for classes that it has not seen.

    Args:
        prompts: the sentences that a name is put into, with ``{}`` each: one at random in training; the directions' mean in answers.
    """

    setting: ClassVar[str] = "pretraining"
    reads_classes: ClassVar[bool] = True
    takes_no_loss: ClassVar[str] = "images and texts are compared with each other, not source and target"
    few_labels_fit = False

    def __init__(self, *, prompts: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        backbone = self.network.backbone
        self.network.replace_head(PromptHead(tower_of(backbone), backbone.modules(), self.task.classes, prompts or PROMPTS))

    @property
    def prompted(self) -> PromptHead:
        """The head."""
        head = self.network.head
        assert isinstance(head, PromptHead)  # made above
        return head

    def training_step(self, batch: SourceBatch, batch_idx: int) -> Tensor:
        return self.total(self.terms(batch.source))

    def terms(self, rows: Sample) -> dict[str, Tensor]:
        """The terms by name of labelled images, of which the first of each class takes part."""
        first = (rows.y[:, None] == rows.y).float().argmax(1) == torch.arange(len(rows.y), device=rows.y.device)
        first &= rows.y >= 0
        drawn = torch.randint(self.prompted.shape[1], (int(first.sum()),), device=rows.y.device)
        texts = self.prompted.texts(rows.y[first], drawn)
        return {"clip": clip(self.features(rows.x)[first], texts, self.prompted.tower[0].temperature)}
