"""The models of `models/` load in this version of the project and still solve their tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner import job, ship
from runner.config import checks, saved
from runner.config.explain import options_of
from runner.config.schema import task_from
from runner.store.files import MODEL

from .conftest import ROOT, TASKS, UNDRAWN, Compose

MODELS = sorted(path for path in (ROOT / "models").glob("*") if path.is_dir())
FILES = {".hydra/config.yaml", "metrics.json", "model.keras", "status.json"}


def outcome(
    folder: Path, composed: Compose, directory: Path, sequences: int
) -> tuple[str, dict[str, Any]]:
    """Evaluate a shipped model on its deciding case; return the status and the metrics."""
    stated = ["mode=evaluate", f"checkpoint={folder}", f"evaluate.sequences={sequences}", UNDRAWN]
    groups = [f"{group}={name}" for group, name in saved.saved_names(folder, options_of).items()]
    config, _ = checks.resolve(composed(*groups, *stated), stated)
    config.evaluate.cases = [task_from(config).solved_case()]
    job.run(config, directory)
    metrics: dict[str, Any] = json.loads((directory / "metrics.json").read_text())
    return json.loads((directory / "status.json").read_text())["status"], metrics


def test_a_model_is_shipped() -> None:
    """The tests below would pass with nothing to test."""
    assert MODELS, "models/ is empty: python -m runner.ship <run> puts a solved run there"
    assert {folder.name for folder in MODELS} <= set(TASKS)


@pytest.mark.parametrize(
    "folder",
    [
        folder if folder.name == "copy" else pytest.param(folder, marks=pytest.mark.slow)
        for folder in MODELS
    ],
    ids=lambda folder: folder.name,
)
def test_a_shipped_model_still_solves_its_task(
    folder: Path, composed: Compose, tmp_path: Path
) -> None:
    status, metrics = outcome(folder, composed, tmp_path, sequences=640)
    assert status == "solved", metrics["evaluation"]


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_shipped_folder_is_small_and_whole(folder: Path) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES
    assert (folder / MODEL).stat().st_size <= ship.LARGEST
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["task"] == folder.name
    assert json.loads((folder / "status.json").read_text()) == {"status": "solved", "error": None}
