"""Whatever ends a function beside a process, the process goes on, and the function may save."""

import math
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.training import cores
from runner.training.worker import Worker, WorkerError

from .conftest import ROOT

# A launcher with a job that saves when it is interrupted. The job is a file's top level, since the
# process beside has to import it.
JOB = """
import time
from pathlib import Path

def job(folder, number):
    (folder / f"{number} started").touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(1)
        (folder / f"{number} saved").touch()
        raise
"""
LAUNCHER = """
import signal, sys
from pathlib import Path
import a_job
from runner.training import interrupts, worker

signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
with interrupts.as_exceptions():
    beside = worker.Worker()
    for number in range(2):
        beside.call(a_job.job, Path(sys.argv[1]), number)
"""


@pytest.fixture
def worker() -> Iterator[Worker]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    worker = Worker()
    yield worker
    worker.stop()
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system binds no process")
def test_a_process_keeps_to_its_cores() -> None:
    """Of which all are then its share, however many jobs run at once."""
    (last,) = cores.parts(len(os.sched_getaffinity(0)))[-1]
    worker = Worker({last})
    try:
        assert worker.call(os.sched_getaffinity, 0) == {last}
        assert worker.call(cores.share) == 1
    finally:
        worker.stop()


def test_calls_share_a_process_until_it_dies(worker: Worker) -> None:
    first = worker.call(os.getpid)
    assert worker.call(os.getpid) == first != os.getpid()
    with pytest.raises(WorkerError, match="SIGKILL") as killed:
        worker.call(signal.raise_signal, signal.SIGKILL)
    assert killed.value.code == -signal.SIGKILL
    with pytest.raises(WorkerError, match="by itself, with status 3"):
        worker.call(os._exit, 3)
    assert worker.call(os.getpid) != first


def test_what_a_function_returns_and_raises_comes_back(worker: Worker) -> None:
    assert worker.call(math.sqrt, 9.0) == 3.0
    with pytest.raises(RunError, match="ValueError: math domain error"):
        worker.call(math.sqrt, -1.0)
    with pytest.raises(RunError, match=r"^plain$"):
        worker.call(exec, "from runner.errors import RunError\nraise RunError('plain')")
    assert worker.call(math.sqrt, 4.0) == 2.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_function_interrupts_its_caller(number: int, worker: Worker) -> None:
    with pytest.raises(KeyboardInterrupt):
        worker.call(signal.raise_signal, number)
    assert worker.call(math.sqrt, 4.0) == 2.0


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda launcher: launcher.kill(), id="SIGKILL"),
        pytest.param(lambda launcher: launcher.terminate(), id="SIGTERM", marks=pytest.mark.slow),
        pytest.param(
            lambda launcher: os.killpg(launcher.pid, signal.SIGINT),
            id="Ctrl-C",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_job_saves_when_its_launcher_is_ended(
    end: Callable[[subprocess.Popen[bytes]], None], tmp_path: Path
) -> None:
    (tmp_path / "a_job.py").write_text(textwrap.dedent(JOB))
    made = tmp_path / "made"
    made.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    command = [sys.executable, "-c", LAUNCHER, str(made)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as launcher:  # fmt: skip
        before = time.monotonic()
        while not list(made.iterdir()):
            assert time.monotonic() - before < 50, "the job did not start"
            time.sleep(0.05)
        end(launcher)
        launcher.communicate(timeout=30)  # Until the job, which holds the pipes, is gone, too.
    assert {path.name for path in made.iterdir()} == {"0 started", "0 saved"}


def test_a_process_beside_does_not_outlive_its_caller() -> None:
    script = "import os; from runner.training.worker import Worker; w = Worker(); w.call(os.getpid)"
    command = f"exec {shlex.join([sys.executable, '-c', f'{script}; os._exit(0)'])}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, check=False, timeout=30
    )
    assert done.returncode == 0
