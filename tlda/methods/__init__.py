"""Every method, one file each."""

from tlda.methods.afn import AFN
from tlda.methods.bnm import BNM
from tlda.methods.bsp import BSP
from tlda.methods.cdan import CDAN
from tlda.methods.dan import DAN
from tlda.methods.dann import DANN
from tlda.methods.ddc import DDC
from tlda.methods.deep_coral import DeepCORAL
from tlda.methods.deep_jdot import DeepJDOT
from tlda.methods.fine_tune import FineTune
from tlda.methods.information_maximization import IM
from tlda.methods.jan import JAN
from tlda.methods.mcc import MCC
from tlda.methods.mcd import MCD
from tlda.methods.mdd import MDD
from tlda.methods.min_ent import MinEnt
from tlda.methods.oracle import Oracle
from tlda.methods.source_only import SourceOnly
from tlda.methods.wdgrl import WDGRL

__all__ = [
    "AFN",
    "BNM",
    "BSP",
    "CDAN",
    "DAN",
    "DANN",
    "DDC",
    "IM",
    "JAN",
    "MCC",
    "MCD",
    "MDD",
    "WDGRL",
    "DeepCORAL",
    "DeepJDOT",
    "FineTune",
    "MinEnt",
    "Oracle",
    "SourceOnly",
]
