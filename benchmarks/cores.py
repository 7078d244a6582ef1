"""Sequences a second with two cores against one.

Each is a process of its own that may use only these cores and trains as a run does (20 steps,
N 128, M 20, an LSTM of 100); they take turns. The limit is what the machine itself allows: two
processes with a core each, which share no work, both at once. Where that is not twice one, the two
cores share caches, memory or, as threads of one core, everything.

The first seconds of a turn do not count: after a time in which only one core was busy, both at once
are slower than later, for up to some seconds.

    python benchmarks/cores.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator

import _common as common

BATCHES = (32, 128)
TURNS, ROUNDS_A_TURN, SEQUENCES_A_ROUND = 2, 5, 640
SECONDS_BEFORE = 3


def main() -> None:
    common.head(__doc__.splitlines()[0])
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise SystemExit("this process may use one core only: nothing to compare")
    rows = []
    for batch in BATCHES:
        one, two, each = seconds_a_sequence(batch, available[:2])
        rows.append((batch, 1 / one, 1 / two, one / two, one / each))
    rounds = f"{TURNS} turns of {ROUNDS_A_TURN} rounds of {SEQUENCES_A_ROUND} sequences"
    print(f"median of {rounds}, {SECONDS_BEFORE} s into each turn")
    common.table(("batch", "sequences/s, one core", "two cores", "ratio", "limit"), rows)


def seconds_a_sequence(batch: int, cores: list[int]) -> list[float]:
    """Median seconds a sequence on the first core, on both, and of two processes with one each."""
    servers = [common.Server("train", batch, cores=own) for own in (cores[:1], cores, cores[1:])]
    one, both, other = servers
    times: list[list[float]] = [[], [], []]
    try:
        for server in servers:
            server.ready()
        for _ in range(TURNS):
            times[0] += one.ask()
            times[1] += both.ask()
            for server in (one, other):
                server.begin()
            pairs = zip(one.answer(), other.answer(), strict=True)
            times[2] += [max(pair) / 2 for pair in pairs]
    finally:
        for server in servers:
            server.close()
    return [statistics.median(each) / SEQUENCES_A_ROUND for each in times]


def train(batch: int) -> Iterator[list[float]]:
    """Seconds of each round of a turn, turn by turn; the first turn compiles and is short."""
    trainer = common.Trainer(f"trainer.batch_size={batch}", *common.TWENTY_STEPS)

    def seconds() -> float:
        start = time.perf_counter()
        trainer.train(batches, SEQUENCES_A_ROUND // batch)
        return time.perf_counter() - start

    with trainer.prefetched() as batches:
        yield [seconds()]
        while True:
            began = time.perf_counter()
            while time.perf_counter() < began + SECONDS_BEFORE:
                seconds()
            yield [seconds() for _ in range(ROUNDS_A_TURN)]


if __name__ == "__main__":
    main()
