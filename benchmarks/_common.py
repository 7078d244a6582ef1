"""What the benchmarks share: the project's own training path, fair rounds, tables.

A claim about speed is a ratio of medians measured in one run, whose rounds alternate between what
is compared, so that other work on the machine slows all of it.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# The size of the published comparisons: batch 32, 20 steps, N 128, M 20, an LSTM of 100. Nine
# vectors to copy, with both flags, take 20 steps.
BATCH = 32
ROWS, COLUMNS, SHIFTS = 128, 20, 3
MEMORY = f"ntm.n_width={ROWS}"
TWENTY_STEPS = ("task.min_length=9", "task.max_length=9", MEMORY)

# Constants of the machine (ntm/), for the ones written by hand.
SHORTEST, BOUND, GATE_OFFSET, FLOOR, INITIAL = 0.5, 20.0, 4.0, 1e-12, 0.1


def compose(*overrides: str) -> Any:
    """The configuration of `python run.py` with these overrides."""
    import hydra

    from runner.config import schema

    schema.register()
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("config", list(overrides))


class Trainer:
    """Training as a run does it: batches drawn ahead in a thread, the compiled step, its numbers.

    Args:
        overrides: of the configuration.
    """

    def __init__(self, *overrides: str) -> None:
        from runner.config import startup

        with startup.native_notices():
            from runner.config import schema
            from runner.training import build
            from runner.training.step import TrainingStep

        self.config = compose(*overrides)
        self.batch_size = self.config.trainer.batch_size
        self.task = schema.task_from(self.config)
        self.model = build.model_from(self.config, self.task)
        self.step = TrainingStep.from_config(self.config, self.model)

    def batch(self, number: int = 1) -> tuple[Any, ...]:
        """One batch: inputs, targets, weights, mask."""
        from runner.training import data

        return data.training_batch(self.task, self.config.seed, number, self.batch_size)[:4]

    @contextmanager
    def prefetched(self) -> Iterator[Iterator[Any]]:
        """As many batches as are asked for, drawn in a thread."""
        from runner.training import data

        seed, steps = self.config.seed, range(1, 10**9)
        with data.prefetched(
            self.task, seed, steps, self.batch_size, prepare=self.step.on_device
        ) as batches:
            yield batches

    def train(self, batches: Iterator[Any], steps: int) -> list[float]:
        """Train for some steps, and read their losses when all are done, as a run does."""
        from runner.training.dispatch import AHEAD, async_dispatch

        with async_dispatch():
            results = []
            for _ in range(steps):
                results.append(self.step(*next(batches)))
                if len(results) > AHEAD:
                    float(results[-1 - AHEAD].loss_bits)
            return [float(result.loss_bits) for result in results]


def alternate(
    contestants: dict[str, Callable[[], Any]], rounds: int, warm_up: int = 1
) -> dict[str, float]:
    """Median seconds of each, from rounds in which each has its turn; the first rounds compile."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warm_up + rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if number >= warm_up:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def in_process(function: str, *arguments: Any, cores: Sequence[int] | None = None) -> Any:
    """What `<calling script>.<function>(*arguments)` returns (JSON) in a process of its own.

    cores: the only ones that it may use.
    """
    script = Path(sys.modules["__main__"].__file__ or "").resolve()
    code = (
        f"import json, os, sys; cores = {list(cores or [])}; "
        "cores and os.sched_setaffinity(0, cores); "
        f"sys.path.insert(0, {str(script.parent)!r}); import {script.stem} as script; "
        f"print(json.dumps(script.{function}(*json.loads(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script.name}: {function}{arguments} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


class Server:
    """A process that measures on demand, so that rounds of several processes can alternate.

    Args:
        function: name of a generator function of the calling script; each value it yields is an
            answer. It first runs to its first yield, which is not counted: the constructor returns
            before that, and `ready` waits for it.
        arguments: of the function.
        cores: the only ones that the process may use.
    """

    def __init__(self, function: str, *arguments: Any, cores: Sequence[int]) -> None:
        script = Path(sys.modules["__main__"].__file__ or "").resolve()
        code = (
            f"import json, os, sys; os.sched_setaffinity(0, {list(cores)}); "
            f"sys.path.insert(0, {str(script.parent)!r}); import {script.stem} as script\n"
            f"for answer in script.{function}(*json.loads(sys.argv[1])):\n"
            "    print(json.dumps(answer), flush=True)\n"
            "    sys.stdin.readline()"
        )
        command = [sys.executable, "-c", code, json.dumps(arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ready(self) -> Server:
        """The server, once it has run to its first yield."""
        self.answer()
        return self

    def ask(self) -> Any:
        """The next answer."""
        self.begin()
        return self.answer()

    def begin(self) -> None:
        """Let it measure, while others do."""
        assert self.process.stdin
        print(file=self.process.stdin, flush=True)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def answer(self) -> Any:
        """Wait for what was begun."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a measuring process ended early; its error stands above")
        return json.loads(line)


def head(claim: str, *packages: str) -> None:
    """Print what is measured, and on what: versions, cores, and how busy they are."""
    names = ("tensorflow", "keras", *packages)
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cores = len(os.sched_getaffinity(0))
    print(claim)
    print(
        f"Python {platform.python_version()}, {versions}; {cores} cores, "
        f"load before the start {os.getloadavg()[0]:.1f}"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table; numbers with three digits that count."""
    cells = [list(columns), *([_shown(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        print("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |")
    print(flush=True)


def milliseconds(seconds: float) -> str:
    """Seconds in milliseconds, as in a table."""
    return f"{1e3 * seconds:.1f}"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
