"""Warnings of tlda's own are warnings in Python, and one clean line each on the command line."""

from __future__ import annotations

import warnings

import pytest

from tlda.errors import Note, near, plain_warnings, warn


def careful() -> None:
    warn("it is short")


def test_a_warning_names_who_called_the_caller() -> None:
    with pytest.warns(Note, match="it is short") as caught:
        careful()
    assert caught[0].filename == __file__


def test_the_command_line_says_it_once_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_, **__: others.append(str(message)))
        with plain_warnings():
            careful()
            careful()
            warnings.warn("somebody else's", stacklevel=1)
            monkeypatch.setenv("LOCAL_RANK", "1")
            warn("of another process")
        careful()
    assert capsys.readouterr().err == "tlda: it is short\n"
    assert others == ["somebody else's", "it is short"], "outside the block it is a warning of Python's again"


def test_a_name_is_not_near_itself() -> None:
    assert near("root", ["root", "rot"]) == "; did you mean 'rot'?"
    assert near("root", ["root", "size"]) == "; known: root, size"
