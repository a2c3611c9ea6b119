"""Domain-adversarial training among the sources alone."""

from typing import Any, ClassVar

from tlda.batch import SourceBatch
from tlda.losses import MultiDomainAdversarial
from tlda.methods.several_sources import SeveralSources


class SourceAdversary(SeveralSources):
    """DANN across sources: features that hide which source a row is of, as DomainBed has it (Ganin et al., JMLR 2016).

    No target is looked at.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
    """

    setting: ClassVar[str] = "generalisation"

    def __init__(self, *, trade_off: float = 1.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", MultiDomainAdversarial(trade_off, len(self.task.sources), hidden))

    @property
    def batch_type(self) -> type:
        return SourceBatch
