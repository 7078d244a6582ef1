"""Shipping a run: what goes into `models/<task>`, what is refused, and that it evaluates there."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest
from omegaconf import OmegaConf

from runner import job, ship
from runner.config import saved
from runner.errors import ConfigError
from runner.store.files import write_json

from .conftest import ROOT, TINY_MACHINE, Compose
from .test_models import FILES, outcome

TINY = (
    *(*TINY_MACHINE, "trainer.steps=2"),
    *("evaluate.cases=['length=3']", "evaluate.sequences=4"),
)


@pytest.fixture(scope="module")
def trained(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps that was gone on with, so its configuration has a path."""
    folder = tmp_path_factory.mktemp("trained")
    config = composed(*TINY)
    saved.write_config(config, folder)
    job.run(config, folder)
    config.resume = str(folder)
    saved.write_config(config, folder)
    return folder


@pytest.fixture
def run(trained: Path) -> Path:
    """The same, said to be solved."""
    write_json(trained / "status.json", {"status": "solved", "error": None})
    return trained


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_needed_is_shipped_and_nothing_else(run: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    folder = ship.ship(run, tmp_path / "copy")
    assert files(folder) == FILES
    assert (folder / "model.keras").read_bytes() == (run / "model.keras").read_bytes()
    for name in ("metrics.json", "status.json"):
        assert json.loads((folder / name).read_text()) == json.loads((run / name).read_text())
    config: Any = OmegaConf.load(folder / ".hydra/config.yaml")
    assert (config.task.max_length, config.resume, config.checkpoint) == (3, None, None)


def test_no_path_of_the_machine_is_shipped(run: Path, tmp_path: Path) -> None:
    folder = ship.ship(run, tmp_path)
    for path in (tmp_path / name for name in FILES):
        for place in (str(run), str(ROOT), str(Path.home()), str(tmp_path)):
            assert place.encode() not in path.read_bytes()
    assert folder == tmp_path


def test_a_saved_model_has_no_optimizer(run: Path) -> None:
    with zipfile.ZipFile(run / "model.keras") as file:
        assert not json.loads(file.read("config.json")).get("compile_config")
        with h5py.File(io.BytesIO(file.read("model.weights.h5"))) as weights:
            assert "layers" in weights
            assert not [name for name in weights if "optimizer" in name]


def test_a_shipped_model_is_evaluated_like_a_run(
    run: Path, composed: Compose, tmp_path: Path
) -> None:
    """And one that solves nothing, such as this one, is found out."""
    folder = ship.ship(run, tmp_path / "shipped")
    status, metrics = outcome(folder, composed, tmp_path / "evaluation", sequences=4)
    assert status == "finished"
    assert metrics["evaluation"] == json.loads((run / "metrics.json").read_text())["evaluation"]


def test_a_run_that_is_not_solved_is_refused(run: Path, tmp_path: Path) -> None:
    write_json(run / "status.json", {"status": "finished", "error": None})
    with pytest.raises(ConfigError, match="ended as finished, not as solved"):
        ship.ship(run, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_large_model_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "LARGEST", (run / "model.keras").stat().st_size - 1)
    with pytest.raises(ConfigError, match="a shipped model at most"):
        ship.ship(run, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_evaluation_is_refused(run: Path, composed: Compose, tmp_path: Path) -> None:
    for name in ("model.keras", "metrics.json", "status.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    saved.write_config(composed(*TINY, "mode=evaluate", f"checkpoint={run}"), tmp_path)
    with pytest.raises(ConfigError, match="is an evaluation"):
        ship.ship(tmp_path)


def test_the_command_ships_to_the_task_s_folder(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner.ship"]
    settings: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
    settings |= {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT), "PATH": ""}}
    done = subprocess.run([*command, str(run)], **settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "python run.py mode=evaluate checkpoint=models/copy\n"
    assert files(tmp_path / "models/copy") == FILES
    wrong = subprocess.run([*command, "nowhere"], **settings)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Configuration error: RUN=nowhere is not a folder")
