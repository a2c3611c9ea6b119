"""Separate to adapt."""

from typing import Any, ClassVar, cast

from torch import Tensor
from torch.nn.functional import cross_entropy

from tlda.batch import Output, Pair
from tlda.losses import SeparationAdversarial, extremes
from tlda.losses.entropy import entropy_of
from tlda.methods.unknown_class import UnknownClass
from tlda.nn.numerics import log_probabilities


class STA(UnknownClass):
    """Rows that are little like any class teach which are unknown; DANN aligns the others, a class takes those (Liu et al., CVPR 2019).

    The authors' code learns which rows are unknown on features that stay, and then keeps it; here that goes on on those that adapt.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp; the authors' weight of the adversary.
        entropy: the weight of the entropy of the target's predictions of known classes, of rows by how likely they are known; theirs.
        unknown: the weight of the cross-entropy of the unknown class on the rows that are most likely unknown; theirs.
        separate: the fraction of the run in which rows are told apart alone, before alignment; theirs is 900 of 2,800 steps.
        share: the fraction of a batch's target rows that teach what is known, and unknown, and that the unknown class takes; theirs.
        hidden: the width of the discriminators' hidden layers.
        discriminator_norm: whether BatchNorm follows each of them.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(
        self, *, trade_off: float = 0.3, entropy: float = 0.1, unknown: float = 0.3, separate: float = 0.3, share: float = 0.0625,
        hidden: int = 1024, discriminator_norm: bool | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.entropy, self.unknown, self.separate = entropy, unknown, separate
        self.add_loss("domain", SeparationAdversarial(trade_off, hidden, share, separate, batch_norm=discriminator_norm))

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        loss, terms = cast(SeparationAdversarial, self.losses["domain"]), super().objective(batch, source, target)
        if self.progress < self.separate:
            return terms
        certain = loss.known_weights(target.features) * entropy_of(log_probabilities(target.logits[:, :-1]))
        rows, _ = extremes(loss.unknown(target.features).detach(), loss.share)
        last = rows.new_full(rows.shape, target.logits.shape[1] - 1)
        return {
            **terms,
            "entropy": self.entropy * certain.sum(),
            "unknown": self.unknown * cross_entropy(target.logits[rows].float(), last),
        }
