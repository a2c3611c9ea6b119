"""MAML whose steps change the head alone."""

from typing import Any

from tlda.methods.few_shot.maml import MAML


class ANIL(MAML):
    r"""The steps on the examples change the head alone, and the features stay as they were learnt (Raghu et al., ICLR 2020).

    .. math:: \phi' = \phi - \alpha \nabla_\phi L_{support}(\theta, \phi), \quad \min_{\theta, \phi} L_{query}(\theta, \phi')

    The head has the weights :math:`\phi`, the rest of the network :math:`\theta`.
    """

    inner = "head."

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
