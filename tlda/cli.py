"""The command line: sends each command to its place, and turns errors into one sentence."""

from __future__ import annotations

import importlib
import os
import sys

COMMANDS = {
    "fit": "train a method on a pair of domains",
    "validate": "measure a checkpoint on the validation data",
    "test": "measure a checkpoint on the test data",
    "predict": "write a CSV of the target's predicted classes",
    "export": "write a checkpoint's network as ONNX or torch.export",
    "bench": "run a table of methods, tasks and seeds, and render it",
    "report": "write one page on a run or a table: should I adapt?",
    "dashboard": "make a workspace at W&B: table, curves, validators, pictures",
    "sweep": "run the trials of a W&B sweep here, by Optuna",
    "rank": "which pretrained network, and which source, before training",
    "translate": "write a source in the look of a target, to train on",
    "data": "look through a data set, or through what the cache keeps",
    "list": "name what there is: methods, losses, backbones, data, overlays, tables",
    "show": "what a run or a checkpoint is: method, data, task, numbers",
    "init": "write a project that runs at once: a method, a table, a place for data",
    "completion": "print a script by which bash, zsh or tcsh completes all this",
    "doctor": "what is installed, the GPU, the precision, where data and cache are",
}

APART = {
    "export": "command",
    "bench": "bench",
    "report": "report",
    "dashboard": "dashboard",
    "sweep": "sweep",
    "rank": "rank",
    "translate": "translate",
    "data": "data",
    "list": "listing",
    "show": "show",
    "init": "init",
    "completion": "completion",
    "doctor": "doctor",
}
"""The function of each command that has a module of its own; the others are subcommands of Lightning's command line."""

HELP = (
    "usage: tlda COMMAND [OPTIONS]\n\nTransfer learning and domain adaptation, honestly measured.\n\ncommands:\n"
    + "\n".join(f"  {name:<9} {what}" for name, what in COMMANDS.items())
    + "\n\n`tlda COMMAND --help` shows a command's options, `--print_config` of the first four a full configuration.\n"
    "Any command takes --debug, which shows the traceback of an error.\n"
)


def main(argv: list[str] | None = None) -> int:
    """Run ``tlda`` with ``argv`` (by default the process's own) and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    args, debug = [arg for arg in given if arg != "--debug"], "--debug" in given
    if not args or args[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if args[0] == "--version":
        from tlda import __version__

        print(__version__)
        return 0
    return _guarded(args, debug)


def _guarded(args: list[str], debug: bool) -> int:
    from tlda.errors import UserError, plain_warnings

    try:
        with plain_warnings():
            _dispatch(args[0], args[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has enough; Python would flush the rest as it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UserError as error:
        if debug:
            raise
        print(f"tlda: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if debug or error.strerror is None:
            raise
        print(f"tlda: cannot use {error.filename or 'a file'} ({error.strerror}): name another place, or make room there", file=sys.stderr)
        return 1
    except SystemExit as done:
        # The parser ends so after --help and --print_config.
        return int(done.code or 0)
    except KeyboardInterrupt:
        print("tlda: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


def _dispatch(command: str, args: list[str]) -> None:
    from tlda.errors import UserError, near

    if command not in COMMANDS:
        raise UserError(f"there is no command '{command}'{near(command, COMMANDS)}")
    # A class of the user's own module is named by its path from the folder the command runs in.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if command in APART:
        getattr(importlib.import_module(f"tlda.commands.{command}"), APART[command])(args)
    else:
        from tlda.config.help_page import help_of, help_of_all
        from tlda.config.names import require_names
        from tlda.config.shipped import with_files

        if set(args) & {"-h", "--help", "--help-all"}:
            print(help_of_all(command) if "--help-all" in args else help_of(command))
            return
        args = with_files(args)
        require_names([command, *args])  # before what takes seconds to import
        from tlda.commands.run import Run

        Run.from_command_line([command, *args])
