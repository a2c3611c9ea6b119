"""The workspace at W&B of a table, or of a folder of runs."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPO, Tlda
from tlda.bench.workspace import Subject, of_runs, workspace
from tlda.errors import UserError
from tlda.metrics import VALIDATORS

needs_workspaces = pytest.mark.skipif(importlib.util.find_spec("wandb_workspaces") is None, reason="wandb-workspaces is not installed")
RESULTS = REPO / "benchmarks" / "results" / "quickstart"


class Server(HTTPServer):
    """W&B's GraphQL as far as a workspace needs it: it keeps the variables of each mutation."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.sent: list[dict[str, Any]] = []


class Asked(BaseHTTPRequestHandler):
    """Answers the queries of W&B's client."""

    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        viewer = {"id": "1", "entity": "ada", "username": "ada", "flags": "{}", "teams": {"edges": []}, "apiKeys": {"edges": []}}
        answer: dict[str, Any] = {"viewer": viewer, "serverInfo": {"cliVersionInfo": {}, "features": []}}
        if "upsertView" in asked["query"]:
            self.server.sent.append(asked["variables"])
            answer = {"upsertView": {"view": {"id": "7", "name": asked["variables"]["name"]}, "inserted": True}}
        content = json.dumps({"data": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    for name, value in (("BASE_URL", f"http://127.0.0.1:{made.server_port}"), ("API_KEY", "k" * 40), ("SILENT", "true")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield made
    made.shutdown()
    thread.join()
    made.server_close()
    if wandb := sys.modules.get("wandb"):
        wandb.teardown()  # or it would go on asking this server


def sections(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The configurations of the panels by section."""
    return {one["name"]: [panel["config"] for panel in one["panels"]] for one in spec["section"]["panelBankConfig"]["sections"]}


@needs_workspaces
def test_the_committed_workspace_is_what_the_command_makes(tlda: Tlda) -> None:
    done = tlda("dashboard", "quickstart", "--results", RESULTS, "--project", "tlda", "--json", "made.json")
    assert done.code == 0, done.err
    made, committed = (json.loads(path.read_text()) for path in (Path("made.json"), REPO / "docs" / "guides" / "workspace.json"))
    assert sections(made["spec"]) == sections(committed["spec"])
    shown = sections(made["spec"])
    assert list(shown)[:4] == ["Methods and transfer tasks", "By method", "Curves", "Validators beside the oracle"]
    assert list(shown)[4:] == ["Confusion and features", "Predictions"]
    assert "| DANN | 61.4 ± 1.1 | 71.1 ± 3.1 |" in shown["Methods and transfer tasks"][0]["value"]
    lines = [*shown["By method"], *shown["Curves"], *shown["Validators beside the oracle"]]
    assert {(line["groupBy"], line["groupAgg"], line["groupArea"]) for line in lines} == {("method.value", "mean", "stddev")}
    names = [line["metrics"] for line in shown["Validators beside the oracle"]]
    assert names == [["oracle/target/accuracy"], *([f"val/target/{name}"] for name in VALIDATORS)]
    assert [line["xAxis"] for line in shown["Curves"]] == ["epoch"] * 2 + ["trainer/global_step"] * 3
    keys = [panel["mediaKeys"] for panel in shown["Confusion and features"]]
    assert keys == [["pictures/confusion"], ["pictures/features"], ["pictures/samples"]]


@needs_workspaces
def test_a_server_gets_the_workspace(tlda: Tlda, server: Server) -> None:
    done = tlda("dashboard", "quickstart", "--results", RESULTS, "--project", "mine")
    assert done.code == 0, done.err
    (sent,) = server.sent
    assert (sent["entityName"], sent["projectName"], sent["displayName"], sent["type"]) == ("ada", "mine", "quickstart", "project-view")
    committed = json.loads((REPO / "docs" / "guides" / "workspace.json").read_text())
    assert sections(json.loads(sent["spec"])) == sections(committed["spec"])
    (runs,) = json.loads(sent["spec"])["section"]["runSets"]
    assert runs["filters"]["filters"][0]["value"] == ["quickstart"]
    assert f"/ada/mine?nw={sent['name'].removeprefix('nw-').removesuffix('-v')}" in done.out


def write_run(folder: Path, method: str, accuracy: float) -> None:
    """A finished run, as far as a workspace looks at it."""
    folder.mkdir(parents=True)
    config = {"model": {"class_path": f"tlda.methods.{method}"}, "data": {"init_args": {}}, "trainer": {}, "seed_everything": 0}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "metrics.csv").write_text(f"epoch,step,test/target/accuracy\n1,2,{accuracy}\n")


def test_a_folder_of_runs_has_a_table_of_methods_and_transfer_tasks(tmp_path: Path) -> None:
    for place, method, accuracy in (("a_to_b/DANN/0-1", "DANN", 0.5), ("a_to_b/DANN/1-1", "DANN", 0.6), ("b_to_a/MCC/0-1", "MCC", 0.25)):
        write_run(tmp_path / "runs" / place, method, accuracy)
    found = of_runs(tmp_path / "runs")
    assert (found.name, found.key, found.values, found.metric) == ("runs", "transfer", ["a_to_b", "b_to_a"], "test/target/accuracy")
    assert "| DANN | 55.0 ± 7.1 | – |" in found.table
    assert "| MCC | – | 25.0 |" in found.table
    with pytest.raises(UserError, match="there is no finished run below"):
        of_runs(tmp_path / "runs" / "b_to_a" / "MCC" / "0-1" / "none")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    with pytest.raises(UserError, match=r"pip install 'tlda\[dashboard\]'"):
        workspace(Subject("a", "table", ["a"], "", "test/target/accuracy"), "", "tlda")
