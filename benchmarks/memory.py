"""Peak memory and time of a training step against length, with and without gradient checkpointing.

Each is a process of its own: batch 64, N 128, M 20, an LSTM of 100. Its peak is the largest
resident size that the process ever had, compilation included; beside it, how much that is above
the same training at the shortest length, which is what grows with length. States are kept before
every step, or before every K-th step with K the square root of the length.

    python benchmarks/memory.py
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import time
from collections.abc import Iterator

import _common as common

BATCH, LENGTHS, ROUNDS = 64, (4, 99, 399), 3


def main() -> None:
    common.head(__doc__.splitlines()[0])
    rows, shortest = [], None
    for length in LENGTHS:
        steps = 2 * length + 2
        segment = math.isqrt(steps)
        (kept, peak), (segmented, lower) = _measured(length, segment)
        shortest = shortest or (peak, lower)
        rows.append(
            (
                steps,
                f"{1e3 * kept:.0f}",
                f"{peak:.0f} (+{peak - shortest[0]:.0f})",
                segment,
                f"{1e3 * segmented:.0f}",
                f"{lower:.0f} (+{lower - shortest[1]:.0f})",
                segmented / kept,
            )
        )
    columns = ("time steps", "ms", "peak MB", "K", "ms with K", "peak MB with K", "time ratio")
    common.table(columns, rows)


def _measured(length: int, segment: int) -> list[tuple[float, float]]:
    """Median seconds and peak of each, in turns."""
    cores = sorted(os.sched_getaffinity(0))
    servers = [common.Server("train", length, k, cores=cores) for k in (None, segment)]
    try:
        for server in servers:
            server.ready()
        answers = [[server.ask() for server in servers] for _ in range(ROUNDS)]
    finally:
        for server in servers:
            server.close()
    return [
        (statistics.median(seconds for seconds, _ in column), max(peak for _, peak in column))
        for column in zip(*answers, strict=True)
    ]


def train(length: int, segment: int | None) -> Iterator[tuple[float, float]]:
    """Seconds of a training step and the peak so far in MB, again and again."""
    trainer = common.Trainer(
        f"trainer.batch_size={BATCH}",
        common.MEMORY,
        f"task.min_length={length}",
        f"task.max_length={length}",
        f"ntm.gradient_checkpointing={'null' if segment is None else segment}",
    )
    batch = trainer.batch()
    while True:
        start = time.perf_counter()
        float(trainer.step(*batch).loss_bits)
        seconds = time.perf_counter() - start
        yield seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
