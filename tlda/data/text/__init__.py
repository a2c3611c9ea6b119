"""Data of texts: reviews, tagged words, questions, and anyone's files."""

from tlda.data.text.questions import Questions
from tlda.data.text.records import Records
from tlda.data.text.reviews import Reviews
from tlda.data.text.tagging import Tagging

__all__ = ["Questions", "Records", "Reviews", "Tagging"]
