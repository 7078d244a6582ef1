"""The layer on a GPU: is it right, how fast is it, what memory does it take, does it learn?

For whoever has a GPU, with Keras, JAX and PyTorch; neither TensorFlow nor Hydra is needed. All on
one card, on both backends of the layer:

- outputs and gradients of six machines, masked ones among them, against the values of the processor
- a training step (forward, backward, Adam) of the default machine, copying 20 vectors in 42 steps,
  at batch 16 to 4,096, against the same machine by hand in a `lax.scan` and in PyTorch, both as it
  is and under `torch.compile`; and the memory that each takes
- copying, learned from nothing with JAX

Every part is a process of its own: one that fails, or for which no time is left, says so in the
table and ends no other. JAX and PyTorch compile side by side, but what is timed has the card alone.

    python benchmarks/gpu.py --to gpu.json
    python benchmarks/gpu.py --quick        # small, on the processor: does the script work?
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import _common as common

SCRIPT = Path(__file__).resolve().parent / "_gpu_parts.py"
PACKAGES = ("keras", "jax", "jaxlib", "torch", "triton", "numpy")
# Seconds that a part needs to say anything at all, and that are kept for the comparisons.
LEAST, KEPT = 15.0, 8.0
# Relative, of the same weights and sequences; products may be in TF32.
SAME_LOSS = 3e-3
# The one that need not compile first.
BACKENDS = ("torch", "jax")
# Name, and the parts whose values are compared: the last one shows what float32 leaves open.
COMPARED = (
    ("JAX against the processor", "jax", "jax-cpu"),
    ("PyTorch against the processor", "torch", "torch-cpu"),
    ("the processor's PyTorch against its JAX", "torch-cpu", "jax-cpu"),
)
SCAN, COMPILED = "lax.scan by hand", "PyTorch by hand, compiled"
# Of a training step, as in `_gpu_parts`.
CONTESTANTS = (
    "layer on JAX",
    SCAN,
    "layer on PyTorch",
    "layer on PyTorch, compiled",
    "PyTorch by hand",
    COMPILED,
)
COLUMNS = (
    "what",
    "batch",
    "on",
    "ms a step",
    "sequences/s",
    "times lax.scan",
    "times torch.compile",
    "peak MiB",
    "ready in s",
    "result",
)


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    batches, length, rounds, at_once: of the training steps: sequences, vectors a sequence, rounds
    timed, time steps that PyTorch compiles as one program.
    correct: machines compared with the processor's, time steps, sequences.
    compiled: have PyTorch compile, which takes minutes.
    copy: sequences a batch, updates a call, vectors and sequences of an evaluation, seconds.
    """

    batches: tuple[int, ...] = (16, 64, 256, 1024, 4096)
    length: int = 20
    rounds: int = 7
    at_once: int = 6
    correct: tuple[int, int, int] = (6, 20, 8)
    compiled: bool = True
    copy: tuple[int, int, int, int, float] = (16, 100, 20, 640, 60.0)


QUICK = Sizes((2, 4), 2, 1, 1, (2, 6, 4), False, (4, 5, 3, 16, 3.0))


