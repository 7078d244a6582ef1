"""What a person sees of a sweep while it runs and when it ends."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from rich.console import Console

from runner.config import completion, jobs, plan, sweep_end, varied
from runner.config.explain import options_of
from runner.reporting import heartbeat, job_lines, live_table


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Four jobs: one finished, one failed, one running, one not begun."""
    values = {str(number): {"seed": number} for number in range(4)}
    write(tmp_path / plan.PLAN, {"columns": ["seed"], "jobs": values})
    write(tmp_path / "0/status.json", {"status": "finished", "error": None})
    scores = {"bit_errors_per_sequence": 0.5, "loss_bits_per_sequence": 2.25}
    write(tmp_path / "0/metrics.json", {"steps": 40, "evaluation": {"length=3": scores}})
    write(tmp_path / "1/status.json", {"status": "failed", "error": "RunError: no more"})
    write(tmp_path / "2/status.json", {"status": "running", "error": None})
    told = {"step": "10/40", "loss": "8.1", "bit_errors": "3", "left": "0:30"}
    write(tmp_path / "2" / heartbeat.NAME, told)
    return tmp_path


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def job(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Be job 3 of a sweep in a folder."""
    hydra = {
        "mode": RunMode.MULTIRUN,
        "job": {"num": 3},
        "overrides": {"task": ["task=copy", "controller=lstm", "+seed=1"]},
        "sweep": {"dir": str(folder), "subdir": "3"},
        "runtime": {"output_dir": str(folder), "cwd": "/"},
    }
    config = OmegaConf.create(hydra)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: config)


def test_a_label_says_which_job_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sweep: Path
) -> None:
    job(monkeypatch, tmp_path)
    assert jobs.label() == "job 3/4 seed=3"
    (sweep / plan.PLAN).unlink()
    assert jobs.label() == "job 3 task=copy controller=lstm seed=1"
    monkeypatch.setattr(HydraConfig, "initialized", lambda: False)
    assert jobs.label() is None


def test_a_label_of_a_trial_is_short_and_says_all_that_was_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a search chooses comes as overrides, with all the digits of a number."""
    job(monkeypatch, tmp_path)
    HydraConfig.get().overrides.task = [
        *("optimizer.learning_rate=0.0015970293539536266", "trainer.clip_norm=3.0"),
        *("ntm.perturbation.memory_noise=0.3", "ntm.perturbation.weighting_leak=0.0"),
        *("ntm.read_heads=4", "ntm.write_heads=2", "controller=lstm"),
    ]
    assert jobs.label() == (
        "job 3 learning_rate=0.00159703 clip_norm=3 memory_noise=0.3 weighting_leak=0 "
        "read_heads=4 write_heads=2 controller=lstm"
    )
    made = plan.here()
    assert made is not None
    assert made[0]["trainer.clip_norm"] == 3.0  # A number to TensorBoard as well.
    long = ["task.name", "model.name", "a" * 120 + ".x"]
    label = varied.label(dict.fromkeys(long, 1), long)
    assert label == "task.name=1 model.name=1 x=1"  # Not two of one name.


def test_every_line_of_a_job_has_its_label(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sweep: Path
) -> None:
    job(monkeypatch, tmp_path)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with job_lines.labelled():
        sys.stdout.write("a line\nand ")
        sys.stdout.write("another\n")
        Console(file=sys.stdout, width=20).print("[bold]a table")
        sys.stdout.write("the rest")
    label = "job 3/4 seed=3: "
    assert out.getvalue().splitlines() == [
        f"{label}{line}" for line in ("a line", "and another", "a table", "the rest")
    ]
    assert sys.stdout is out


def test_a_sweep_waits_for_jobs_that_save(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep_end, "SECONDS", 0.1)
    monkeypatch.setattr(sweep_end._started, "sweep", sweep_end.Sweep(sweep, here=True))
    lock = FileLock(sweep / "2/.lock", thread_local=False)
    lock.acquire()
    began = time.monotonic()
    threading.Timer(0.5, lock.release).start()
    with sweep_end.waited():
        pass
    assert time.monotonic() - began >= 0.5
    assert "waiting for jobs that save what they have: 2" in capsys.readouterr().err


def test_the_table_shows_how_each_job_goes(sweep: Path) -> None:
    assert live_table.rows(sweep) == [
        ("0", "seed=0", "finished", "40", "2.25", "0.5", ""),
        ("1", "seed=1", "failed", "", "", "", ""),
        ("2", "seed=2", "running", "10/40", "8.1", "3", "0:30"),
        ("3", "seed=3", "waiting", "", "", "", ""),
    ]
    (sweep / plan.PLAN).unlink()  # as of a search, which decides on its way
    assert [row.job for row in live_table.rows(sweep)] == ["0", "1", "2"]


def test_a_small_terminal_shows_what_runs_and_what_failed(sweep: Path) -> None:
    found = live_table.rows(sweep)
    assert [row.job for row in live_table.fitting(found, 2)] == ["1", "2"]
    assert [row.job for row in live_table.fitting(found, 9)] == ["0", "1", "2", "3"]
    console = Console(file=io.StringIO(), width=100)
    console.print(live_table.drawn(sweep, 8))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "1 finished, 1 failed, 1 running, 1 waiting" in text
    assert "seed=3" not in text


def test_a_job_tells_the_table_how_it_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job(monkeypatch, tmp_path)
    monkeypatch.setenv(jobs.TABLE, "1")
    beat = heartbeat.Heartbeat()
    beat.tell(step="1/2")
    assert heartbeat.read(tmp_path) == {"step": "1/2"}
    beat.end()
    assert heartbeat.read(tmp_path) == {}
    monkeypatch.delenv(jobs.TABLE)
    heartbeat.Heartbeat().tell(step="1/2")
    assert not list(tmp_path.iterdir())


def test_completion_offers_nested_options_and_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = completion.completed("experiment=paper/copy")
    names = [f"paper/copy_{name}" for name in ("feedforward", "lstm", "lstm_alone")]
    assert found == [f"experiment={name}" for name in names]
    assert not [name for name in options_of("experiment") if "_common" in name]
    assert completion.completed("hydra/launcher=") is None
    assert completion.completed("seed=") is None
    for run in ("outputs/copy/1", "outputs/copy/2", "other/3"):
        write(tmp_path / run / ".hydra/config.yaml", {})
    monkeypatch.chdir(tmp_path)
    assert completion.completed("resume=") == ["resume=outputs/copy/2", "resume=outputs/copy/1"]
    assert completion.completed("checkpoint=oth") == ["checkpoint=other/3"]
