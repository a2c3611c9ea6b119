"""Label-free measures of a network on the target, which may choose a checkpoint or a setting."""

from tlda.metrics.validators.base import Validator, thin
from tlda.metrics.validators.certainty import (
    BNM,
    SND,
    Entropy,
    InformationMaximization,
    information_maximization,
    nuclear_norm,
    soft_neighborhood_density,
)
from tlda.metrics.validators.collection import VALIDATORS, Validators
from tlda.metrics.validators.importance import (
    DEV,
    IWCV,
    deep_embedded_risk,
    errors,
    importance_weighted_risk,
)
from tlda.metrics.validators.mixing import MixVal, interpolation_consistency, mixval

__all__ = [
    "BNM",
    "DEV",
    "IWCV",
    "SND",
    "VALIDATORS",
    "Entropy",
    "InformationMaximization",
    "MixVal",
    "Validator",
    "Validators",
    "deep_embedded_risk",
    "errors",
    "importance_weighted_risk",
    "information_maximization",
    "interpolation_consistency",
    "mixval",
    "nuclear_norm",
    "soft_neighborhood_density",
    "thin",
]
