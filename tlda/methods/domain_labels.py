"""Domain-adversarial training with the sources told apart."""

from typing import Any, ClassVar

from tlda.losses import MultiDomainAdversarial
from tlda.methods.several_sources import SeveralSources


class DomainLabels(SeveralSources):
    """DANN whose discriminator has a class for each source domain and one for the target (Ganin et al., JMLR 2016).

    DANN itself pools the sources.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
    """

    setting: ClassVar[str] = "multi-source"

    def __init__(self, *, trade_off: float = 1.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", MultiDomainAdversarial(trade_off, len(self.task.sources) + 1, hidden))
