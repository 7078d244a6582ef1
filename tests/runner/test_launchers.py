"""Launchers: what ends one job ends no other, and an interrupt lets all of them save."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.ntm_engines import clusters, pool
from runner import sweep_job
from runner.config import plugins
from runner.errors import ConfigError, RunError
from runner.store import checkpoint
from runner.store.files import read_json
from runner.training import cores, interrupts
from runner.training.worker import Worker, WorkerError

from . import slurm
from .conftest import ROOT

TINY = (
    "experiment=quick", "task.max_length=3", "ntm.n_width=8", "controller=dense",
    "evaluate.sequences=4", "evaluate.cases=[length=3]", "hydra.sweep.dir=sweep",
    f"compilation_cache={ROOT / '.pytest_cache/ntm'}",
)  # fmt: skip
LONG = ("trainer.evaluate_every=1000000", "trainer.checkpoint_every=1000000")
PATIENCE = 240.0


class Loader:
    """Composes the configuration of a job: `number=3` alone differs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load_sweep_config(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        return OmegaConf.create(
            {
                "hydra": {
                    "job": {},
                    "sweep": {"dir": str(self.folder), "subdir": "${hydra.job.num}"},
                    "overrides": {"task": overrides},
                }
            }
        )


def made(launcher: Any, folder: Path) -> Any:
    """A launcher that Hydra has set up for a sweep in a folder."""
    hydra = {"sweep": {"dir": str(folder)}, "verbose": False, "job_logging": None}
    config = OmegaConf.create({"hydra": {**hydra, "hydra_logging": {"root": None}}})
    config.hydra.hydra_logging["version"] = 1
    context = HydraContext(Loader(folder), SimpleNamespace())  # type: ignore[arg-type]
    launcher.setup(hydra_context=context, task_function=None, config=config)
    return launcher


def succeeded(value: float) -> JobReturn:
    result = JobReturn(status=JobStatus.COMPLETED)
    result.return_value = value
    return result


def overrides(count: int) -> list[list[str]]:
    return [[f"number={number}"] for number in range(count)]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], JobReturn]], None]:
    """`launched(job)` lets a pool call `job(number)` in place of a real job."""

    def replace(job: Callable[[int], JobReturn]) -> None:
        monkeypatch.setattr(
            sweep_job, "launched", lambda worker, config: job(int(config.hydra.job.num))
        )

    return replace


def test_a_pool_runs_so_many_jobs_at_a_time(tmp_path: Path, launched: Any) -> None:
    running, most, lock = [0], [0], threading.Lock()

    def job(number: int) -> JobReturn:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05 * (3 - number % 3))
        with lock:
            running[0] -= 1
        return succeeded(number)

    launched(job)
    results = made(pool.Pool(2), tmp_path).launch(overrides(6), 4)
    assert [result.return_value for result in results] == [4, 5, 6, 7, 8, 9]
    assert most == [2]


def test_the_processes_of_a_pool_have_cores_of_their_own(
    tmp_path: Path, launched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many parts as jobs that can run at once."""
    given: list[set[int]] = []
    start = Worker.__init__
    monkeypatch.setattr(cores, "parts", lambda number: [{10 + n} for n in range(number)])
    monkeypatch.setattr(
        Worker, "__init__", lambda self, own: (given.append(own), start(self, own))[1]
    )
    launched(lambda number: succeeded(number))
    for jobs in (5, 2):
        made(pool.Pool(3), tmp_path).launch(overrides(jobs), 0)
    assert given == [{10}, {11}, {12}, {10}, {11}]


def test_a_job_of_a_pool_that_is_killed_fails_alone(tmp_path: Path, launched: Any) -> None:
    def job(number: int) -> JobReturn:
        if number == 1:
            raise WorkerError(-signal.SIGKILL)
        return succeeded(number)

    launched(job)
    results = made(pool.Pool(2), tmp_path).launch(overrides(4), 0)
    statuses = [result.status is JobStatus.COMPLETED for result in results]
    assert statuses == [True, False, True, True]
    with pytest.raises(RunError, match="SIGKILL"):
        _ = results[1].return_value
    assert read_json(tmp_path / "1/status.json")["status"] == "failed"


def test_an_interrupt_lets_what_runs_save_and_starts_nothing_more(
    tmp_path: Path, launched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, saved, began = threading.Event(), [], []

    def job(number: int) -> JobReturn:
        began.append(number)
        if len(began) == 2:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert asked.wait(20)
        saved.append(number)
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "interrupt", lambda self: asked.set())
    launched(job)
    with pytest.raises(KeyboardInterrupt), interrupts.as_exceptions():
        made(pool.Pool(2), tmp_path).launch(overrides(5), 0)
    assert sorted(saved) == sorted(began) == [0, 1]


class Submitted:
    """A job of submitit with what it has left."""

    def __init__(self, folder: Path, job_id: str, result: Any = None) -> None:
        self.job_id = job_id
        pickle = folder / f"{job_id}.pkl"
        self.paths = SimpleNamespace(result_pickle=pickle, stdout=folder / "out")
        self._result = result
        if result is not None:
            pickle.touch()

    def _get_outcome_and_result(self) -> Any:
        return self._result


@pytest.fixture
def array(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> clusters.Slurm:
    """A launcher for Slurm whose looks are quick, and whose queue is empty."""
    monkeypatch.setattr(clusters, "SECONDS", 0.01)
    monkeypatch.setattr(clusters, "QUEUE_SECONDS", 0.02)
    monkeypatch.setattr(clusters, "_queued", lambda main: iter(()))
    monkeypatch.setenv("PYTHONPATH", "")
    launcher: clusters.Slurm = made(clusters.Slurm(), tmp_path)
    return launcher


def test_a_job_that_left_the_queue_without_a_result_fails_alone(
    array: clusters.Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [
        Submitted(tmp_path, "7_0", ("success", succeeded(0.5))),
        Submitted(tmp_path, "7_1"),
        Submitted(tmp_path, "7_2", ("error", "Traceback:\nValueError: no")),
    ]
    executor = SimpleNamespace(map_array=lambda *arguments: jobs)
    monkeypatch.setattr(array, "_executor", lambda: executor)
    first, second, third = array.launch(overrides(3), 0)
    assert first.return_value == 0.5
    for result, reason in ((second, "left no result"), (third, "ValueError: no")):
        with pytest.raises(RunError, match=reason):
            _ = result.return_value
    assert "left no result" in read_json(tmp_path / "1/status.json")["error"]
    assert not (tmp_path / "0/status.json").exists()


def test_a_launcher_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_is_installed", lambda package: False)
    for option, extra in (("slurm", "slurm"), ("slurm_local", "slurm"), ("ray", "ray")):
        config = OmegaConf.create({"hydra": {"runtime": {"choices": {"hydra/launcher": option}}}})
        with pytest.raises(ConfigError, match=rf"launcher={option} needs .*'\.\[{extra}\]'"):
            plugins.check(config)
    config = OmegaConf.create({"hydra": {"runtime": {"choices": {"hydra/launcher": "joblib"}}}})
    plugins.check(config)


def test_ours_stand_for_options_of_the_same_name() -> None:
    """Else Hydra takes those of packages for their schema, and refuses what these do not have."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", str(ROOT / "run.py"), "--cfg", "hydra"),
            *("hydra/launcher=joblib", "hydra/sweeper=optuna"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ntm_engines.pool.Pool" in done.stdout
    assert "ntm_engines.search.Search" in done.stdout


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), "-m", *TINY, *arguments]


