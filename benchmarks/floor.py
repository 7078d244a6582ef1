"""A training step against what this machine's arithmetic and memory allow at best.

The floor counts what the equations need: the multiplications and additions of one forward pass and
twice as many for its gradient, all at the rate of a large matrix product; and the states that the
gradient needs, written to main memory once and read once. Nothing runs at that floor: products of a
step are small, most of its arithmetic is not a product, and the gradient recomputes.

    python benchmarks/floor.py
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import _common as common
import numpy as np

ROUNDS, STEPS_A_ROUND = 9, 10
# Exponentials and logarithms, in multiplications and additions of a polynomial.
TRANSCENDENTAL = 20


def main() -> None:
    common.head(__doc__.splitlines()[0])
    trainer = common.Trainer(f"trainer.batch_size={common.BATCH}", *common.TWENTY_STEPS)
    products, rest, kept = counted(trainer)
    with trainer.prefetched() as batches:
        seconds = common.alternate(
            {
                "step": lambda: trainer.train(batches, STEPS_A_ROUND),
                "large": product_of(1024, 1024, 1024),
                "small": product_of(common.BATCH // trainer.step.shards, 130, 400, repeat=100),
                "copy": copy_of(128 * 2**20),
            },
            ROUNDS,
        )
    step = seconds["step"] / STEPS_A_ROUND
    large = 2 * 1024**3 / seconds["large"]
    small = 100 * 2 * common.BATCH // trainer.step.shards * 130 * 400 / seconds["small"]
    bandwidth = 2 * 128 * 2**20 / seconds["copy"]
    arithmetic, memory = (products + rest) / large, 2 * kept / bandwidth
    print(f"{trainer.step.shards} shards; median of {ROUNDS} rounds")
    common.table(
        ("what", "value", "unit"),
        [
            ("matrix product, 1024 x 1024 x 1024", large / 1e9, "GFLOP/s"),
            ("matrix product, a shard's gates, one core", small / 1e9, "GFLOP/s"),
            ("memory bandwidth, copy", bandwidth / 1e9, "GB/s"),
            ("matrix products of a step", products / 1e9, "GFLOP"),
            ("its other arithmetic", rest / 1e9, "GFLOP"),
            ("its states", kept / 1e6, "MB"),
            ("floor: arithmetic", 1e3 * arithmetic, "ms"),
            ("floor: memory", 1e3 * memory, "ms"),
            ("floor", 1e3 * (arithmetic + memory), "ms"),
            ("measured step", 1e3 * step, "ms"),
            ("ratio", step / (arithmetic + memory), ""),
        ],
    )


def counted(trainer: common.Trainer) -> tuple[float, float, float]:
    """Operations in matrix products, in the rest, and bytes of states, of one training step."""
    sizes, units = trainer.config.ntm, trainer.config.controller.units[0]
    rows, columns, shifts = sizes.n_width, sizes.m_depth, sizes.shift_range
    reads, writes = sizes.read_heads, sizes.write_heads
    heads = reads + writes
    outputs = trainer.task.output_dim
    seen = trainer.task.input_dim + reads * columns
    instructions = outputs + heads * (columns + 3 + shifts) + 2 * writes * columns
    products = 2 * (4 * units * (seen + units) + units * instructions + reads * columns * outputs)
    # Similarity to each key, lengths of rows, reading; erasing and adding.
    memory = rows * columns * (2 * heads + 2 + 2 * reads + 5 * writes)
    # Scale, two softmaxes, interpolation, shifts, powers.
    addressing = heads * rows * (15 + 2 * shifts + 3 * TRANSCENDENTAL)
    activations = units * (5 * TRANSCENDENTAL + 5) + instructions * TRANSCENDENTAL
    steps, batch = int(trainer.batch()[3].sum(axis=1).max()), trainer.batch_size
    state = rows * columns + heads * rows + reads * columns + 2 * units
    times = 3 * steps * batch
    return times * products, times * (memory + addressing + activations), 4 * steps * batch * state


def product_of(rows: int, inner: int, columns: int, repeat: int = 1) -> Callable[[], Any]:
    """Float32 matrix products; a large one uses all cores, a small one a single core."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    left = tf.constant(rng.normal(size=(rows, inner)), tf.float32)
    right = tf.constant(rng.normal(size=(inner, columns)), tf.float32)

    @tf.function(jit_compile=repeat > 1)
    def multiply() -> Any:
        total = left
        for _ in range(repeat):
            # Depends on the product before, so that none of them is left out.
            total = left + tf.matmul(total, right)[:, :inner] * 1e-9
        return total

    return lambda: np.asarray(multiply())


def copy_of(size: int) -> Callable[[], Any]:
    """Copy that many bytes, on all cores."""
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    parts = len(os.sched_getaffinity(0))
    pieces = list(zip(np.split(source, parts), np.split(target, parts), strict=True))

    def copy() -> None:
        threads = [threading.Thread(target=np.copyto, args=(to, of)) for of, to in pieces]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return copy


if __name__ == "__main__":
    main()
