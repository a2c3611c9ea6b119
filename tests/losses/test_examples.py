"""The example in the docstring of each public loss runs, and gives the value that it shows."""

from __future__ import annotations

import doctest
import inspect
import sys

import pytest
import torch

from tlda import losses

FUNCTIONS = [name for name in losses.__all__ if inspect.isfunction(getattr(losses, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_gives_what_it_shows(name: str) -> None:
    function = getattr(losses, name)
    scope = {**vars(sys.modules[function.__module__]), "torch": torch}
    (example,) = doctest.DocTestFinder(recurse=False).find(function, name, globs=scope)
    assert example.examples, f"{name} has no example"
    printed: list[str] = []
    failed, _ = doctest.DocTestRunner().run(example, out=printed.append)
    assert not failed, "".join(printed)
