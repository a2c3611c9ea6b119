"""The machine that a result was computed on: floating-point sums differ between processors and builds of PyTorch."""

from __future__ import annotations

import functools
import platform
import re
import subprocess
from pathlib import Path
from typing import TypedDict

from tlda.bench.table import Cell

PACKAGE = Path(__file__).parent.parent

UNRECORDED = "a processor that was not recorded"
"""The text for the machine of a result file of an earlier version."""

PARTS = {"GCC": r"GCC ([\d.]+)", "clang": r"clang ([\d.]+)", "MKL": r"Kernel Library Version ([\d.]+)", "oneDNN": r"MKL-DNN v([\d.]+)"}
"""The computing libraries in a build of PyTorch, with the patterns of their versions in its description."""


class Machine(TypedDict):
    """The machine of a result.

    ``gpu`` is the one that trained; ``commit`` is that of tlda's code, with ``+changes`` where files differ, or None outside of a checkout.
    """

    processor: str
    instructions: str
    threads: int
    gpu: str | None
    torch: str
    build: str
    commit: str | None


def this_machine(gpu: str | None = None) -> Machine:
    """The machine that this process runs on, with the number of threads that it uses now, and the ``gpu`` that it trains on."""
    import torch

    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "torch": str(torch.__version__),
        "build": build(torch.__config__.show()),
        "commit": commit(PACKAGE),
    }


@functools.cache
def processor() -> str:
    """The model of the processor, as the operating system calls it."""
    try:
        return model_of(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")) or _fallback()
    except OSError:
        return _fallback()


def _fallback() -> str:
    return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def model_of(cpuinfo: str) -> str:
    """The model that Linux's ``cpuinfo`` names, with family and model number where it has them; empty where it names none."""
    found = dict(reversed(re.findall(r"^([\w ]+?)\s*: *(.+)$", cpuinfo, re.MULTILINE)))
    numbers = [f"{name} {found[key]}" for name, key in (("family", "cpu family"), ("model", "model")) if key in found]
    name = " ".join(found.get("model name", "").split())
    return f"{name} ({', '.join(numbers)})" if name and numbers else name


def build(description: str) -> str:
    """The compiler and the computing libraries of a build of PyTorch, with their versions, from its ``description``."""
    return ", ".join(f"{name} {match[1]}" for name, pattern in PARTS.items() if (match := re.search(pattern, description)))


@functools.cache
def commit(package: Path) -> str | None:
    """The commit of the checkout that ``package`` is part of, with ``+changes`` where its files differ; None where it is in none."""
    # A package that is installed within somebody's repository, as in its virtual environment, is not part of that.
    if not _output("git", "-C", str(package), "ls-files", "--error-unmatch", "__init__.py"):
        return None
    head = _output("git", "-C", str(package), "rev-parse", "--short=12", "HEAD")
    changed = _output("git", "-C", str(package), "status", "--porcelain", "--", ".")
    return head and head + "+changes" * bool(changed)


def _output(*command: str) -> str | None:
    """The output of ``command``, or None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def kind(machine: Machine | None) -> str:
    """The part of ``machine`` that decides the last digits of a result, as text: the GPU, or the processor with its instructions."""
    return UNRECORDED if machine is None else machine["gpu"] or f"{machine['processor']} with {machine['instructions']}"


def affordable(cell: Cell) -> dict[str, str]:
    """The trainer's options by which ``cell`` is tried here: float32 where this machine would emulate its bfloat16, ten times as slowly."""
    if not str(cell.config.get("trainer", {}).get("precision")).startswith("bf16"):
        return {}
    import torch

    from tlda.nn import computes_in_bfloat16

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {} if computes_in_bfloat16(device) else {"precision": "32-true"}
