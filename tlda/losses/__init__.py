"""Losses: pure functions on tensors, and beside each the module that a method composes. No Lightning in here."""

from tlda.losses.base import Loss
from tlda.losses.domain_adversarial import (
    ConditionalAdversarial,
    DomainAdversarial,
    domain_adversarial,
    entropy_weight,
)

__all__ = ["ConditionalAdversarial", "DomainAdversarial", "Loss", "domain_adversarial", "entropy_weight"]
