"""Source hypothesis transfer."""

from typing import Any, ClassVar

from torch import Tensor, empty
from torch.nn.functional import cross_entropy

from tlda.batch import Output, TargetBatch
from tlda.losses import information_maximization
from tlda.methods.source_free import SourceFree
from tlda.training.target import pseudo_labels_by_row


class SHOT(SourceFree):
    """Source-free: the source's head stays, and the features learn to fit it on the target alone (Liang et al., ICML 2020).

    It starts from ``init_from``, trained on the source, and makes pseudo-labels of all target rows anew each epoch. The authors smooth
    the source's labels; their networks have BatchNorm in the bottleneck and a head with normalised weights.

    Args:
        trade_off: the weight of the cross-entropy to the pseudo-labels, the paper's beta; 0.1 in its digits.
    """

    takes_no_loss: ClassVar[str] = "SHOT sees no source, which a loss could compare the target with"

    def __init__(self, *, trade_off: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off = trade_off
        self.head.requires_grad_(False)
        self.pseudo_labels = empty(0)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [group for group in super().parameter_groups() if group["name"] != "head"]

    def on_fit_start(self) -> None:
        self.require_origin(bool(len(self.pseudo_labels)))  # a checkpoint to go on from brings them, after setup
        super().on_fit_start()

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.pseudo_labels = pseudo_labels_by_row(self)

    def get_extra_state(self) -> Tensor:  # for a run that goes on in mid-epoch
        return self.pseudo_labels

    def set_extra_state(self, state: Tensor) -> None:
        self.pseudo_labels = state

    def objective(self, batch: TargetBatch, source: Output, target: Output) -> dict[str, Tensor]:
        pseudo = cross_entropy(target.logits, self.pseudo_labels.to(self.device)[batch.target.row])
        return {"information": information_maximization(target.logits), "pseudo_label": self.trade_off * pseudo}
