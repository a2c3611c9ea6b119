"""Tasks: what is learnt about a row. Heads, losses, metrics and answers, one file per kind."""

from tlda.tasks.base import Task
from tlda.tasks.caption import Caption
from tlda.tasks.classification import Classification, Words
from tlda.tasks.control import Control
from tlda.tasks.detection import Detection
from tlda.tasks.few_shot import FewShot
from tlda.tasks.multi_label import MultiLabel
from tlda.tasks.next_token import NextToken
from tlda.tasks.open_set import OpenSet
from tlda.tasks.place import Place
from tlda.tasks.regression import Regression
from tlda.tasks.segmentation import Segmentation
from tlda.tasks.several import Several
from tlda.tasks.spans import Spans
from tlda.tasks.verification import Verification

__all__ = [
    "Caption",
    "Classification",
    "Control",
    "Detection",
    "FewShot",
    "MultiLabel",
    "NextToken",
    "OpenSet",
    "Place",
    "Regression",
    "Segmentation",
    "Several",
    "Spans",
    "Task",
    "Verification",
    "Words",
]
