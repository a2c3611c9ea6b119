"""Questions about images."""

from tlda.data.asked.asking import Asked, AskedImages, Asking
from tlda.data.asked.easy_vqa import EasyVQA
from tlda.data.asked.emoji_questions import EmojiQuestions
from tlda.data.asked.vocabulary import Vocabulary

__all__ = ["Asked", "AskedImages", "Asking", "EasyVQA", "EmojiQuestions", "Vocabulary"]
