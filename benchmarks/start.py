"""From the command to the first training step; the time of help and of a configuration error.

A run of one step is watched from inside its process: when the configuration is known to be good,
when everything is imported, when the first step begins and when its result is there. Three runs of
the same shapes follow each other; the first finds nothing compiled, the others what earlier ones
have kept. Then the time that the evaluation of all cases takes at the end of a default run.

    python benchmarks/start.py
"""

from __future__ import annotations

import itertools
import json
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import _common as common

PARTS = ("configuration", "imports", "building", "first step")
RUNS, ROUNDS = 3, 3


def main() -> None:
    common.head(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as directory:
        runs = [marks_of_a_run(directory, number) for number in range(RUNS)]
    rows = []
    for number, (began, marks) in enumerate(runs, start=1):
        times = [began, *(marks[part] for part in PARTS)]
        seconds = [after - before for before, after in itertools.pairwise(times)]
        rows.append((f"run {number}", *(f"{value:.1f}" for value in (*seconds, sum(seconds)))))
    common.table(("seconds", *PARTS, "sum"), rows)
    cases, first, again = common.in_process("evaluation")
    rows = [(cases, f"{first:.1f}", f"{again:.1f}")]
    common.table(("cases, 640 sequences each", "seconds, compilation included", "again"), rows)
    commands = {"--help": ["--help"], "configuration error": ["ntm.n_widht=3"]}
    rows = [(name, f"{median_seconds(arguments):.2f}") for name, arguments in commands.items()]
    common.table(("python run.py", f"seconds, median of {ROUNDS}"), rows)


def marks_of_a_run(directory: str, number: int) -> tuple[float, dict[str, float]]:
    """When a run began, and when each of its parts ended."""
    began = time.time()
    return began, common.in_process("run", directory, number)


def run(directory: str, number: int) -> None:
    """`python run.py trainer.steps=1`, which ends after its first step and prints its marks."""
    marks: dict[str, float] = {}
    _watch(marks)
    kept = f"compilation_cache={directory}/compiled"
    sys.argv = ["run.py", "trainer.steps=1", kept, f"hydra.run.dir={directory}/{number}"]
    runpy.run_path(str(common.ROOT / "run.py"), run_name="__main__")


def _watch(marks: dict[str, float]) -> None:
    from runner.config import startup

    notices = startup.native_notices

    @contextmanager
    def around_the_imports() -> Iterator[None]:
        marks["configuration"] = time.time()
        with notices():
            yield
        marks["imports"] = time.time()
        _watch_first_step(marks)

    startup.native_notices = around_the_imports


def _watch_first_step(marks: dict[str, float]) -> None:
    from runner.training.train import Training

    train = Training._train

    def first_step(self: Training, *arguments: Any) -> None:
        marks["building"] = time.time()
        train(self, *arguments)
        marks["first step"] = time.time()
        print(json.dumps(marks), flush=True)
        os._exit(0)

    Training._train = first_step


def evaluation() -> tuple[int, float, float]:
    """The number of the default task's cases, and the seconds their evaluation takes twice."""
    trainer = common.Trainer()
    from runner.training import data
    from runner.training.evaluate import Evaluator
    from runner.training.prediction import Predictor

    predict = Predictor(trainer.model, trainer.config.evaluate.batch_size)
    evaluator = Evaluator(trainer.task, predict, trainer.task.cases(), seed=0)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        evaluator(trainer.config.evaluate.sequences, data.FINAL)
        seconds.append(time.perf_counter() - start)
    return len(evaluator.cases), seconds[0], seconds[1]


def median_seconds(arguments: list[str]) -> float:
    command = [sys.executable, "run.py", *arguments]
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(command, cwd=common.ROOT, capture_output=True, check=False)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
