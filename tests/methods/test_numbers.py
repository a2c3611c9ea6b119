"""No change of the code changes a method's numbers unless the version in the keys of results rises.

After 12 steps of each method on the toy, the weights are compared with ``numbers.json``: bit for bit on a kind of machine whose hashes are
in it, and by the norm of each parameter, within what instruction sets differ by, on any. Where numbers change on purpose, raise PROTOCOL,
or the number of one class in REVISIONS, in ``tlda/config/protocol.py``, run the tables' cells anew, and then

    pytest tests/methods/test_numbers.py --write-numbers

writes the file; without a change it adds the hashes of this machine.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.test_contract import VARIANTS, fitted
from tlda.bench.machine import kind, this_machine
from tlda.config.protocol import PROTOCOL, REVISIONS
from tlda.data.arrays import digest
from tlda.writing import write_text

FILE = Path(__file__).with_name("numbers.json")
TOLERANCE = 0.003
"""Of a parameter's norm, where that is a tenth or more. AVX2 and no vectors at all differ by a tenth of it."""
ROUNDING = (
    "layers.0.bias", "layers.1.bias", "conv.0.bias", "conv.3.bias", "conv.6.bias", "conv.9.bias", "self.key.bias",
    "projector.3.bias", "projector.6.bias", "probe.head.weight", "probe.head.bias",
)  # fmt: skip
"""Parameters whose gradient is zero but for rounding, of which Adam makes whole steps: a bias before a normalisation or of attention's
keys, the last of a projector, which the losses centre; and a probe, which sees such biases beside running means a step behind."""
ANEW = "run `pytest tests/methods/test_numbers.py --write-numbers`"
RAISE = f"raise PROTOCOL, or the class in REVISIONS, in tlda/config/protocol.py, since the tables are older; then {ANEW}"


def machine() -> str:
    """The kind of this machine: what decides the last digits."""
    here = this_machine()
    return f"{kind(here)}, torch {here['torch']}, {here['build']}"


def weights(method: str) -> dict[str, torch.Tensor]:
    """The parameters of a method after its fit."""
    return {name: value.detach() for name, value in fitted(method).method.named_parameters()}


def hashed(method: str) -> str:
    """A hash of every bit of the weights."""
    return digest(part for name, value in weights(method).items() for part in (name.encode(), value.contiguous()))


def norms(method: str) -> dict[str, float]:
    """The norm of each parameter that more than rounding moves, to six digits."""
    return {name: float(f"{value.double().norm():.6g}") for name, value in weights(method).items() if not name.endswith(ROUNDING)}


def version() -> dict[str, Any]:
    """What the code says of its own version."""
    return {"PROTOCOL": PROTOCOL, "REVISIONS": REVISIONS}


def versions() -> dict[str, str]:
    """The versions of the packages that compute."""
    return {name: importlib.metadata.version(name).partition("+")[0] for name in ("torch", "pytorch-lightning", "transformers", "scipy")}


def changed(found: dict[str, float], recorded: dict[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """The parameters whose norm is not the one recorded, or that one of both lacks."""
    names = {**found, **recorded}
    return [n for n in names if n not in found or n not in recorded or abs(found[n] - recorded[n]) > tolerance * max(recorded[n], 0.1)]


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The contents of the file, which is written first where that is asked for."""
    known: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"hashes": {}}
    if request.config.getoption("--write-numbers"):
        now = {"version": version(), "versions": versions(), "norms": {name: norms(name) for name in VARIANTS}}
        stands = {key: known.get(key) for key in now} == now
        kept = known["hashes"] if stands else {}  # those of other machines are of other numbers
        known = {**now, "hashes": {**kept, machine(): {name: hashed(name) for name in VARIANTS}}}
        write_text(FILE, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return known


def test_the_recorded_numbers_are_of_this_version(recorded: dict[str, Any]) -> None:
    assert recorded["version"] == version(), f"numbers.json is of another version of the code: {ANEW}"
    assert recorded["norms"].keys() == VARIANTS.keys(), f"methods came or went: {ANEW}"


@pytest.mark.parametrize("name", VARIANTS)
def test_numbers_change_only_with_the_version_within_rounding(name: str, recorded: dict[str, Any]) -> None:
    if recorded["versions"] != versions():
        pytest.skip(f"the numbers are recorded with {recorded['versions']}, and these packages are {versions()}")
    parts = changed(norms(name), recorded["norms"].get(name, {}))
    assert not parts, f"{name} trains to other weights than recorded ({', '.join(parts)}): {RAISE}"


def test_numbers_change_only_with_the_version_bit_for_bit(recorded: dict[str, Any]) -> None:
    own = recorded["hashes"].get(machine())
    if own is None or recorded["versions"] != versions():
        pytest.skip(f"no hashes of {machine()} are recorded; where the code is that of main, {ANEW} and commit numbers.json")
    other = [name for name in VARIANTS if name in own and hashed(name) != own[name]]  # one that came later was recorded on another kind
    assert not other, f"{', '.join(other)} train to other weights than recorded on this kind of machine: {RAISE}"


def test_a_change_is_seen_and_rounding_is_not() -> None:
    assert changed({"a": 2.0, "b": 0.001}, {"a": 2.001, "b": 0.0011}) == []
    assert sorted(changed({"a": 2.0, "b": 1.0}, {"a": 2.1, "c": 1.0})) == ["a", "b", "c"]
