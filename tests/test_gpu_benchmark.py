"""The benchmark for GPUs, tried out on the processor."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(directory: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """What it prints, and its JSON."""
    file = directory / "gpu.json"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--quick", "--to", str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, json.loads(file.read_text())


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("gpu", BENCHMARKS / "gpu.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    return module


def test_a_part_without_time_is_skipped_and_says_so(tmp_path: Path) -> None:
    printed, report = run(tmp_path, "--seconds", "0")
    assert report["device"] == "cpu"
    assert not any(part["rows"] for part in report["parts"].values())
    # Three comparisons, four training steps at two batch sizes, copying.
    assert printed.count("skipped: no time left") == 3 + 4 * 2 + 1
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1


def test_what_was_measured_stays_when_a_part_is_stopped(gpu: ModuleType) -> None:
    code = "import time; print('{\"batch\": 16}', flush=True); time.sleep(60)"
    outcome = gpu.finished([sys.executable, "-c", code], dict(os.environ), 2.0)
    assert outcome.rows == [{"batch": 16}]
    assert outcome.missing == "stopped after 2 s"


def test_a_part_that_fails_gives_its_reason(gpu: ModuleType) -> None:
    code = "import sys; print('ValueError: no memory\\nadvice', file=sys.stderr); sys.exit(1)"
    outcome = gpu.finished([sys.executable, "-c", code], dict(os.environ), 30.0)
    assert outcome.missing == "failed: ValueError: no memory"


def test_another_loss_than_the_reference_is_told(gpu: ModuleType) -> None:
    def timed(loss: float) -> Any:
        row = {"batch": 2, "device": "cpu", "loss": loss, "ms": 3.0, "ready_seconds": 1.0}
        return gpu.Outcome([{**row, "sequences_per_second": 9.0, "peak_bytes": None}])

    outcomes = {gpu.SCAN: timed(0.7), gpu.COMPILED: gpu.Outcome(), "layer on JAX": timed(0.8)}
    sizes = gpu.Sizes(batches=(2,))
    (line,) = gpu._timed("layer on JAX", outcomes, sizes)
    assert "ANOTHER LOSS" in line[-1]
    (line,) = gpu._timed(gpu.SCAN, outcomes, sizes)
    assert line[-1] == "loss 0.70000"


@pytest.mark.slow
def test_all_of_it_on_the_processor(tmp_path: Path) -> None:
    for name in ("jax", "torch"):
        if not importlib.util.find_spec(name):
            pytest.skip(f"{name} is not installed (extra `backends`)")
    _, report = run(tmp_path, "--seconds", "900")
    parts = report["parts"]
    missing = {name: part["missing"] for name, part in parts.items() if part["missing"]}
    assert set(missing.values()) == {"skipped: not asked for"}, missing
    for name, part in parts.items():
        if "against" in name:
            assert len(part["rows"]) == 2
            assert all(row["passed"] for row in part["rows"]), name
    steps = [part["rows"] for part in parts.values() if part["rows"] and "ms" in part["rows"][0]]
    assert len(steps) == 4
    for rows in zip(*steps, strict=True):
        assert [row["loss"] for row in rows] == pytest.approx([rows[0]["loss"]] * 4, rel=1e-5)
    assert parts["copy"]["rows"][0]["sequences"] > 0