def until(done: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    patience = time.monotonic() + PATIENCE
    while not done():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience
        time.sleep(0.1)


def trains(folder: Path) -> bool:
    log = folder / "run.log"
    return log.exists() and "step 10/" in log.read_text()


def status(folder: Path) -> str:
    return str(read_json(folder / "status.json")["status"])


def process_of(folder: Path) -> int:
    """The process that holds a directory."""
    return int((folder / ".lock").read_text().split()[1])


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_job_that_is_killed_ends_alone_and_sigterm_lets_all_save(
    launcher: str, tmp_path: Path
) -> None:
    """The real thing: one job is killed, then the sweep is ended by a scheduler."""
    at_once = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    sweep = tmp_path / "sweep"
    arguments = command(
        f"hydra/launcher={launcher}", *at_once, *LONG, "trainer.steps=1000000", "seed=0,1,2"
    )
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: trains(sweep / "0"), process)
        os.kill(process_of(sweep / "0"), signal.SIGKILL)
        last = 1 if launcher == "basic" else 2
        until(lambda: trains(sweep / str(last)), process)
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert status(sweep / "0") == "failed"
    for number in range(1, last + 1):
        assert status(sweep / str(number)) == "interrupted"
        assert checkpoint.latest(sweep / str(number) / "checkpoints") is not None
    assert (sweep / "sweep.csv").exists()
    assert "- 0 (seed=0): failed, RunError: its process was killed (SIGKILL)" in out
    assert "to go on: " in out
    assert f"job 1/3 seed=1: [{time.strftime('%Y')}" in out


@pytest.mark.slow
def test_jobs_of_submitit_on_this_machine_end_alone(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    done = subprocess.run(
        command(
            *("hydra/launcher=slurm_local", "hydra.launcher.n_jobs=1", "trainer.steps=2"),
            "optimizer.epsilon=1e-46,1e-5",  # The first is nothing in float32: 0 / 0.
        ),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert [status(tmp_path / f"sweep/{number}") for number in range(2)] == ["failed", "finished"]
    assert "- 0 (optimizer.epsilon=1e-46): failed, RunError" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(slurm.missing() is not None, reason=f"no Slurm here: {slurm.missing()}")
def test_a_job_of_slurm_is_requeued_and_goes_on(tmp_path: Path) -> None:
    """The real thing: an array, the signal that precedes the end of the time, and its going on."""
    pytest.importorskip("submitit", reason="submitit is not installed")
    sweep = tmp_path / "sweep"
    arguments = command(
        *("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", *LONG),
        *("trainer.steps=2000", "seed=0,1"),
    )
    with (
        slurm.started(tmp_path / "slurm") as environment,
        subprocess.Popen(
            arguments, cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process,
    ):  # fmt: skip
        until(lambda: trains(sweep / "0"), process)
        queue = subprocess.run(
            ["squeue", "--noheader", "--format", "%F"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        job = f"{queue.stdout.split()[0]}_0"
        subprocess.run(["scancel", "--signal=USR2", job], env=environment, check=True)
        until(lambda: status(sweep / "0") == "requeued", process)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "going on from" in (sweep / "0/run.log").read_text()
    for number in range(2):
        assert status(sweep / str(number)) in ("finished", "solved")
        assert json.loads((sweep / f"{number}/metrics.json").read_text())["steps"] == 2000


@pytest.mark.slow
def test_jobs_of_ray_end_alone(tmp_path: Path) -> None:
    """On a cluster of this machine; in an environment of its own, see docs/sweeps.md."""
    pytest.importorskip("ray", reason="ray is not installed: it needs an environment of its own")
    done = subprocess.run(
        command(
            *("hydra/launcher=ray", "trainer.steps=2", "seed=0"),
            "optimizer.epsilon=1e-46,1e-5",  # The first is nothing in float32: 0 / 0.
        ),
        cwd=tmp_path, env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert [status(tmp_path / f"sweep/{number}") for number in range(2)] == ["failed", "finished"]
