"""``tlda init``: a project of one's own, which runs at once."""

from __future__ import annotations

from pathlib import Path

from tlda.config.shipped import root
from tlda.errors import Arguments, UserError
from tlda.writing import require_writable, write_bytes


def init(args: list[str]) -> None:
    """Run the command ``tlda init`` with ``args``."""
    about = "Write a project that runs at once: a method of your own, a table that compares it with source only, and a place for data."
    parser = Arguments(prog="tlda init", description=about)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder of the project, which is empty or not there")
    folder: Path = parser.parse_args(args).folder
    print(f"tlda: wrote {', '.join(write_project(folder))} into {folder}")
    print(f"tlda: now run: cd {folder} && tlda bench my_table.yaml")


def write_project(folder: Path) -> list[str]:
    """Write the files of a project into ``folder``, and return their names.

    Raises:
        UserError: it is a file, holds something already, or cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder that is empty, or not there")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty, and nothing in it is to be overwritten: name a folder that is empty, or not there")
    project = root() / "examples" / "project"
    files = {path.relative_to(project): path.read_bytes() for path in sorted(project.rglob("*")) if is_part(path)}
    names = {path: path.with_name(".gitignore") if path.name == "gitignore" else path for path in files}
    for path, content in files.items():
        require_writable((folder / path).parent, "FOLDER")
        write_bytes(folder / names[path], content)
    return [name.as_posix() for name in names.values()]


def is_part(path: Path) -> bool:
    """Whether ``path`` is a file of the project, and not what Python made of one."""
    return path.is_file() and path.suffix != ".pyc"
