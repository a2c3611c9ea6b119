"""Domain-adaptive pre-training."""

from typing import Any, ClassVar

from torch import Generator, Tensor, nn

from tlda.batch import PAD, Pair, Sample, Takes, TargetBatch
from tlda.inputs import joined
from tlda.method import Method
from tlda.tasks.masked_tokens import Masking, VocabularyHead
from tlda.training.checkpoint import forget


class MLM(Method):
    r"""Masked-language modelling on the target's texts, and the source's: a start for any other method, by its ``init_from``.

    .. math:: -\frac{1}{|M|} \sum_{i \in M} \log p(x_i \mid x_{\setminus M})

    Masked tokens are predicted (Devlin et al., NAACL 2019), on the target's texts before the task (Gururangan et al., ACL 2020). Neither
    head nor bottleneck is trained: a test measures chance, and other methods make their own.

    Args:
        share: the fraction of the tokens to predict.
        source: whether the source's texts are trained on too; no label is seen of either.
    """

    takes: ClassVar[Takes] = "tokens"
    takes_no_loss: ClassVar[str] = "MLM trains no features or predictions that a loss could look at"
    strict_loading = False  # its checkpoints have neither bottleneck nor head

    def __init__(self, *, share: float = 0.15, source: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source, self.masking, self.vocabulary = source, Masking(self.backbone, share), VocabularyHead(self.backbone)
        nn.ModuleList([self.head, self.bottleneck]).requires_grad_(False)

    @property
    def batch_type(self) -> type:
        return Pair if self.source else TargetBatch

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [*super().parameter_groups(), {"name": "vocabulary", "params": list(self.vocabulary.parameters()), "lr_multiplier": 1.0}]

    def training_step(self, batch: Pair | TargetBatch, batch_idx: int) -> Tensor:
        return self.total({"masked": self.loss(joined([domain.x for domain in batch]))})

    def loss(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """The mean cross-entropy of the masked tokens of ``x``, (n, l) or (n, l, k), in nats."""
        ids = x if x.ndim == 2 else x[..., 0]
        return self.vocabulary.loss(ids, *self.masking(ids, generator))

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        loss = self.loss(batch.x, Generator().manual_seed(batch_idx))  # always the same tokens, so that epochs compare
        name, tokens = f"val/{('source', 'target')[dataloader_idx]}/masked", int((batch.x != PAD).sum())
        self.log(name, loss, add_dataloader_idx=False, batch_size=tokens, sync_dist=True)

    def on_validation_epoch_end(self) -> None: ...  # nothing else is measured: the head is not trained

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        forget(checkpoint, "network.bottleneck.", "network.head.")  # not trained: a method that starts from it makes its own
