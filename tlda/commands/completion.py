"""``tlda completion``: a script by which a shell completes commands, options, overlays, and the names of classes."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

from tlda.config.help_page import GROUPS, OWN, RUN
from tlda.config.index import options, subclasses, trainer_options
from tlda.config.names import BASES
from tlda.config.shipped import shipped
from tlda.errors import Arguments, UserError

SHELLS = ("bash", "zsh", "tcsh")

RUNS = ("fit", "validate", "test", "predict")
"""The commands whose options are those of a run."""

EXPORT = ("--ckpt_path", "--output", "--size")
"""The options of ``tlda export``, whose module imports torch, for which no shell that starts should wait."""

FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
OVERLAYS = {"bash": "_tlda_overlays", "zsh": "_tlda_overlays", "tcsh": "f"}
"""The functions that complete paths, and overlays beside them."""

APART = {
    "bench": "bench",
    "report": "report",
    "dashboard": "dashboard",
    "sweep": "sweep",
    "rank": "rank",
    "translate": "translate",
    "show": "show",
    "init": "init",
    "doctor": "doctor",
}
"""The function of each command that has a parser of its own."""


def completion(args: list[str]) -> None:
    """Run the command ``tlda completion`` with ``args``.

    Raises:
        UserError: shtab is not installed.
    """
    about = "Print a script that completes tlda's commands, options, overlays and names in a shell."
    parser = Arguments(prog="tlda completion", description=about)
    parser.add_argument("shell", choices=SHELLS, help='the shell; for bash, in ~/.bashrc: eval "$(tlda completion bash)"')
    print(script(parser.parse_args(args).shell))


def script(shell: str) -> str:
    """The script of a ``shell``, one of :data:`SHELLS`.

    Raises:
        UserError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise UserError("tlda completion needs shtab, which is not installed: pip install 'tlda[completion]'") from error
    names = " ".join(sorted(shipped("overlays")))
    functions = {
        "bash": f'_tlda_overlays() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}',
        "zsh": f"_tlda_overlays() {{ _alternative 'overlays:overlay:({names})' 'files:file:_files' }}",
    }
    text: str = shtab.complete(whole_parser(), shell=shell, preamble=functions)
    return text


def whole_parser() -> argparse.ArgumentParser:
    """A parser of all commands, which completes and is not run."""
    parser = argparse.ArgumentParser(prog="tlda")
    commands = parser.add_subparsers()
    for name in RUNS:
        _add_run(commands.add_parser(name, help=name), name)
    for name, function in APART.items():
        _copy(commands.add_parser(name, help=name), parser_of(name, function))
    exported = commands.add_parser("export", help="export")
    for option in EXPORT:
        _completed(exported.add_argument(option), FILES)
    listed = commands.add_parser("list", help="list")
    listed.add_argument("kind", nargs="*", choices=_kinds())
    parts = commands.add_parser("data", help="data").add_subparsers()
    for name in ("check", "cache"):
        _copy(parts.add_parser(name, help=name), parser_of("data", "data", [name]))
    commands.add_parser("completion", help="completion").add_argument("shell", choices=SHELLS)
    return parser


def _kinds() -> list[str]:
    from tlda.commands.list import KINDS
    from tlda.config.shipped import FOLDERS

    return [*KINDS, *FOLDERS]


class _Given(BaseException):
    """Ends a command as it parses its arguments, and holds the parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parser_of(command: str, function: str, args: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser that the ``function`` of a ``command`` makes, which does not get beyond it."""

    def give(self: argparse.ArgumentParser, *given: object) -> NoReturn:
        raise _Given(self)

    module = importlib.import_module(f"tlda.commands.{command}")
    with patch.object(Arguments, "parse_args", give):
        try:
            getattr(module, function)(list(args))
        except _Given as found:
            return found.parser
    raise AssertionError(f"tlda {command} parses no arguments")


def _copy(parser: argparse.ArgumentParser, source: argparse.ArgumentParser) -> None:
    """Give ``parser`` the arguments of ``source``; paths are completed as files."""
    for action in source._actions:
        if "--help" in action.option_strings:
            continue
        parser._add_action(_completed(action, FILES) if action.type is Path else action)


def _completed(action: Any, how: dict[str, str]) -> argparse.Action:
    """``action``, completed by the function of each shell in ``how``: shtab reads them there."""
    action.complete = how
    completed: argparse.Action = action
    return completed


def _add_run(parser: argparse.ArgumentParser, command: str) -> None:
    """Give ``parser`` the options of a run: those that people use, of each base class, and the trainer's."""
    shown = [name for group in (RUN, OWN.get(command, {}), *GROUPS.values()) for name in group]
    known = {option for text in shown for option in (part.split()[0].split("=")[0] for part in text.split(", "))}
    known |= {f"--model.{name}" for name in _options("Method")} | {f"--data.{name}" for name in _options("DomainPair")}
    known |= {f"--trainer.{name}" for name in trainer_options()} | {"--help", "--help-all"}
    for option in sorted(known - {"-h", "--help", "-c", "--config"}):
        action = parser.add_argument(option, dest=option)
        if classes := BASES.get(option.lstrip("-").rstrip("+").split(".")[-1]):
            action.choices = sorted(subclasses(classes))
    _completed(parser.add_argument("-c", "--config"), OVERLAYS)


def _options(base: str) -> Iterable[str]:
    """The options of the classes below ``base``, by any of them."""
    return {name for cls in subclasses(base).values() for name in options(cls)} - {"task"}
