"""Data: the pairing of domains, and one module a family."""

from tlda.data.arrays import Images
from tlda.data.augment import ColourJitter, Cutout, RandAugment, RandomAffine, RandomCrop, RandomHorizontalFlip
from tlda.data.datasets import Datasets
from tlda.data.digits import Digits
from tlda.data.folders import Folders
from tlda.data.pair import Augment, Domain, DomainPair, Rows
from tlda.data.samplers import Once, Steps

__all__ = [
    "Augment",
    "ColourJitter",
    "Cutout",
    "Datasets",
    "Digits",
    "Domain",
    "DomainPair",
    "Folders",
    "Images",
    "Once",
    "RandAugment",
    "RandomAffine",
    "RandomCrop",
    "RandomHorizontalFlip",
    "Rows",
    "Steps",
]
