"""The overlays, tables and rankings that come with tlda, which are named without a path: ``base/digits``, ``quickstart``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlda.config.given import FILES
from tlda.errors import UserError, near

FOLDERS: dict[str, str] = {"overlays": "experiments", "tables": "benchmarks/tables", "rankings": "benchmarks/rank"}
"""The folders of overlays, tables and rankings below :func:`root`."""


def root() -> Path:
    """The folder that contains those folders: the installed package, or the checkout that contains the package."""
    package = Path(__file__).parents[1]
    return package / "shipped" if (package / "shipped").is_dir() else package.parent


def shipped(kind: str) -> dict[str, Path]:
    """The files of a kind that come with tlda, by name."""
    folder = root() / FOLDERS[kind]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def named(name: str | Path, kind: str) -> Path:
    """The file ``name`` of the user or, where there is none, the file of that name that comes with tlda.

    Raises:
        UserError: there is neither.
    """
    path, known = Path(name), shipped(kind)
    own = path if path.is_file() or not path.with_name(f"{path.name}.yaml").is_file() else path.with_name(f"{path.name}.yaml")
    found = known.get(path.as_posix())
    if own.is_file():
        if found and found.resolve() != own.resolve():
            print(f"tlda: {own} is your own file, and takes the place of tlda's {path.as_posix()}")
        return own
    if found is None and not path.suffix:
        raise UserError(f"there is no file {path}, and tlda has no {kind} of that name{near(path.as_posix(), known)}")
    return found or path


def with_files(args: Sequence[str]) -> list[str]:
    """Replace the name of each configuration file in ``args`` by its path."""
    found, before = [], ""
    for arg in args:
        option, given, value = arg.partition("=")
        if before in [f"-{'-' * (len(name) > 1)}{name}" for name in FILES] and not arg.startswith("-"):
            arg = str(named(arg, "overlays"))
        elif given and option.startswith("-") and option.lstrip("-") in FILES:
            arg = f"{option}={named(value, 'overlays')}"
        before = arg
        found.append(arg)
    return found
