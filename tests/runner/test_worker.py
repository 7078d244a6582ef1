"""A worker of a sweep ends with it; a run from a shell does not end with the shell."""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT

# Two jobs at a time, which save when they are interrupted, and two more that wait.
SWEEP = """
import signal, sys, time
from pathlib import Path
from joblib import Parallel, delayed

def job(folder, number):
    from runner.training import worker

    with worker.ends_with_its_sweep():
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        (folder / f"{number} started").touch()
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(1)
            (folder / f"{number} saved").touch()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)

Parallel(n_jobs=2)(delayed(job)(Path(sys.argv[1]), number) for number in range(4))
"""
RUN = """
import os, time
from runner.training import worker

parent = os.getppid()
with worker.ends_with_its_sweep():
    while os.getppid() == parent:
        time.sleep(0.1)
    time.sleep(3 * worker.SECONDS)
print("went on")
"""


@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.terminate])
def test_the_workers_of_a_sweep_save_and_end_when_it_is_killed(
    end: Callable[[subprocess.Popen[bytes]], None], tmp_path: Path
) -> None:
    def left() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    command = [sys.executable, "-c", SWEEP, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as sweep:
        before = time.monotonic()
        while len(left()) < 2:
            assert time.monotonic() - before < 50, "the jobs did not start"
            time.sleep(0.1)
        end(sweep)
        sweep.communicate(timeout=30)  # Until the workers, which hold the pipe, are gone too.
    assert left() == {f"{number} {what}" for number in (0, 1) for what in ("started", "saved")}


def test_a_run_outlives_the_shell_that_started_it() -> None:
    command = f"{shlex.join([sys.executable, '-c', RUN])} & sleep 2"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "went on\n"
