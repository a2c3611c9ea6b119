"""Losses: pure functions on tensors, and beside each the module that a method composes. No Lightning in here."""

from tlda.losses.adaptive_feature_norm import AFN, adaptive_feature_norm
from tlda.losses.base import Loss
from tlda.losses.batch_nuclear_norm import BNM, batch_nuclear_norm
from tlda.losses.batch_spectral_penalty import BSP, batch_spectral_penalty
from tlda.losses.classifier_discrepancy import classifier_discrepancy
from tlda.losses.coral import CORAL, coral
from tlda.losses.deep_jdot import DeepJDOT, deep_jdot
from tlda.losses.domain_adversarial import ConditionalAdversarial, DomainAdversarial, domain_adversarial, entropy_weight
from tlda.losses.domain_confusion import domain_confusion
from tlda.losses.entropy import InformationMaximization, MinEnt, entropy, information_maximization
from tlda.losses.gradient_penalty import gradient_penalty
from tlda.losses.joint_mmd import JointMMD, joint_mmd
from tlda.losses.margin_disparity import MarginDisparity, margin_disparity
from tlda.losses.minimum_class_confusion import MCC, minimum_class_confusion
from tlda.losses.mmd import MMD, mmd
from tlda.losses.vat import vat

__all__ = [
    "AFN",
    "BNM",
    "BSP",
    "CORAL",
    "MCC",
    "MMD",
    "ConditionalAdversarial",
    "DeepJDOT",
    "DomainAdversarial",
    "InformationMaximization",
    "JointMMD",
    "Loss",
    "MarginDisparity",
    "MinEnt",
    "adaptive_feature_norm",
    "batch_nuclear_norm",
    "batch_spectral_penalty",
    "classifier_discrepancy",
    "coral",
    "deep_jdot",
    "domain_adversarial",
    "domain_confusion",
    "entropy",
    "entropy_weight",
    "gradient_penalty",
    "information_maximization",
    "joint_mmd",
    "margin_disparity",
    "minimum_class_confusion",
    "mmd",
    "vat",
]
