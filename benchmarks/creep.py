"""Speed and memory of the third and the twentieth job of a sweep in one process.

Short jobs under Hydra's basic launcher, with a small machine so that they are soon done.

    python benchmarks/creep.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _common as common

JOBS, EARLY = 20, 3
JOB = (
    "controller=double_dense",
    "ntm.n_width=32",
    "task.max_length=5",
    "trainer.steps=100",
    "trainer.evaluate_every=100",
    "evaluate.cases=[length=5]",
    "evaluate.sequences=64",
)


def main() -> None:
    common.head(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as directory:
        memory = resident_after_each_job(Path(directory))
        speed = {
            job: json.loads((Path(directory) / str(job - 1) / "metrics.json").read_text())[
                "steps_per_second"
            ]
            for job in (EARLY, JOBS)
        }
    columns = ("", f"job {EARLY}", f"job {JOBS}", "ratio")
    rows = [
        ("steps/s", speed[EARLY], speed[JOBS], speed[JOBS] / speed[EARLY]),
        ("resident, MB", memory[EARLY], memory[JOBS], memory[JOBS] / memory[EARLY]),
    ]
    common.table(columns, rows)
    print("MB after each job:", *(f"{value:.0f}" for value in memory.values()))


def resident_after_each_job(directory: Path) -> dict[int, float]:
    """Megabytes that the process holds when a job has ended, by the job's number from 1."""
    seeds = ",".join(map(str, range(JOBS)))
    command = [sys.executable, "run.py", "-m", *JOB, f"seed={seeds}"]
    process = subprocess.Popen(
        [*command, f"hydra.sweep.dir={directory}"],
        cwd=common.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    memory: dict[int, float] = {}
    while len(memory) < JOBS and process.poll() is None:
        if _ended(directory / str(len(memory))):
            memory[len(memory) + 1] = _resident(process.pid)
        time.sleep(0.02)
    process.wait()
    if len(memory) < JOBS:
        raise SystemExit(f"the sweep ended after {len(memory)} of {JOBS} jobs")
    return memory


def _ended(run: Path) -> bool:
    status = run / "status.json"
    return status.exists() and json.loads(status.read_text())["status"] != "running"


def _resident(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()