@dataclass
class Outcome:
    """What a part gave.

    rows: in the order in which they were measured. missing: why there are no more, or "". errors:
    the end of what the process wrote to its standard error.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""
    errors: str = ""


class Bench:
    """The parts, and the time that they share.

    Args:
        sizes: what is measured.
        seconds: for all of it.
        cpu: leave the GPU alone.
        directory: for files that parts share.
    """

    def __init__(self, sizes: Sizes, seconds: float, cpu: bool, directory: str) -> None:
        self.sizes, self.cpu, self.directory = sizes, cpu, directory
        self.began = time.monotonic()
        self.end = self.began + seconds
        self.outcomes: dict[str, Outcome] = {}

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def run(self) -> None:
        """All parts: what is compared, and what each backend does, side by side."""
        lanes = (self._all_values, self._jax, self._torch)
        with ThreadPoolExecutor(len(lanes)) as pool:
            for lane in [pool.submit(lane) for lane in lanes]:
                lane.result()
        for name, found, expected in COMPARED:
            self._compare(name, found, expected)

    def _all_values(self) -> None:
        for backend in BACKENDS:
            self._values(backend, backend)
            self._values(f"{backend}-cpu", backend, cpu=True)

    def _jax(self) -> None:
        self._step("layer on JAX", "jax")
        self._step(SCAN, "jax")
        batch, updates, length, sequences, seconds = self.sizes.copy
        self.part(
            "copy",
            "copy",
            "jax",
            lambda left: {
                "seconds": min(seconds, left - LEAST),
                "batch": batch,
                "updates": updates,
                "length": length,
                "sequences": sequences,
                "lock": self._file("lock"),
            },
        )

    def _torch(self) -> None:
        self._step("layer on PyTorch", "torch")
        self._step("PyTorch by hand", "torch")
        for name in (COMPILED, "layer on PyTorch, compiled"):
            if self.sizes.compiled:
                self._step(name, "torch")
            else:
                self.outcomes[name] = Outcome(missing="skipped: not asked for")

    def _values(self, name: str, backend: str, cpu: bool = False) -> None:
        machines, steps, batch = self.sizes.correct
        arguments = {
            "file": self._file(f"{name}.npz"),
            "machines": machines,
            "steps": steps,
            "batch": batch,
        }
        self.part(name, "values", backend, lambda _: arguments, cpu=cpu)

    def _step(self, contestant: str, backend: str) -> None:
        arguments = {
            "contestant": contestant,
            "batches": self.sizes.batches,
            "length": self.sizes.length,
            "rounds": self.sizes.rounds,
            "at_once": self.sizes.at_once,
            "lock": self._file("lock"),
        }
        self.part(contestant, "step", backend, lambda _: arguments)

    def _compare(self, name: str, found: str, expected: str) -> None:
        missing = self.outcomes[found].missing or self.outcomes[expected].missing
        if not (self.outcomes[found].rows and self.outcomes[expected].rows):
            self.outcomes[name] = Outcome(missing=missing)
            return
        files = {"file": self._file(f"{found}.npz"), "reference": self._file(f"{expected}.npz")}
        self.part(name, "compare", "jax", lambda _: files, kept=0.0, least=0.0)
        for row in self.outcomes[name].rows:
            row["device"] = self.outcomes[found].rows[0]["device"]
        self.outcomes[name].missing = self.outcomes[name].missing or missing

    def part(
        self,
        name: str,
        function: str,
        backend: str,
        arguments: Callable[[float], dict[str, Any]],
        cpu: bool = False,
        kept: float = KEPT,
        least: float = LEAST,
    ) -> None:
        """One part in a process.

        Args:
            name: of its outcome.
            function: of `_gpu_parts`.
            backend: of Keras.
            arguments: the function's, from the seconds that are left.
            cpu: leave the GPU alone.
            kept: seconds at the end that are not for this part.
            least: seconds without which it is not begun.
        """
        left = self.left() - kept
        if left < least:
            self.outcomes[name] = Outcome(missing="skipped: no time left")
            return
        began = time.monotonic()
        command = [sys.executable, str(SCRIPT), function, json.dumps(arguments(left))]
        self.outcomes[name] = outcome = finished(
            command, environment(backend, cpu or self.cpu), left
        )
        note = outcome.missing or "done"
        print(f"{name}: {note} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)

    def _file(self, name: str) -> str:
        return str(Path(self.directory) / name)


def environment(backend: str, cpu: bool) -> dict[str, str]:
    """Of a part's process."""
    paths = [str(common.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    chosen = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(paths),
        # Two processes share the card: neither may take most of it before it needs it.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if cpu:
        # One thread for PyTorch, whose operations are so small here that more take longer.
        chosen |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return chosen


def finished(command: list[str], environment: dict[str, str], limit: float) -> Outcome:
    """What a command printed within so many seconds, line by line of JSON."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    missing = ""
    try:
        output, errors = process.communicate(timeout=limit)
        if process.returncode:
            # JAX writes advice behind the error itself.
            reasons = re.findall(r"^[\w.]*(?:Error|Exception)\b.*", errors, re.MULTILINE)
            missing = f"failed: {reasons[-1][:150] if reasons else process.returncode}"
    except subprocess.TimeoutExpired:
        # With the processes that PyTorch compiles in.
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        missing = f"stopped after {limit:.0f} s"
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return Outcome(rows, missing, errors[-2000:])


def card() -> dict[str, str]:
    """The first GPU and its driver, as NVIDIA's tool names them; empty without."""
    fields = ("name", "driver_version", "memory.total")
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    values = done.stdout.splitlines()[0].split(", ")
    return dict(zip(fields, values, strict=True))


def versions() -> dict[str, str]:
    """Of what is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def table(outcomes: dict[str, Outcome], sizes: Sizes) -> Iterator[tuple[Any, ...]]:
    """Rows of the printed table, in the order of `COLUMNS`."""
    for name, _, _ in COMPARED:
        yield from _compared(name, outcomes[name])
    for name in CONTESTANTS:
        yield from _timed(name, outcomes, sizes)
    yield _copied(outcomes["copy"], sizes)


def _line(what: str, **cells: Any) -> tuple[Any, ...]:
    cells = {"what": what, **{name.replace("_", " "): value for name, value in cells.items()}}
    return tuple(cells.get(column, "") for column in COLUMNS)


def _compared(name: str, outcome: Outcome) -> Iterator[tuple[Any, ...]]:
    for row in outcome.rows:
        verdict = "as exact as float32" if row["passed"] else "WRONG"
        differences = ", ".join(
            f"{kind} {row[kind]['relative']:.1e} ({row[kind]['absolute']:.1e})"
            for kind in ("outputs", "gradients")
        )
        yield _line(
            f"{name}: {row['machine']}", on=row["device"], result=f"{verdict}: {differences}"
        )
    if outcome.missing:
        yield _line(name, result=outcome.missing)


def _timed(name: str, outcomes: dict[str, Outcome], sizes: Sizes) -> Iterator[tuple[Any, ...]]:
    rows = {row["batch"]: row for row in outcomes[name].rows}
    for batch in sizes.batches:
        if batch not in rows:
            yield _line(f"step: {name}", batch=batch, result=outcomes[name].missing)
            continue
        row, cells, verdict = rows[batch], {}, f"loss {rows[batch]['loss']:.5f}"
        for column, reference in (
            ("times lax.scan", SCAN),
            ("times torch.compile", COMPILED),
        ):
            for other in outcomes[reference].rows:
                if other["batch"] == batch:
                    cells[column] = row["ms"] / other["ms"]
                    if abs(row["loss"] / other["loss"] - 1) > SAME_LOSS:
                        verdict = f"ANOTHER LOSS: {row['loss']}, not {other['loss']}"
        peak = row["peak_bytes"]
        yield _line(
            f"step: {name}",
            batch=batch,
            on=row["device"],
            ms_a_step=f"{row['ms']:.2f}",
            ready_in_s=f"{row['ready_seconds']:.1f}",
            peak_MiB=f"{peak / 2**20:.0f}" if peak else "",
            result=verdict,
            **{"sequences/s": f"{row['sequences_per_second']:.0f}"},
            **cells,
        )


def _copied(outcome: Outcome, sizes: Sizes) -> tuple[Any, ...]:
    what = f"copying {sizes.copy[2]} vectors, learned with JAX"
    if not outcome.rows:
        return _line(what, batch=sizes.copy[0], result=outcome.missing)
    row = outcome.rows[0]
    verdict = "solved" if row["solved"] else "NOT solved"
    wrong = ", ".join(f"{v:.3g} at {n}" for n, v in row["wrong_bits_per_sequence"].items())
    return _line(
        what,
        batch=sizes.copy[0],
        on=row["device"],
        ms_a_step=f"{1e3 * row['seconds'] / row['updates']:.2f}",
        ready_in_s=f"{row['ready_seconds']:.1f}",
        result=f"{verdict} after {row['sequences']} sequences, {row['seconds']:.1f} s; "
        f"wrong bits a sequence {wrong}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, default=Path("gpu.json"), help="file for every number")
    parser.add_argument("--seconds", type=float, default=280.0, help="for all of it")
    parser.add_argument("--quick", action="store_true", help="small, on the processor")
    arguments = parser.parse_args()
    gpu = {} if arguments.quick else card()
    if not gpu and not arguments.quick:
        print("no GPU here (nvidia-smi shows none); --quick tries the script out on the processor")
        return
    sizes = QUICK if arguments.quick else Sizes()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(sizes, arguments.seconds, arguments.quick, directory)
        bench.run()
    seconds = time.monotonic() - bench.began
    report = {
        "command": [Path(sys.executable).name, *sys.argv],
        "device": gpu.get("name", "cpu"),
        "card": gpu,
        "versions": versions(),
        "cores": len(os.sched_getaffinity(0)),
        "seconds": seconds,
        "sizes": vars(sizes),
        "parts": {name: vars(outcome) for name, outcome in bench.outcomes.items()},
    }
    arguments.to.write_text(json.dumps(report, indent=1) + "\n")
    known = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    driver = f", driver {gpu['driver_version']}" if gpu else ""
    print(f"{report['device']}{driver}; {known}; {report['cores']} cores; {seconds:.0f} s")
    print("differences: relative to the largest number of an array (absolute), the worst array's")
    common.table(COLUMNS, list(table(bench.outcomes, sizes)))


if __name__ == "__main__":
    main()
