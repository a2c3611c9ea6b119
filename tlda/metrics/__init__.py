"""Measures: label-free ones that may select, beside accuracies that may not."""

from tlda.metrics.calibration import calibration_error, temperature, vector_scaling
from tlda.metrics.pairs import accuracy_at, best_threshold, equal_error_rate, fold_accuracies, pairs_of, tar_at_far, verification_auc
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
    "accuracy_at",
    "best_threshold",
    "calibration_error",
    "equal_error_rate",
    "fold_accuracies",
    "h_score",
    "pairs_of",
    "tar_at_far",
    "temperature",
    "vector_scaling",
    "verification_auc",
]
