"""Sequences a second with two cores against one.

Each is a process of its own that may use only these cores and trains as a run does (20 steps,
N 128, M 20, an LSTM of 100); they take turns. The limit is what the machine itself allows: two
processes with a core each, which share no work, both at once. Where that is not twice one, the two
cores share caches, memory or, as threads of one core, everything.

    python benchmarks/cores.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator

import _common as common

BATCHES = (32, 64, 128)
ROUNDS, SEQUENCES_A_ROUND = 7, 1280


def main() -> None:
    common.head(__doc__.splitlines()[0])
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise SystemExit("this process may use one core only: nothing to compare")
    rows = []
    for batch in BATCHES:
        one, two, each = seconds_a_sequence(batch, available[:2])
        rows.append((batch, 1 / one, 1 / two, one / two, one / each))
    print(f"median of {ROUNDS} rounds of {SEQUENCES_A_ROUND} sequences")
    common.table(("batch", "sequences/s, one core", "two cores", "ratio", "limit"), rows)


def seconds_a_sequence(batch: int, cores: list[int]) -> list[float]:
    """Median seconds a sequence on the first core, on both, and of two processes with one each."""
    servers = [common.Server("train", batch, cores=own) for own in (cores[:1], cores, cores[1:])]
    one, both, other = servers
    times = []
    try:
        for _ in range(ROUNDS):
            alone, together = one.ask(), both.ask()
            for server in (one, other):
                server.begin()
            times.append((alone, together, max(one.answer(), other.answer()) / 2))
    finally:
        for server in servers:
            server.close()
    return [statistics.median(column) / SEQUENCES_A_ROUND for column in zip(*times, strict=True)]


def train(batch: int) -> Iterator[float]:
    """Seconds of a round, again and again; the first one compiles."""
    trainer = common.Trainer(f"trainer.batch_size={batch}", *common.TWENTY_STEPS)
    with trainer.prefetched() as batches:
        while True:
            start = time.perf_counter()
            trainer.train(batches, SEQUENCES_A_ROUND // batch)
            yield time.perf_counter() - start


if __name__ == "__main__":
    main()
