"""Graph spectral alignment."""

from typing import Any

from tlda.losses import DomainAdversarial, GraphSpectra
from tlda.methods.atdoc import ATDOC


class SPA(ATDOC):
    """The graphs of both domains' features get one spectrum, an adversary aligns them, and near rows label (Xiao et al., NeurIPS 2023).

    What near rows say is :class:`ATDOC`'s, and the adversary DANN's, which the paper has among its choices.

    Args:
        trade_off: the weight of the pseudo-labels' cross-entropy at the end of the run.
        neighbours: how many rows make a pseudo-label.
        temperature: sharpens the predictions in the bank; 1 leaves them.
        spectral: the weight of the distance of the spectra.
        adversarial: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
    """

    def __init__(self, *, spectral: float = 1.0, adversarial: float = 1.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", DomainAdversarial(adversarial, hidden))
        self.add_loss("spectra", GraphSpectra(spectral))
