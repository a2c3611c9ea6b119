"""DAPL."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.backbones.domain_prompts import DomainPrompts
from tlda.backbones.prompt_head import PromptHead
from tlda.backbones.text_tower import tower_of
from tlda.batch import Output, Pair
from tlda.errors import UserError
from tlda.finetuning import LinearProbe, Tuning
from tlda.inputs import joined, split
from tlda.losses import pseudo_label
from tlda.method import Method


class DAPL(Method):
    r"""Prompts learn with words of their own for each domain, by the source's labels and confident zero-shot answers (Ge et al., 2022).

    .. math:: -\frac{1}{n} \sum_i \log p^s_{i, y_i} - \frac{1}{m} \sum_{j : \max q_j \ge \tau} \log p^t_{j, \hat{y}_j}

    The probabilities :math:`p` are over the classes of both domains, so that an image is contrasted with the names in the other domain too;
    :math:`q` is zero-shot, and :math:`\hat{y}` its likeliest class. ``train/confident`` is the fraction of a batch that has such a label.
    Both towers stay. The backbone is a :class:`tlda.backbones.CLIP` or :class:`tlda.backbones.Towers`.

    Args:
        threshold: the probability :math:`\tau` from which an answer of zero-shot is a label.
        trade_off: the weight of the target's term; the paper's is 1.
        words: what the vectors that both domains share are at first, of which there is one per token; zero-shot has these words alone.
        domain_words: what the vectors of each domain are at first; the name and a full stop follow.
        tuning: how far the image tower is fine-tuned beside them; not at all where none is given.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(
        self,
        *,
        threshold: float = 0.6,
        trade_off: float = 1.0,
        words: str = "a photo of a",
        domain_words: str = "picture of a",
        tuning: Tuning | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tuning=tuning or LinearProbe(), **kwargs)
        if not words.strip() or not domain_words.strip():
            raise UserError("DAPL learns a vector per token of --model.words and of --model.domain_words: give some of both")
        self.threshold, self.trade_off = threshold, trade_off
        tower, inside = tower_of(self.network.backbone), list(self.network.backbone.modules())
        self.zero_shot = PromptHead(tower, inside, self.task.classes, [f"{words} {{}}."])
        self.network.replace_head(DomainPrompts(tower, inside, self.task.classes, words, domain_words))

    @property
    def batch_type(self) -> type:
        return Pair

    def forward_pair(self, batch: Pair) -> tuple[Output, Output]:
        """The features of both domains, and their logits (n, 2 classes) of which those by the source's words come first."""
        inputs, head = [domain.x for domain in batch], self.network.head
        assert isinstance(head, DomainPrompts)  # made above
        features = self.features(joined(inputs))
        source, target = split(Output(features, head.of_both(features)), inputs)
        return source, target

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        with torch.no_grad():
            names = self.zero_shot.eval()(target.features)
        self.log("train/confident", (names.softmax(1).amax(1) >= self.threshold).float().mean())
        told = torch.cat((torch.full_like(names, -torch.inf), names), 1)
        own = [Output(source.features, source.logits[:, : names.shape[1]]), Output(target.features, target.logits[:, names.shape[1] :])]
        return {
            "task": self.task_loss(source.logits, batch.source.y),
            "pseudo": self.trade_off * pseudo_label(target.logits, self.threshold, labels_from=told),
            **self.added(batch, *own),
        }
