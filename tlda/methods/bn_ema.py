"""BatchNorm by a moving average over the target's batches."""

from typing import ClassVar

from tlda.methods.bn_alpha import BNAlpha


class BNEMA(BNAlpha):
    r"""The target is normalised by a moving average of its statistics that begins with the source's (Schneider et al., NeurIPS 2020).

    .. math:: \mu \leftarrow \alpha \mu_t + (1 - \alpha) \mu, \quad \sigma^2 \leftarrow \alpha \sigma_t^2 + (1 - \alpha) \sigma^2

    Args:
        alpha: the weight of the latest batch's statistics.
    """

    follows: ClassVar[bool] = True
