"""Feature extractors: images in 0..1, (n, c, h, w), to features (n, ``num_features``); of :class:`Dense` a row is a position."""

from tlda.backbones.base import Backbone
from tlda.backbones.clip import CLIP
from tlda.backbones.conv4 import Conv4
from tlda.backbones.dense import Dense
from tlda.backbones.digit_nets import DTN, MNISTCNN, LeNet, PixelMLP
from tlda.backbones.dlib_face import DlibFace
from tlda.backbones.language_model import LanguageModel
from tlda.backbones.mlp import MLP
from tlda.backbones.pixels import Pixels
from tlda.backbones.policy_mlp import PolicyMLP
from tlda.backbones.precomputed import Precomputed
from tlda.backbones.pretrained import Timm, Torchvision
from tlda.backbones.question_net import QuestionNet
from tlda.backbones.segmentation_models import SegmentationModels
from tlda.backbones.series_cnn import SeriesCNN
from tlda.backbones.small_resnet import SmallResNet
from tlda.backbones.small_vit import SmallViT
from tlda.backbones.spectrogram import Spectrogram
from tlda.backbones.text import Text
from tlda.backbones.towers import Towers

__all__ = [
    "CLIP",
    "DTN",
    "MLP",
    "MNISTCNN",
    "Backbone",
    "Conv4",
    "Dense",
    "DlibFace",
    "LanguageModel",
    "LeNet",
    "PixelMLP",
    "Pixels",
    "PolicyMLP",
    "Precomputed",
    "QuestionNet",
    "SegmentationModels",
    "SeriesCNN",
    "SmallResNet",
    "SmallViT",
    "Spectrogram",
    "Text",
    "Timm",
    "Torchvision",
    "Towers",
]
