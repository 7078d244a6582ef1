"""Time of a training step against memory rows, sequence length and batch size.

Each row changes one size of the default machine (M 20, an LSTM of 100) and is compared with the
first of its kind; all sizes of a kind take turns.

    python benchmarks/growth.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import _common as common

ROUNDS = 3
# Vectors to copy: with both flags, 2 L + 2 time steps.
LENGTHS, BATCHES = (10, 80), (8, 32, 256)
ROWS = 128, 192, 200, 208, 256, 1024  # 200: no multiple of the 16 numbers of a vector register


def main() -> None:
    common.head(__doc__.splitlines()[0])
    print(f"median of {ROUNDS} rounds")
    grow("N", ROWS, [(*_sizes(), f"ntm.n_width={rows}") for rows in ROWS])
    grow("length", LENGTHS, [_sizes(length=length) for length in LENGTHS])
    grow("batch", BATCHES, [_sizes(batch=batch) for batch in BATCHES], divide=True)


def grow(
    name: str, sizes: Sequence[int], overrides: Sequence[Sequence[str]], divide: bool = False
) -> None:
    """Time each size, and print it beside the first; with `divide`, the time of one sequence."""
    trainers = {str(size): common.Trainer(*o) for size, o in zip(sizes, overrides, strict=True)}
    batches = {key: trainer.batch() for key, trainer in trainers.items()}

    def run(key: str) -> Any:
        return lambda: float(trainers[key].step(*batches[key]).loss_bits)

    steps = common.alternate({key: run(key) for key in trainers}, ROUNDS, warm_up=2)
    if divide:
        steps = {key: seconds / trainers[key].batch_size for key, seconds in steps.items()}
    first = next(iter(steps.values()))
    unit = "ms a sequence" if divide else "ms a step"
    common.table(
        (name, "times the first", unit, "times the first's"),
        [
            (key, int(key) / sizes[0], f"{1e3 * seconds:.3g}", seconds / first)
            for key, seconds in steps.items()
        ],
    )


def _sizes(batch: int = common.BATCH, length: int = 9) -> tuple[str, ...]:
    lengths = f"task.min_length={length}", f"task.max_length={length}"
    return f"trainer.batch_size={batch}", common.MEMORY, *lengths


if __name__ == "__main__":
    main()
