"""Data of texts: plain text, reviews, tagged words, questions, and anyone's files."""

from tlda.data.text.corpus import Corpus
from tlda.data.text.questions import Questions
from tlda.data.text.records import Records
from tlda.data.text.reviews import Reviews
from tlda.data.text.tagging import Tagging

__all__ = ["Corpus", "Questions", "Records", "Reviews", "Tagging"]
