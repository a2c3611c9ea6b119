"""A shell completes commands, options, overlays and names."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.test_bad_input import refused
from tests.conftest import Tlda
from tlda.cli import COMMANDS
from tlda.commands.completion import EXPORT, parser_of, whole_parser

needs_shtab = pytest.mark.skipif(importlib.util.find_spec("shtab") is None, reason="shtab is not installed")

CASES = {
    "tlda das": "dashboard",
    "tlda fit --model DAN": "DAN DANCE DANN",
    "tlda fit --model.plus+ MC": "MCC",
    "tlda fit --trainer.max_e": "--trainer.max_epochs",
    "tlda fit -c method/dan": "method/dan method/dance method/dann",
    "tlda bench --dry": "--dry-run",
    "tlda data cache --cl": "--clear",
    "tlda list meth": "methods",
}
"""What is typed, and what it can become."""


def test_every_command_is_completed() -> None:
    (commands,) = [action.choices for action in whole_parser()._actions if isinstance(action.choices, dict)]
    assert set(commands) == set(COMMANDS)
    exported = {name for action in parser_of("export", "command")._actions for name in action.option_strings}
    assert exported - {"-h", "--help"} == set(EXPORT)


@needs_shtab
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(tlda: Tlda) -> None:
    done = tlda("completion", "bash")
    assert done.code == 0, done.err
    asked = [f'COMP_WORDS=({line}); COMP_CWORD={line.count(" ")}; _shtab_tlda; echo "${{COMPREPLY[@]}}"' for line in CASES]
    Path("asked.sh").write_text("\n".join([done.out, *asked]))
    shell = subprocess.run(["bash", "asked.sh"], capture_output=True, text=True, check=True)
    assert dict(zip(CASES, shell.stdout.splitlines(), strict=True)) == CASES


@needs_shtab
@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_scripts_too(tlda: Tlda, shell: str) -> None:
    done = tlda("completion", shell)
    assert done.code == 0, done.err
    assert "dashboard" in done.out


def test_a_missing_shtab_is_said(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    refused(tlda("completion", "bash"), "pip install 'tlda[completion]'")
