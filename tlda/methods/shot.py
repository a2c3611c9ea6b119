"""Source hypothesis transfer."""

from typing import Any, ClassVar, Literal

from torch import Tensor, empty
from torch.nn.functional import cross_entropy

from tlda.batch import Output, TargetBatch
from tlda.losses import entropy, information_maximization
from tlda.methods.source_free import SourceFree
from tlda.optim import part_of
from tlda.training.target import pseudo_labels_by_row


class SHOT(SourceFree):
    """Source-free: the source's head stays, and the features learn to fit it on the target alone (Liang et al., ICML 2020).

    It starts from ``init_from``, trained on the source, and makes pseudo-labels of all target rows anew each epoch. The authors smooth
    the source's labels; their networks have BatchNorm in the bottleneck and a head with normalised weights.

    Args:
        trade_off: the weight of the cross-entropy to the pseudo-labels, the paper's beta; 0.1 in its digits.
        variant: the authors' for a target of other classes: ``partial``, where predictions need not be diverse, and a class that is the
            likeliest of fewer than 10 rows is no pseudo-label; ``open``, where the more certain of two groups of rows alone is learnt.
    """

    takes_no_loss: ClassVar[str] = "SHOT sees no source, which a loss could compare the target with"

    def __init__(self, *, trade_off: float = 0.3, variant: Literal["partial", "open"] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.variant = trade_off, variant
        self.head.requires_grad_(False)
        self.pseudo_labels = empty(0)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [group for group in super().parameter_groups() if part_of(group) != "head"]

    def on_fit_start(self) -> None:
        self.require_origin(bool(len(self.pseudo_labels)))  # a checkpoint to go on from brings them, after setup
        super().on_fit_start()

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.pseudo_labels = pseudo_labels_by_row(self, 10 if self.variant == "partial" else 0, self.variant == "open")

    def get_extra_state(self) -> Tensor:  # for a run that goes on in mid-epoch
        return self.pseudo_labels

    def set_extra_state(self, state: Tensor) -> None:
        self.pseudo_labels = state

    def objective(self, batch: TargetBatch, source: Output, target: Output) -> dict[str, Tensor]:
        labels, logits = self.pseudo_labels.to(self.device)[batch.target.row], target.logits
        if self.variant == "open":
            labels, logits = labels[labels >= 0], logits[labels >= 0]
            if not len(labels):
                return {"pseudo_label": 0.0 * target.logits.sum()}
        information = entropy(logits) if self.variant == "partial" else information_maximization(logits)
        return {"information": information, "pseudo_label": self.trade_off * cross_entropy(logits, labels)}
