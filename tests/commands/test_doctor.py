"""``tlda doctor`` says what is there, and what is missing."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import Tlda
from tlda.commands import doctor


def test_it_says_what_a_report_of_a_fault_needs(tlda: Tlda, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "sets" / "digits").mkdir(parents=True)
    monkeypatch.setenv("TLDA_DATA", str(tmp_path / "sets"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("tlda.commands.running.computes_in_bfloat16", lambda device: False)
    done = tlda("doctor")
    assert done.code == 0, done.err
    assert f"torch              {metadata.version('torch')}" in done.out
    assert "32-true, because the processor does not compute in bfloat16" in done.out
    assert f"{tmp_path / 'sets'} (TLDA_DATA)\n  folders            digits\n" in done.out
    assert "disabled, because WANDB_MODE says so" in done.out
    assert f"{cache} (TLDA_CACHE)" in done.out


def test_a_data_root_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TLDA_DATA", raising=False)
    assert dict(doctor.data())["root"] == f"{tmp_path / 'data'} (TLDA_DATA is not set): there is no such folder"


def test_a_package_that_is_missing_or_another_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", {"ray": "2.0"}.get)
    assert doctor.state(Requirement("ray>=2.60")) == "2.0, but tlda asks for >=2.60"
    monkeypatch.setattr(doctor, "needs", lambda: {"": [], "ray": [Requirement("ray>=2.60")], "text": [Requirement("tokenizers>=0.23")]})
    assert dict(doctor.extras()) == {"ray": "ray 2.0, but tlda asks for >=2.60", "text": "tokenizers missing (pip install 'tlda[text]')"}


def test_requirements_are_those_of_their_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["torch>=2.6", 'ray>=2.60; extra == "ray"'])
    monkeypatch.setattr(metadata, "metadata", lambda name: metadata.PackageMetadata)
    monkeypatch.setattr(metadata.PackageMetadata, "get_all", lambda name: ["ray", "text"])
    assert {extra: [need.name for need in found] for extra, found in doctor.needs().items()} == {"": ["torch"], "ray": ["ray"]}
