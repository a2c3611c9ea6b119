"""``tlda doctor``: what a report of a fault needs to know of an installation, and of the machine that it runs on."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement  # which Lightning needs anyway

from tlda import __version__
from tlda.errors import Arguments

Lines = Iterator[tuple[str, str]]
"""The lines of a section: the name of each, and the finding."""

SHOWN = 12
"""How many of the entries of a data root are named."""


def doctor(args: list[str]) -> None:
    """Run the command ``tlda doctor``: print each section when it is known."""
    Arguments(
        prog="tlda doctor", description="Say what is installed and what this machine has; put it into a report of a fault."
    ).parse_args(args)
    for title, section in SECTIONS.items():
        print(f"{title}:")
        for name, finding in section():
            print(f"  {name:<18} {finding}", flush=True)


def versions() -> Lines:
    """Python, tlda, and what tlda needs."""
    yield "python", f"{platform.python_version()} on {platform.platform()}, {sys.executable}"
    yield "tlda", f"{__version__} in {Path(__file__).parents[1]}"
    for need in needs().get("", []):
        yield need.name, state(need)


def extras() -> Lines:
    """Each extra, with the state of the packages that it brings."""
    found = needs()
    if not found:
        yield "unknown", "tlda runs from a folder and is not installed: pip install -e that folder"
    for extra in sorted(found.keys() - {"", "test", "docs"}):
        lacking = any(version(need.name) is None for need in found[extra])
        told = ", ".join(f"{need.name} {state(need)}" for need in found[extra])
        yield extra, told + (f" (pip install 'tlda[{extra}]')" if lacking else "")


def needs() -> dict[str, list[Requirement]]:
    """The requirements of tlda by extra, the core's under the empty name; nothing where tlda is not installed."""
    try:
        lines = metadata.requires("tlda") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[Requirement]] = {}
    names = metadata.metadata("tlda").get_all("Provides-Extra") or []
    for need in map(Requirement, lines):
        for extra in [name for name in names if need.marker and need.marker.evaluate({"extra": name})] if need.marker else [""]:
            found.setdefault(extra, []).append(need)
    return found


def state(need: Requirement) -> str:
    """The version of what ``need`` asks for, and that it is not one that is asked for; or that it is missing."""
    have = version(need.name)
    if have is None:
        return "missing"
    return have if need.specifier.contains(have, prereleases=True) else f"{have}, but tlda asks for {need.specifier}"


def version(package: str) -> str | None:
    """The version of an installed ``package``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def hardware() -> Lines:
    """GPUs, cores, and the precision that a run has by default."""
    import torch

    from tlda.commands.running import default_precision

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(gpus):
        gpu = torch.cuda.get_device_properties(number)
        yield f"GPU {number}", f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GB, compute capability {gpu.major}.{gpu.minor}"
    if not gpus:
        yield (
            "GPU",
            f"none that torch can use (it is built for {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'processors alone'})",
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "processor", f"{cores} cores, {torch.get_num_threads()} threads a process, {torch.backends.cpu.get_cpu_capability()}"
    precision, device = default_precision(), "GPU" if gpus else "processor"
    yield "precision", f"{precision}, because the {device} {'computes' if precision.startswith('bf16') else 'does not compute'} in bfloat16"


def data() -> Lines:
    """The data root, and what is in it."""
    given = os.environ.get("TLDA_DATA")
    root = Path(given or "data")
    name = f"{root.resolve()} ({'TLDA_DATA' if given else 'TLDA_DATA is not set'})"
    if not root.is_dir():
        yield "root", f"{name}: there is no such folder"
        return
    entries = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    yield "root", name
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    yield "folders", ", ".join(entries[:SHOWN]) + more or "none"


def tracking() -> Lines:
    """Whether runs go to W&B, and why."""
    from tlda.training.tracking import mode_because

    mode, because = mode_because()
    yield "W&B", f"{mode}, because {because}" if version("wandb") else "not installed: runs are logged to CSV alone"


def cache() -> Lines:
    """The folder of the cache, its size and its limit."""
    from tlda.commands.data import size
    from tlda.data.cache import entries, size_limit
    from tlda.writing import cache_folder

    found = entries()
    yield "folder", f"{cache_folder()} ({'TLDA_CACHE' if os.environ.get('TLDA_CACHE') else 'TLDA_CACHE is not set'})"
    yield "size", f"{size(sum(entry.size for entry in found))} in {len(found)} entries, at most {size(size_limit())} (TLDA_CACHE_LIMIT)"


SECTIONS: dict[str, Callable[[], Lines]] = {
    "versions": versions,
    "extras": extras,
    "data": data,
    "hardware": hardware,
    "tracking": tracking,
    "cache": cache,
}
"""The sections in the order in which they are printed; what needs no torch comes first."""
