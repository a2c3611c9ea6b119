"""Universal adaptation network."""

from typing import Any, ClassVar, cast

from tlda.batch import Inputs, Output
from tlda.losses import UniversalAdversarial, uan_weight
from tlda.method import Method
from tlda.metrics.rejection import with_unknown


class UAN(Method):
    """DANN in which rows weigh by how likely they are of a shared class, by which they are rejected too (You et al., CVPR 2019).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        reject_below: the weight, in -1..1, below which a row is unknown: the authors' w0.
        hidden: the width of the domain discriminators' hidden layers.
        discriminator_norm: whether BatchNorm follows each of them, as in the common library.
    """

    setting: ClassVar[str] = "universal"

    def __init__(
        self,
        *,
        trade_off: float = 1.0,
        reject_below: float = -0.5,
        hidden: int = 1024,
        discriminator_norm: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reject_below = reject_below
        self.add_loss("domain", UniversalAdversarial(trade_off, hidden, batch_norm=discriminator_norm))

    def answer(self, x: Inputs, domain: str) -> Output:
        output, loss = super().answer(x, domain), cast(UniversalAdversarial, self.losses["domain"])
        similarity = loss.similarity(output.features).float().flatten().sigmoid()
        return output._replace(logits=with_unknown(output.logits, self.reject_below - uan_weight(similarity, output.logits)))
