"""Processes of their own, forked from one that has done the imports: an interpreter that does them itself takes seconds more."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tlda.commands.run", "tlda.commands.bench", "tests.helpers.several"])
TIMEOUT = 300.0


def start(work: Callable[..., object], *args: Any, output: Path, **environment: str) -> BaseProcess:
    """Begin ``work`` in a process that ran nothing before, in this one's folder; what it prints goes into the file ``output``."""
    with contextlib.chdir(Path(__file__).parents[2]):
        forkserver.ensure_running()  # it imports these tests from its first folder, and other packages install a ``tests`` too
    process = SERVER.Process(target=_run, args=(work, args, output.resolve(), Path.cwd(), {**os.environ, **environment}))
    process.start()
    return process


def fresh(work: Callable[..., None], *args: Any, output: Path, **environment: str) -> str:
    """Do ``work`` in such a process, and return what it printed.

    Raises:
        AssertionError: it raised, or did not end.
    """
    process = start(work, *args, output=output, **environment)
    process.join(TIMEOUT)
    process.kill()
    process.join()
    said = output.read_text(encoding="utf-8")
    assert process.exitcode == 0, said
    return said


def _run(work: Callable[..., None], args: tuple[Any, ...], output: Path, folder: Path, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with output.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    torch.set_num_threads(1)
    work(*args)
