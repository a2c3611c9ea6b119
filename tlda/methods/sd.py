"""Spectral decoupling as a method."""

from typing import Any, ClassVar

from tlda.losses import SD as SpectralDecoupling
from tlda.method import Method


class SD(Method):
    """Spectral decoupling: small logits, so that the first feature found leaves room for others (Pezeshki et al., NeurIPS 2021).

    Args:
        trade_off: the weight of the squared logits; DomainBed's is 0.1.
    """

    setting: ClassVar[str] = "generalisation"

    def __init__(self, *, trade_off: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("decoupling", SpectralDecoupling(trade_off))
