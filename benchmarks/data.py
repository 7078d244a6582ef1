"""A training step on batches as they are drawn against one constant batch.

The same step on the same sizes, one after the other: what it waits for the data is the difference.

    python benchmarks/data.py
"""

from __future__ import annotations

import itertools

import _common as common

ROUNDS, STEPS_A_ROUND = 15, 20
BATCHES = (16, 64)


def main() -> None:
    common.head(__doc__.splitlines()[0])
    rows = []
    for batch in BATCHES:
        trainer = common.Trainer(f"trainer.batch_size={batch}", *common.TWENTY_STEPS)
        same = itertools.repeat(trainer.step.on_device(trainer.batch()))
        with trainer.prefetched() as batches:
            drawn, constant = common.alternate(
                {
                    "drawn": lambda: trainer.train(batches, STEPS_A_ROUND),  # noqa: B023
                    "constant": lambda: trainer.train(same, STEPS_A_ROUND),  # noqa: B023
                },
                ROUNDS,
            ).values()
        milliseconds = [common.milliseconds(value / STEPS_A_ROUND) for value in (drawn, constant)]
        rows.append((batch, *milliseconds, drawn / constant))
    print(f"median of {ROUNDS} rounds of {STEPS_A_ROUND} steps")
    common.table(("batch", "drawn, ms a step", "constant", "ratio"), rows)


if __name__ == "__main__":
    main()
