"""A training step with bounds on the gradients of states against one without.

Both learn to copy, at the batch of its recipe.

    python benchmarks/clipping.py
"""

from __future__ import annotations

import contextlib

import _common as common

ROUNDS, STEPS_A_ROUND = 5, 20
CONTROLLERS = ("lstm", "double_dense")
BATCH = 16
BOUNDS = ("10", "null")


def main() -> None:
    common.head(__doc__.splitlines()[0])
    rows = []
    for controller in CONTROLLERS:
        sizes = (f"controller={controller}", f"trainer.batch_size={BATCH}")
        trainers = {x: common.Trainer(*sizes, f"ntm.state_clip_norm={x}") for x in BOUNDS}
        with contextlib.ExitStack() as stack:
            drawn = {x: stack.enter_context(each.prefetched()) for x, each in trainers.items()}
            bounded, free = common.alternate(
                {x: lambda x=x: trainers[x].train(drawn[x], STEPS_A_ROUND) for x in BOUNDS},  # noqa: B023
                ROUNDS,
            ).values()
        times = [common.milliseconds(seconds / STEPS_A_ROUND) for seconds in (bounded, free)]
        rows.append((controller, *times, bounded / free))
    print(f"copy at batch {BATCH}; median of {ROUNDS} rounds of {STEPS_A_ROUND} steps")
    common.table(("controller", "with, ms a step", "without", "ratio"), rows)


if __name__ == "__main__":
    main()
