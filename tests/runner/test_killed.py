"""A run that is killed without a word, and started again by the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

import ntm  # noqa: F401 (to load its layer)

from .conftest import ROOT

COMMAND = (
    sys.executable, str(ROOT / "run.py"), "trainer.steps=60", "trainer.checkpoint_every=20",
    "trainer.evaluate_every=30", "task.max_length=5", "ntm.n_width=16", "evaluate.sequences=64",
    "evaluate.cases=[length=5,length=10]", f"compilation_cache={ROOT / '.pytest_cache/ntm'}",
)  # fmt: skip
PATIENCE = 120.0

pytestmark = pytest.mark.slow


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, f"hydra.run.dir={folder}"], stdout=subprocess.DEVNULL)


def record(folder: Path) -> dict[str, Any]:
    """All that a run left but times."""
    history = json.loads((folder / "history.json").read_text())
    for point in history["training"]:
        del point["sequences_per_second"]
    metrics = json.loads((folder / "metrics.json").read_text())
    return {
        "history": history,
        "evaluation": metrics["evaluation"],
        "status": json.loads((folder / "status.json").read_text()),
        "figures": sorted(path.name for path in (folder / "figures").iterdir()),
        "points": sorted(
            (value.tag, event.step)
            for path in folder.glob("events.out.tfevents.*[0-9]")
            for event in LegacyEventFileLoader(str(path)).Load()
            for value in event.summary.value
            if value.tag != "configuration"
        ),
        "hidden": sorted(path.name for path in folder.rglob(".*") if path.is_file()),
    }


def weights(folder: Path) -> list[np.ndarray]:
    found: list[np.ndarray] = keras.models.load_model(folder / "model.keras").get_weights()
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    assert start(folder).wait(PATIENCE) == 0
    return folder


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda folder: (folder / "status.json").exists(), id="at the start"),
        pytest.param(
            lambda folder: list(folder.glob("checkpoints/step_*20.npz")), id="after a checkpoint"
        ),
        pytest.param(lambda folder: list(folder.glob("figures/*")), id="while figures are drawn"),
    ],
)
def test_a_killed_run_ends_as_an_unbroken_one(
    moment: Callable[[Path], Any], unbroken: Path, tmp_path: Path
) -> None:
    killed = start(tmp_path)
    patience = time.monotonic() + PATIENCE
    while not moment(tmp_path):
        assert killed.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "running"
    assert start(tmp_path).wait(PATIENCE) == 0
    found, expected = record(tmp_path), record(unbroken)
    assert found == expected
    assert len(set(found["points"])) == len(found["points"])
    for mine, other in zip(weights(tmp_path), weights(unbroken), strict=True):
        np.testing.assert_array_equal(mine, other)
