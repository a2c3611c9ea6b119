"""Every method, one file each."""

from tlda.methods.cdan import CDAN
from tlda.methods.dann import DANN
from tlda.methods.fine_tune import FineTune
from tlda.methods.oracle import Oracle
from tlda.methods.source_only import SourceOnly

__all__ = ["CDAN", "DANN", "FineTune", "Oracle", "SourceOnly"]
