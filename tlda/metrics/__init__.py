"""Measures: label-free ones that may select, beside accuracies that may not."""

from tlda.metrics.calibration import calibration_error, temperature, vector_scaling
from tlda.metrics.unknown import h_score
from tlda.metrics.validators import BNM, DEV, IWCV, SND, VALIDATORS, Entropy, InformationMaximization, MixVal, Validator, Validators

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
    "calibration_error",
    "h_score",
    "temperature",
    "vector_scaling",
]
