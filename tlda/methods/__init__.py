"""Every method, one file each."""

from tlda.methods.aad import AaD
from tlda.methods.across_sources import AcrossSources
from tlda.methods.adabn import AdaBN
from tlda.methods.adda import ADDA
from tlda.methods.advent import AdvEnt
from tlda.methods.afn import AFN
from tlda.methods.atdoc import ATDOC
from tlda.methods.ba3us import BA3US
from tlda.methods.bbse import BBSE
from tlda.methods.bn_alpha import BNAlpha
from tlda.methods.bn_ema import BNEMA
from tlda.methods.bnm import BNM
from tlda.methods.box_teacher import BoxTeacher
from tlda.methods.bsp import BSP
from tlda.methods.cdac import CDAC
from tlda.methods.cdan import CDAN
from tlda.methods.contrastive import Contrastive
from tlda.methods.cotta import CoTTA
from tlda.methods.cst import CST
from tlda.methods.cycada import CyCADA
from tlda.methods.cyclegan import CycleGAN
from tlda.methods.da_faster_rcnn import DAFasterRCNN
from tlda.methods.dacs import DACS
from tlda.methods.daln import DALN
from tlda.methods.dan import DAN
from tlda.methods.dance import DANCE
from tlda.methods.dann import DANN
from tlda.methods.dare_gram import DAREGRAM
from tlda.methods.darn import DARN
from tlda.methods.ddc import DDC
from tlda.methods.deep_coral import DeepCORAL
from tlda.methods.deep_jdot import DeepJDOT
from tlda.methods.detector import Detector
from tlda.methods.distill import Distill
from tlda.methods.domain_confusion import DomainConfusion
from tlda.methods.domain_labels import DomainLabels
from tlda.methods.domain_mixup import DomainMixup
from tlda.methods.dsan import DSAN
from tlda.methods.eata import EATA
from tlda.methods.few_shot.anil import ANIL
from tlda.methods.few_shot.cosine_classifier import CosineClassifier
from tlda.methods.few_shot.maml import MAML
from tlda.methods.few_shot.nearest_centroid import NearestCentroid
from tlda.methods.few_shot.proto_net import ProtoNet
from tlda.methods.few_shot.reptile import Reptile
from tlda.methods.fine_tune import FineTune
from tlda.methods.fishr import Fishr
from tlda.methods.fix_bi import FixBi
from tlda.methods.fix_match import FixMatch
from tlda.methods.group_dro import GroupDRO
from tlda.methods.gvb import GVB
from tlda.methods.homm import HoMM
from tlda.methods.image_text.co_op import CoOp
from tlda.methods.image_text.dapl import DAPL
from tlda.methods.image_text.image_text import ImageText
from tlda.methods.image_text.tip_adapter import TipAdapter
from tlda.methods.image_text.tip_adapter_f import TipAdapterF
from tlda.methods.image_text.zero_shot import ZeroShot
from tlda.methods.importance_weighting import ImportanceWeighting
from tlda.methods.information_maximization import IM
from tlda.methods.irm import IRM
from tlda.methods.iwan import IWAN
from tlda.methods.jan import JAN
from tlda.methods.lame import LAME
from tlda.methods.m3sda import M3SDA
from tlda.methods.masked_language_modelling import MLM
from tlda.methods.mcc import MCC
from tlda.methods.mcd import MCD
from tlda.methods.mdan import MDAN
from tlda.methods.mdd import MDD
from tlda.methods.memo import MEMO
from tlda.methods.mfsan import MFSAN
from tlda.methods.min_ent import MinEnt
from tlda.methods.mix_style import MixStyle
from tlda.methods.mldg import MLDG
from tlda.methods.mlls import MLLS
from tlda.methods.mme import MME
from tlda.methods.multi_task import MultiTask
from tlda.methods.nrc import NRC
from tlda.methods.oracle import Oracle
from tlda.methods.osbp import OSBP
from tlda.methods.ovanet import OVANet
from tlda.methods.pada import PADA
from tlda.methods.pretraining.barlow_twins import BarlowTwins
from tlda.methods.pretraining.byol import BYOL
from tlda.methods.pretraining.dino import DINO
from tlda.methods.pretraining.masked_autoencoder import MAE
from tlda.methods.pretraining.sim_clr import SimCLR
from tlda.methods.pretraining.sim_siam import SimSiam
from tlda.methods.pretraining.supervised_contrast import SupCon
from tlda.methods.pretraining.vic_reg import VICReg
from tlda.methods.pseudo_label import PseudoLabel
from tlda.methods.rlls import RLLS
from tlda.methods.rsc import RSC
from tlda.methods.rsd import RSD
from tlda.methods.sar import SAR
from tlda.methods.sd import SD
from tlda.methods.sdat import SDAT
from tlda.methods.shot import SHOT
from tlda.methods.single_source import SingleSource
from tlda.methods.source_adversary import SourceAdversary
from tlda.methods.source_only import SourceOnly
from tlda.methods.spa import SPA
from tlda.methods.sta import STA
from tlda.methods.t3a import T3A
from tlda.methods.tent import TENT
from tlda.methods.to_align import ToAlign
from tlda.methods.uan import UAN
from tlda.methods.vada import VADA
from tlda.methods.vrex import VREx
from tlda.methods.wdgrl import WDGRL

__all__ = [
    "ADDA",
    "AFN",
    "ANIL",
    "ATDOC",
    "BA3US",
    "BBSE",
    "BNEMA",
    "BNM",
    "BSP",
    "BYOL",
    "CDAC",
    "CDAN",
    "CST",
    "DACS",
    "DALN",
    "DAN",
    "DANCE",
    "DANN",
    "DAPL",
    "DAREGRAM",
    "DARN",
    "DDC",
    "DINO",
    "DSAN",
    "EATA",
    "GVB",
    "IM",
    "IRM",
    "IWAN",
    "JAN",
    "LAME",
    "M3SDA",
    "MAE",
    "MAML",
    "MCC",
    "MCD",
    "MDAN",
    "MDD",
    "MEMO",
    "MFSAN",
    "MLDG",
    "MLLS",
    "MLM",
    "MME",
    "NRC",
    "OSBP",
    "PADA",
    "RLLS",
    "RSC",
    "RSD",
    "SAR",
    "SD",
    "SDAT",
    "SHOT",
    "SPA",
    "STA",
    "T3A",
    "TENT",
    "UAN",
    "VADA",
    "WDGRL",
    "AaD",
    "AcrossSources",
    "AdaBN",
    "AdvEnt",
    "BNAlpha",
    "BarlowTwins",
    "BoxTeacher",
    "CoOp",
    "CoTTA",
    "Contrastive",
    "CosineClassifier",
    "CyCADA",
    "CycleGAN",
    "DAFasterRCNN",
    "DeepCORAL",
    "DeepJDOT",
    "Detector",
    "Distill",
    "DomainConfusion",
    "DomainLabels",
    "DomainMixup",
    "FineTune",
    "Fishr",
    "FixBi",
    "FixMatch",
    "GroupDRO",
    "HoMM",
    "ImageText",
    "ImportanceWeighting",
    "MinEnt",
    "MixStyle",
    "MultiTask",
    "NearestCentroid",
    "OVANet",
    "Oracle",
    "ProtoNet",
    "PseudoLabel",
    "Reptile",
    "SimCLR",
    "SimSiam",
    "SingleSource",
    "SourceAdversary",
    "SourceOnly",
    "SupCon",
    "TipAdapter",
    "TipAdapterF",
    "ToAlign",
    "VICReg",
    "VREx",
    "ZeroShot",
]
