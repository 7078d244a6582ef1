"""The end of a training whose numbers are not finite any more, and which were so first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from runner.errors import RunError

log = logging.getLogger(__name__)

# So many gradients in a row that are not finite end a run.
MOST_SKIPPED = 10


class Finiteness:
    """Looks at what steps gave.

    Args:
        config: of the run.
        weights: gives the weights as they are, by name.
        gradients: gives the gradients of a step at these weights, by name.
    """

    def __init__(
        self,
        config: Any,
        weights: Callable[[], dict[str, np.ndarray]],
        gradients: Callable[[int], dict[str, np.ndarray]],
    ) -> None:
        self.config = config
        self.weights = weights
        self.gradients = gradients
        self._skipped = 0

    def check(self, numbers: list[int], table: list[list[float]]) -> None:
        """Stop at a loss that is not finite, or at too many gradients in a row that are not.

        A gradient through hundreds of steps may overflow once although the loss is sound. Its
        update was not made, and the training goes on.

        numbers, table: of the steps since the last time, each as a `StepResult` lists it.
        """
        for number, (loss, _, norm, skipped) in zip(numbers, table, strict=True):
            self._skipped = self._skipped + 1 if skipped else 0
            if not np.isfinite(loss) or self._skipped == MOST_SKIPPED:
                break
            if skipped:
                log.warning("step %d: the gradient's norm is %g, no update made", number, norm)
        else:
            return
        raise RunError(
            f"step {number}: the loss is {loss:.4g} bits a sequence and the gradient's norm "
            f"{norm:.4g}; first not finite: {self._first(number)}. {self._advice()}"
        )

    def broken_by(self, number: int) -> str:
        """What to say of an update that has left numbers that are not finite."""
        weight = _not_finite_in(self.weights())
        found = f"the weight {weight}" if weight else "the optimizer's state"
        return f"step {number}: {found} is not finite after this update. {self._advice()}"

    def _first(self, number: int) -> str:
        """Name of the first weight, or else the first gradient, of a step that is not finite."""
        found = _not_finite_in(self.weights())
        if found:
            return f"the weight {found}"
        found = _not_finite_in(self.gradients(number))
        if found:
            return f"the gradient of {found}"
        return "the loss, with gradients that are finite again on the present weights"

    def _advice(self) -> str:
        trainer, optimizer = self.config.trainer, self.config.optimizer
        return (
            f"A smaller optimizer.learning_rate (now {optimizer.learning_rate:g}) or "
            f"trainer.clip_norm (now {trainer.clip_norm}), or a larger optimizer.epsilon (now "
            f"{optimizer.epsilon:g}), may help."
        )


def _not_finite_in(named: dict[str, np.ndarray]) -> str | None:
    """The first name whose array holds a number that is not finite."""
    return next((name for name, array in named.items() if not np.isfinite(array).all()), None)
