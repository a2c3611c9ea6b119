"""Jobs of SLURM: what each asks for, arrays, and jobs that outlive the command; submitit is a fake that records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.conftest import Tlda
from tlda.bench import clusters
from tlda.bench.cell import Failed
from tlda.bench.clusters import Slurm, parameters, slurm_options
from tlda.bench.launching import Options
from tlda.bench.table import Cell
from tlda.errors import UserError


def cell(name: str) -> Cell:
    return Cell(name, "t", 0, {}, {}, f"key-{name}")


class Job:
    """A job, whose result is its cell's name."""

    states: ClassVar[dict[str, str]] = {}

    def __init__(self, folder: Path, job_id: str, named: str = "") -> None:
        self.job_id, self.named = job_id, named

    @property
    def state(self) -> str:
        return self.states.get(self.job_id, "UNKNOWN")

    def result(self) -> dict[str, str]:
        return {"job": self.job_id, "of": self.named}

    def done(self) -> bool:
        return self.state == "COMPLETED"


class Executor:
    """Takes jobs, whose numbers count up; within :meth:`batch` they are one array."""

    asked: ClassVar[list[dict[str, Any]]] = []
    arrays: ClassVar[list[int]] = []
    count: ClassVar[int] = 0

    def __init__(self, folder: Path, cluster: str) -> None:
        assert (folder.name, cluster) == ("slurm", "slurm")
        self.array = 0

    def update_parameters(self, **options: Any) -> None:
        self.asked.append(options)

    def submit(self, work: object, folder: Path, one: Cell, group: str | None) -> Job:
        Executor.count += 1
        self.array += 1
        return Job(folder, str(Executor.count), one.method)

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield
        self.arrays.append(self.array)


@pytest.fixture(autouse=True)
def submitit(monkeypatch: pytest.MonkeyPatch) -> None:
    def sbatch(command: str, folder: str, partition: str, account: str, qos: str, constraint: str, setup: str, **_: object) -> None:
        """As submitit's, of which the names are read."""

    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(AutoExecutor=Executor, SlurmJob=Job))
    monkeypatch.setitem(sys.modules, "submitit.slurm.slurm", SimpleNamespace(_make_sbatch_string=sbatch))
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(clusters, "GATHER", 0.1)
    for name, value in (("asked", []), ("arrays", []), ("count", 0)):
        monkeypatch.setattr(Executor, name, value)
    monkeypatch.setattr(Job, "states", {})


def test_what_the_command_says_to_slurm_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "gpu.yaml").write_text("partition: gpu\nsetup: [module load cuda/12]\n")
    found = slurm_options([str(tmp_path / "gpu.yaml"), "account=lab", "qos=long", "mem_gb=32", "constraint=a100|h100", "partition=big"])
    assert parameters(Options(None, 90, None, 4, 1, found), "cell") == {
        "timeout_min": 2,
        "cpus_per_task": 4,
        "gpus_per_node": 1,
        "name": "tlda-cell",
        "mem_gb": 32,
        "slurm_partition": "big",
        "slurm_setup": ["module load cuda/12"],
        "slurm_account": "lab",
        "slurm_qos": "long",
        "slurm_constraint": "a100|h100",
    }
    assert parameters(Options(slurm={"timeout_min": 5, "slurm_qos": "x"}), "c")["timeout_min"] == 5


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("partitoin=gpu", "submitit has no parameter 'partitoin'; did you mean 'partition'"),
        ("none.yaml", "cannot read none.yaml"),
    ],
)
def test_what_slurm_does_not_know_is_refused(given: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        slurm_options([given])


def test_a_list_is_no_options_and_other_launchers_have_none(tlda: Tlda) -> None:
    Path("list.yaml").write_text("[1, 2]")
    with pytest.raises(UserError, match=r"--slurm is 'list.yaml': it is NAME=VALUE, such as partition=gpu, or a YAML file"):
        slurm_options(["list.yaml"])
    assert "add --launcher slurm, or leave it out" in tlda("bench", "quickstart", "--slurm", "partition=gpu").err


def test_cells_that_are_ready_together_are_one_array(tmp_path: Path) -> None:
    launcher = Slurm(Options(slurm={"array_parallelism": 2}), 3)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda name: launcher.run(tmp_path, cell(name)), "abc"))
    assert sorted(outcome["of"] for outcome in found if isinstance(outcome, dict)) == ["a", "b", "c"]
    assert Executor.arrays == [3]
    assert [asked["slurm_array_parallelism"] for asked in Executor.asked] == [2]
    assert launcher.run(tmp_path, cell("d")) == {"job": "4", "of": "d"}
    assert Executor.asked[1]["name"] == "tlda-d-t-0"


def test_a_job_outlives_the_command_and_is_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launcher = Slurm(Options(), 1)
    launcher._submitted(tmp_path, cell("a"))  # and then the command is ended
    Job.states["1"] = "PENDING"
    launcher.close()
    assert "tlda: 1 jobs go on; the same command finds them again, and `scancel 1` ends them" in capsys.readouterr().err
    again = Slurm(Options(), 1)
    assert again.run(tmp_path, cell("a")) == {"job": "1", "of": ""}, "the job that was submitted before"
    assert "a-t-0 is the job 1 already, which is waited for" in capsys.readouterr().err
    assert again.run(tmp_path, cell("a")) == {"job": "2", "of": "a"}, "one that has ended is not found again"
    again._submitted(tmp_path, cell("b"))
    Job.states["3"] = "CANCELLED by 1000"
    assert again.run(tmp_path, cell("b")) == {"job": "4", "of": "b"}


def test_where_nothing_can_be_submitted_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = Slurm(Options(), 1)

    def refuses(*_: object) -> None:
        raise RuntimeError("sbatch: error: invalid partition")

    monkeypatch.setattr(Executor, "submit", refuses)
    outcome = launcher.run(tmp_path, cell("a"))
    assert isinstance(outcome, Failed)
    assert outcome.sentence == "its job could not be submitted: sbatch: error: invalid partition"
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match="--launcher slurm needs sbatch, which is not here"):
        Slurm(Options(), 1)
