"""Data: the pairing of domains, and one module a family."""

from tlda.batch import Rows
from tlda.data.arrays import Images
from tlda.data.asked import EasyVQA, EmojiQuestions
from tlda.data.augment import (
    ColourJitter,
    Cutout,
    PerImage,
    PhotoJitter,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomGreyscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomWindow,
    RandomZoom,
)  # fmt: skip
from tlda.data.augmenting import Augment
from tlda.data.boxes import Boxes
from tlda.data.camvid import CamVid
from tlda.data.captioned_emoji import EmojiCaptions
from tlda.data.cifar import CIFAR10
from tlda.data.colored_mnist import ColoredMNIST
from tlda.data.datasets import Datasets
from tlda.data.digits import Digits
from tlda.data.drive import DRIVE
from tlda.data.emoji import Emoji, EmojiNames
from tlda.data.episodes import Episodes
from tlda.data.faces import Faces
from tlda.data.features import Features
from tlda.data.folders import Folders
from tlda.data.har import HAR
from tlda.data.masks import Masks
from tlda.data.med_mnist import MedMNIST
from tlda.data.modalities import Pairs
from tlda.data.objects import PACS, DomainNet, Office31, OfficeCaltech10, OfficeHome, TinyImageNet, VisDA2017
from tlda.data.omniglot import Omniglot
from tlda.data.pair import DomainPair
from tlda.data.rotated_mnist import RotatedMNIST
from tlda.data.rows import Domain
from tlda.data.samplers import Buckets, Once, Steps
from tlda.data.sound import Sounds, Spoken
from tlda.data.streets import Streets
from tlda.data.style import FDA, ColourTransfer
from tlda.data.surf import OfficeCaltech10SURF
from tlda.data.tabular import Tabular
from tlda.data.tasks import Relabelled, Tasks
from tlda.data.text import Corpus, Questions, Records, Reviews, Tagging
from tlda.data.translated import Translated

__all__ = [
    "CIFAR10",
    "DRIVE",
    "FDA",
    "HAR",
    "PACS",
    "Augment",
    "Boxes",
    "Buckets",
    "CamVid",
    "ColoredMNIST",
    "ColourJitter",
    "ColourTransfer",
    "Corpus",
    "Cutout",
    "Datasets",
    "Digits",
    "Domain",
    "DomainNet",
    "DomainPair",
    "EasyVQA",
    "Emoji",
    "EmojiCaptions",
    "EmojiNames",
    "EmojiQuestions",
    "Episodes",
    "Faces",
    "Features",
    "Folders",
    "Images",
    "Masks",
    "MedMNIST",
    "Office31",
    "OfficeCaltech10",
    "OfficeCaltech10SURF",
    "OfficeHome",
    "Omniglot",
    "Once",
    "Pairs",
    "PerImage",
    "PhotoJitter",
    "Questions",
    "RandAugment",
    "RandomAffine",
    "RandomCrop",
    "RandomGreyscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomWindow",
    "RandomZoom",
    "Records",
    "Relabelled",
    "Reviews",
    "RotatedMNIST",
    "Rows",
    "Sounds",
    "Spoken",
    "Steps",
    "Streets",
    "Tabular",
    "Tagging",
    "Tasks",
    "TinyImageNet",
    "Translated",
    "VisDA2017",
]
