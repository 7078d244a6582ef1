"""When a training goes back to weights that were good: one rule for all tasks.

A machine can lose within a few steps what it had learned: sequences that fail have the largest
gradients, and these do not lead back (docs/lab/copy.md). So each scheduled evaluation compares the
excess bits of the deciding case (`runner.training.plateau`) with the fewest so far. A machine that
had found how to use its memory and now has half as many excess bits again, and one more, goes on
from the last evaluation that was not as bad: from the average of its weights, if there is one, and
without momentum. AMSGrad's largest second moments so far stay: they hold the gradients that undid
the task, and would let them undo it again if they went back as well. The steps that were lost
count.

Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, section 5.1) went back by hand where a loss spiked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

WORSE = 1.5  # times as many excess bits as in the best evaluation
SLACK = 1.0  # bits beside that: near the optimum many times as little is still little


def is_lost(excess: float, best: float) -> bool:
    """Whether a machine with so many excess bits has lost what it knew at its best."""
    return not excess <= WORSE * best + SLACK


class Rollback:
    """The values that variables had at the last good evaluation.

    Args:
        variables: that are kept and go back.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = list(variables)
        self.kept = [tf.Variable(tf.convert_to_tensor(v), trainable=False) for v in variables]

    def keep(self) -> None:
        """Take what the variables are now."""
        for kept, variable in zip(self.kept, self._variables, strict=True):
            kept.assign(tf.convert_to_tensor(variable))

    def go_back(self) -> None:
        """Set the variables to what was kept."""
        for kept, variable in zip(self.kept, self._variables, strict=True):
            variable.assign(tf.convert_to_tensor(kept))
