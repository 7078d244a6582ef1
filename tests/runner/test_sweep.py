"""The table of a sweep: every run, failed ones too, then mean and deviation over seeds."""

import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from runner.results import sweep
from runner.store import checkpoint
from runner.store.files import make, read_json, write_json, write_text
from runner.training import cores

from .conftest import ROOT


def leave(
    folder: Path,
    overrides: list[str],
    status: str | None = "finished",
    error: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Leave the files of one run."""
    make(folder, ".hydra")
    write_text(folder / ".hydra/overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))
    write_text(folder / ".hydra/config.yaml", "seed: 0\nntm:\n  n_width: 3\n")
    if status is not None:
        write_json(folder / "status.json", {"status": status, "error": error})
    if metrics is not None:
        write_json(folder / "metrics.json", metrics)


def metrics(seconds: float, solved: int | None, errors: float) -> dict[str, Any]:
    return {
        "task": "copy",
        "controller": "lstm",
        "seed": 0,
        "parameters": 7,
        "seconds": seconds,
        "solved_at_sequences": solved,
        "evaluation": {"length=20": {"bit_errors_per_sequence": errors, "bit_accuracy": 0.5}},
        "environment": {"device": "cpu"},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two controllers, the first with two seeds that ended and one that failed."""
    leave(tmp_path / "0", ["controller=lstm", "seed=0"], "solved", None, metrics(1.0, 800, 0.0))
    leave(tmp_path / "1", ["controller=lstm", "seed=1"], "finished", None, metrics(4.0, None, 3.0))
    leave(tmp_path / "2", ["controller=lstm", "seed=2"], "failed", "ValueError: a|b, c\nd")
    leave(tmp_path / "3", ["controller=dense", "seed=0"], "solved", None, metrics(5.0, 900, 1.0))
    leave(tmp_path / "10", ["controller=dense", "seed=1", "+a=b=c"], status=None)
    return tmp_path


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


ERRORS = "length=20 bit_errors_per_sequence"


def test_one_row_a_run_in_the_order_of_their_numbers(folder: Path) -> None:
    sweep.write(folder)
    runs = rows(folder)[:5]

    assert [row["run"] for row in runs] == ["0", "1", "2", "3", "10"]
    assert [row["controller"] for row in runs] == ["lstm"] * 3 + ["dense"] * 2
    assert [row["seed"] for row in runs] == ["0", "1", "2", "0", "1"]
    assert [row["a"] for row in runs] == ["", "", "", "", "b=c"]
    assert [row["status"] for row in runs] == [
        *("solved", "finished", "failed", "solved", "not started")
    ]
    assert [row["seconds"] for row in runs] == ["1.0", "4.0", "", "5.0", ""]
    assert [row["solved_at_sequences"] for row in runs] == ["800", "", "", "900", ""]
    assert [row[ERRORS] for row in runs] == ["0.0", "3.0", "", "1.0", ""]
    assert [row["length=20 bit_accuracy"] for row in runs] == ["0.5", "0.5", "", "0.5", ""]
    assert runs[2]["error"] == "ValueError: a|b, c\nd"


def test_a_column_stands_once_whether_stated_or_measured(folder: Path) -> None:
    sweep.write(folder)
    head = (folder / "sweep.csv").read_text(encoding="utf-8").partition("\n")[0].split(",")
    assert len(head) == len(set(head))
    assert head[:5] == ["run", "controller", "seed", "a", "status"]


def test_mean_and_sample_deviation_over_the_seeds_of_a_group(folder: Path) -> None:
    sweep.write(folder)
    groups = {(row["run"], row["controller"], row["a"]): row for row in rows(folder)[5:]}
    assert len(groups) == 6  # lstm, dense, dense with a=b=c; two numbers each

    mean, deviation = groups["mean", "lstm", ""], groups["deviation", "lstm", ""]
    assert float(mean["seconds"]) == (1.0 + 4.0) / 2
    assert float(deviation["seconds"]) == pytest.approx(((1.5**2 + 1.5**2) / (2 - 1)) ** 0.5)
    assert float(mean[ERRORS]) == 1.5
    assert float(deviation[ERRORS]) == pytest.approx(statistics.stdev([0.0, 3.0]))
    assert float(mean["solved_at_sequences"]) == 800  # of the runs that solved it
    assert mean["seed"] == ""
    assert mean["status"] == "1 of 3 solved"

    assert groups["mean", "dense", ""]["seconds"] == "5.0"
    assert groups["deviation", "dense", ""]["seconds"] == ""  # one run has no deviation
    assert groups["mean", "dense", "b=c"]["seconds"] == ""


def test_the_markdown_has_the_runs_the_groups_and_the_errors(folder: Path) -> None:
    sweep.write(folder)
    text = (folder / "sweep.md").read_text(encoding="utf-8")
    tables = [
        [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines()]
        for part in text.split("\n\n")
        if part.startswith("|")
    ]
    runs, groups = tables
    assert len(runs) == 2 + 5
    assert all(len(row) == len(runs[0]) for row in runs)
    assert dict(zip(runs[0], runs[3], strict=True))["status"] == "finished"
    lstm = dict(zip(groups[0], groups[2], strict=True))
    assert lstm["seconds"] == "2.5 ± 2.121"
    assert lstm["status"] == "1 of 3 solved"
    assert "- 2: failed, ValueError: a\\|b, c d" in text


def test_the_short_table_says_what_failed_and_where_the_rest_is(folder: Path) -> None:
    text = sweep.write(folder)
    assert "| 2   | lstm" in text
    assert "failed" in text
    assert f"tensorboard --logdir {folder}" in text
    assert str(folder / "sweep.csv") in text


def test_tensorboard_is_told_the_columns_of_the_sweep(folder: Path) -> None:
    sweep.write(folder)
    [record] = folder.glob("events.out.tfevents.*")
    content = record.read_bytes()
    for name in ("ntm.n_width", "result/length=20/bit_errors_per_sequence", "result/seconds"):
        assert name.encode() in content


def test_a_folder_without_runs_gets_no_table(tmp_path: Path) -> None:
    assert "no run was started" in sweep.write(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_table_is_written_once_however_the_sweep_ends(ends_well: bool, folder: Path) -> None:
    """Hydra calls on_multirun_end only when every job succeeded."""
    script = f"""
from omegaconf import OmegaConf
from runner.results import sweep

config = OmegaConf.create({{"hydra": {{"sweep": {{"dir": {str(folder)!r}}}}}}})
table = sweep.SweepTable()
with sweep.with_table():
    table.on_multirun_start(config)
    if not {ends_well}:
        raise RuntimeError("the first failure")
    table.on_multirun_end(config)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == ends_well
    assert (folder / "sweep.csv").exists()
    assert done.stdout.count("tensorboard --logdir") == 1


@pytest.mark.parametrize(
    ("available", "jobs", "expected"),
    [(8, 1, 8), (8, 2, 4), (8, 3, 2), (2, 4, 1), (8, -1, 1), (8, None, 8)],
)
def test_the_jobs_of_a_launcher_share_the_cores(
    available: int, jobs: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(available))
    launcher = {} if jobs is None else {"n_jobs": jobs}
    config = OmegaConf.create({"launcher": launcher, "mode": RunMode.MULTIRUN})
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: config)
    assert cores.share() == expected

    config.mode = RunMode.RUN
    assert cores.share() == available


def test_without_hydra_all_cores_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(6))
    assert cores.share() == 6


@pytest.mark.slow
def test_a_sweep_of_two_jobs_at_once_leaves_a_complete_folder(tmp_path: Path) -> None:
    """The real thing: Hydra, joblib's processes, TensorFlow; one job fails."""
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "run.py"), "-m", "hydra/launcher=joblib"),
            *("hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", "experiment=quick"),
            *("task.max_length=3", "ntm.n_width=8", "trainer.steps=2", "evaluate.sequences=4"),
            *("evaluate.cases=[length=3]", "seed=0,1", "controller=dense"),
            "optimizer.epsilon=1e-5,1e-46",  # The second is nothing in float32: 0 / 0.
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "optimizer.epsilon (now 1e-46)" in done.stderr
    assert done.returncode == 1
    runs = rows(tmp_path / "sweep")
    assert [row["run"] for row in runs] == ["0", "1", "2", "3", "mean", "mean", *["deviation"] * 2]
    assert [row["status"] for row in runs[:4]] == ["finished", "failed"] * 2
    assert float(runs[4]["length=3 bit_errors_per_sequence"]) == pytest.approx(
        sum(float(runs[n]["length=3 bit_errors_per_sequence"]) for n in (0, 2)) / 2
    )
    assert (tmp_path / "sweep/sweep.md").exists()
    assert (tmp_path / "sweep/0/model.keras").exists()


@pytest.mark.slow
def test_the_jobs_of_a_sweep_that_is_killed_leave_checkpoints(tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(ROOT / "run.py"), "-m", "hydra/launcher=joblib"),
        *("hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", "seed=0,1,2", "task.max_length=3"),
        *("ntm.n_width=8", "trainer.steps=1000000", "trainer.evaluate_every=1000000"),
        *("evaluate.cases=[length=3]", "trainer.checkpoint_every=1000000"),
    ]
    folders = [tmp_path / "sweep" / str(number) for number in range(3)]

    def trains(folder: Path) -> bool:
        log = folder / "run.log"
        return log.exists() and "step 10/" in log.read_text()

    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as killed:
        before = time.monotonic()
        while not all(map(trains, folders[:2])):
            assert time.monotonic() - before < 180, "the jobs did not start"
            time.sleep(0.5)
        killed.kill()
        killed.communicate(timeout=60)  # Until the workers, which hold the pipe, are gone too.
    for folder in folders[:2]:
        assert read_json(folder / "status.json")["status"] == "interrupted"
        assert checkpoint.latest(folder / "checkpoints") is not None
    assert not folders[2].exists()
