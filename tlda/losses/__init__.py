"""Losses: pure functions on tensors, and beside each the module that a method composes. No Lightning in here."""

from tlda.losses.adaptive_clustering import adaptive_clustering, alike, minimax_entropy
from tlda.losses.adaptive_feature_norm import AFN, adaptive_feature_norm
from tlda.losses.attraction import attraction, dispersion
from tlda.losses.base import Loss
from tlda.losses.batch_nuclear_norm import BNM, batch_nuclear_norm
from tlda.losses.batch_spectral_penalty import BSP, batch_spectral_penalty
from tlda.losses.batch_spectral_shrinkage import BSS, batch_spectral_shrinkage
from tlda.losses.class_mix import class_mix, half_of_classes, weighted_cross_entropy
from tlda.losses.classifier_discrepancy import classifier_discrepancy
from tlda.losses.co_tuning import CoTuning, co_tuning
from tlda.losses.complement_entropy import complement_entropy
from tlda.losses.contrastive import clip, nt_xent, sup_con
from tlda.losses.coral import CORAL, coral, coral_align
from tlda.losses.cycle_self_training import CycleSelfTraining, cycle_self_training
from tlda.losses.deep_jdot import DeepJDOT, deep_jdot
from tlda.losses.delta import DELTA, delta
from tlda.losses.distillation import distillation
from tlda.losses.domain_adversarial import ConditionalAdversarial, DomainAdversarial, domain_adversarial, entropy_weight
from tlda.losses.domain_confusion import DomainConfusion, domain_confusion
from tlda.losses.entropy import (
    InformationMaximization,
    MinEnt,
    TsallisEntropy,
    entropy,
    information_maximization,
    tsallis_entropy,
)
from tlda.losses.entropy_maps import EntropyMaps, self_information
from tlda.losses.feature_distance import FeatureDistance, feature_distance
from tlda.losses.fishr import gradient_variance, variance_distance
from tlda.losses.gan import gan_critic, gan_generator, semantic_consistency
from tlda.losses.gradient_penalty import gradient_penalty
from tlda.losses.graph_spectra import GraphSpectra, graph_spectra
from tlda.losses.group_dro import group_dro
from tlda.losses.higher_order_moments import HigherOrderMoments, higher_order_moments
from tlda.losses.inverse_gram_discrepancy import DAREGRAM, inverse_gram_discrepancy
from tlda.losses.irm_penalty import irm_penalty
from tlda.losses.joint_mmd import JointMMD, joint_mmd
from tlda.losses.l2_sp import L2SP, l2_sp
from tlda.losses.local_mmd import LocalMMD, local_mmd
from tlda.losses.margin_disparity import MarginDisparity, margin_disparity
from tlda.losses.masked import masked_pixels
from tlda.losses.masked_consistency import MIC, masked_consistency
from tlda.losses.minimum_class_confusion import MCC, minimum_class_confusion
from tlda.losses.mmd import MMD, mmd
from tlda.losses.moment_distance import moment_distance
from tlda.losses.multi_domain_adversarial import MultiDomainAdversarial, multi_domain_adversarial
from tlda.losses.neighborhood_aggregation import MemoryBank, neighborhood_aggregation
from tlda.losses.neighborhood_clustering import entropy_separation, neighborhood_clustering
from tlda.losses.nuclear_wasserstein import nuclear_wasserstein
from tlda.losses.one_vs_all import OneVsAll, binary_entropy, one_vs_all
from tlda.losses.open_set_adversarial import open_set_adversarial
from tlda.losses.predicted import byol, dino, simsiam
from tlda.losses.prototypes import prototype_logits
from tlda.losses.pseudo_label import PseudoLabel, pseudo_label
from tlda.losses.redundancy import barlow_twins, vicreg
from tlda.losses.risk_variance import risk_variance
from tlda.losses.self_penalization import certain_labels, self_penalization
from tlda.losses.separation import SeparationAdversarial, extremes, multi_binary
from tlda.losses.spectral_decoupling import SD, spectral_decoupling
from tlda.losses.subspace_discrepancy import RSD, subspace_discrepancy
from tlda.losses.task_oriented import TaskOriented, relevant_features
from tlda.losses.vanishing_bridge import BridgeAdversarial, Bridged
from tlda.losses.vat import vat
from tlda.losses.weighted_adversarial import (
    BalancedAdversarial,
    ImportanceAdversarial,
    PartialAdversarial,
    UniversalAdversarial,
    iwan_weights,
    pada_weights,
    uan_weight,
)

__all__ = [
    "AFN",
    "BNM",
    "BSP",
    "BSS",
    "CORAL",
    "DAREGRAM",
    "DELTA",
    "L2SP",
    "MCC",
    "MIC",
    "MMD",
    "RSD",
    "SD",
    "BalancedAdversarial",
    "BridgeAdversarial",
    "Bridged",
    "CoTuning",
    "ConditionalAdversarial",
    "CycleSelfTraining",
    "DeepJDOT",
    "DomainAdversarial",
    "DomainConfusion",
    "EntropyMaps",
    "FeatureDistance",
    "GraphSpectra",
    "HigherOrderMoments",
    "ImportanceAdversarial",
    "InformationMaximization",
    "JointMMD",
    "LocalMMD",
    "Loss",
    "MarginDisparity",
    "MemoryBank",
    "MinEnt",
    "MultiDomainAdversarial",
    "OneVsAll",
    "PartialAdversarial",
    "PseudoLabel",
    "SeparationAdversarial",
    "TaskOriented",
    "TsallisEntropy",
    "UniversalAdversarial",
    "adaptive_clustering",
    "adaptive_feature_norm",
    "alike",
    "attraction",
    "barlow_twins",
    "batch_nuclear_norm",
    "batch_spectral_penalty",
    "batch_spectral_shrinkage",
    "binary_entropy",
    "byol",
    "certain_labels",
    "class_mix",
    "classifier_discrepancy",
    "clip",
    "co_tuning",
    "complement_entropy",
    "coral",
    "coral_align",
    "cycle_self_training",
    "deep_jdot",
    "delta",
    "dino",
    "dispersion",
    "distillation",
    "domain_adversarial",
    "domain_confusion",
    "entropy",
    "entropy_separation",
    "entropy_weight",
    "extremes",
    "feature_distance",
    "gan_critic",
    "gan_generator",
    "gradient_penalty",
    "gradient_variance",
    "graph_spectra",
    "group_dro",
    "half_of_classes",
    "higher_order_moments",
    "information_maximization",
    "inverse_gram_discrepancy",
    "irm_penalty",
    "iwan_weights",
    "joint_mmd",
    "l2_sp",
    "local_mmd",
    "margin_disparity",
    "masked_consistency",
    "masked_pixels",
    "minimax_entropy",
    "minimum_class_confusion",
    "mmd",
    "moment_distance",
    "multi_binary",
    "multi_domain_adversarial",
    "neighborhood_aggregation",
    "neighborhood_clustering",
    "nt_xent",
    "nuclear_wasserstein",
    "one_vs_all",
    "open_set_adversarial",
    "pada_weights",
    "prototype_logits",
    "pseudo_label",
    "relevant_features",
    "risk_variance",
    "self_information",
    "self_penalization",
    "semantic_consistency",
    "simsiam",
    "spectral_decoupling",
    "subspace_discrepancy",
    "sup_con",
    "tsallis_entropy",
    "uan_weight",
    "variance_distance",
    "vat",
    "vicreg",
    "weighted_cross_entropy",
]
