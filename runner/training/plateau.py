"""When a training begins again with other weights: one rule for all tasks.

A machine that has found how to use its memory is far below what can be reached without one; one
that has not stays near it, for as long as one cares to wait. So after two fifths of its steps a
machine is compared with the best predictor that sees nothing but the number of the time step. Its
loss at the deciding case has two bounds: that predictor's above, the optimal one's below. A machine
that was in the upper two thirds of this range in each of its evaluations begins again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks import Task

SHORTEST = 2500  # steps of a training; in a shorter one, a try, no machine had the time to learn
JUDGED_AFTER = 0.4  # of the steps of a training
STUCK_ABOVE = 1 / 3  # of the range
SEQUENCES = 128  # as much memory as an evaluation takes; a bit looks 0.6 % cheaper than it is


def is_due(done: int, steps: int) -> bool:
    """Whether a machine is to be judged that has done so many of its steps."""
    return steps >= SHORTEST and done >= JUDGED_AFTER * steps


def is_stuck(excess: float, plateau: float) -> bool:
    """Whether the excess bits of a machine are too near to those of `without_memory`."""
    return not excess <= STUCK_ABOVE * plateau


def least_excess(task: Task, evaluations: Sequence[Mapping[str, Any]], began: int) -> float:
    """The fewest excess bits of the evaluations after step `began`.

    Their best, for a machine that has learned a task can lose it for some hundred steps.
    """
    case = task.solved_case()
    return min(
        excess_bits(evaluation["results"][case])
        for evaluation in evaluations
        if evaluation["step"] > began
    )


def without_memory(task: Task, rng: np.random.Generator) -> float:
    """The excess bits of the best predictor that sees nothing but the number of the time step.

    It says of each bit of the output how often it is 1 at that step.
    """
    batch = task.sample(rng, SEQUENCES, **task.parse_case(task.solved_case()))
    counted = batch.loss_mask.sum(axis=0)
    ones = (batch.targets * batch.loss_mask).sum(axis=0)
    chance = np.broadcast_to(ones / np.maximum(counted, 1), batch.targets.shape)
    return excess_bits(task.summarise(task.score(batch, chance)))


def excess_bits(summary: Mapping[str, float]) -> float:
    """The loss of a sequence, in bits, above that of the optimal predictor.

    The optimal one has no loss where a task's scores have no `excess_bits`.
    """
    loss = summary["loss_bits_per_sequence"]
    return float(summary.get("excess_bits_per_sequence", loss))
