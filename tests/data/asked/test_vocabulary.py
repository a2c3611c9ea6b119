"""Words as numbers."""

from __future__ import annotations

import pytest

from tlda.data.asked.vocabulary import Vocabulary, words_of
from tlda.errors import Note


def test_words_are_in_small_letters_without_signs() -> None:
    assert words_of("What's the RED shape, ehm?") == ["what's", "the", "red", "shape", "ehm"]


def test_a_word_has_its_place_in_the_alphabet_and_one_that_was_never_seen_is_unknown() -> None:
    known = Vocabulary.of(["is it red?", "what is it?"])
    assert list(known.words) == ["is", "it", "red", "what"]
    assert known.encode(["is red it", "is it mauve", "?"]).tolist() == [[1, 3, 2], [1, 2, 0], [0, -1, -1]]


def test_unknown_words_are_said() -> None:
    with pytest.warns(Note, match=r"the questions of x\.csv have 1 word\(s\) that training had not, such as 'mauve': each"):
        Vocabulary(["it", "is"]).warn_of_unknown(["Is it mauve?", "is mauve it"], "the questions of x.csv")
