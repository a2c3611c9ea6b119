"""Measures: label-free ones that may select, beside accuracies that may not."""

from tlda.metrics.validators import InformationMaximization

__all__ = ["InformationMaximization"]
