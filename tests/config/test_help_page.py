"""The pages of ``--help`` name options that there are."""

from __future__ import annotations

import pytest

from tests.conftest import Tlda
from tlda.config.help_page import DATA, GROUPS, MODEL, TRAINER
from tlda.config.index import options, subclasses, trainer_options


def names(group: dict[str, str], part: str) -> set[str]:
    """The options below ``part`` that a ``group`` shows, without the class itself."""
    return {line.split()[0].removeprefix(f"--{part}.").partition("+")[0] for line in group if line.startswith(f"--{part}.")}


def test_what_is_shown_is_there() -> None:
    assert names(MODEL, "model") <= options(subclasses("Method")["DANN"])
    assert names(DATA, "data") <= options(subclasses("DomainPair")["Folders"])
    assert names(TRAINER, "trainer") <= trainer_options().keys()


def test_the_page_is_short_and_says_where_the_rest_is(tlda: Tlda) -> None:
    page = tlda("fit", "--help").out
    assert len(page.splitlines()) <= 60
    assert sum(len(group) for group in GROUPS.values()) <= 25
    assert max(map(len, page.splitlines())) <= 140
    for named in ("--model.help DANN", "--help-all", "tlda list methods"):
        assert named in page
    assert "--output" not in page


@pytest.mark.parametrize(("command", "own"), [("test", "--output FILE"), ("predict", "--inputs PATH")])
def test_a_command_shows_its_own_options(tlda: Tlda, command: str, own: str) -> None:
    assert own in tlda(command, "--help").out
    page = tlda(command, "--help-all").out
    assert own in page
    assert "CDAN" in page
    assert all(f"--trainer.{name} " in page for name in trainer_options())
