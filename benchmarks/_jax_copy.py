"""Learning to copy with the layer on JAX: many updates in one compiled call."""

from __future__ import annotations

from typing import Any

import _jax_layer
import jax
import keras
from jax import lax

# Decay of the average of the weights that is evaluated.
AVERAGE = 0.99


class Learner:
    """A layer in training.

    Args:
        layer: built; it lends its first weights.
        rate: of Adam, with the settings that `conf/optimizer/adam.yaml` has.
    """

    def __init__(self, layer: Any, rate: float) -> None:
        self.layer = layer
        optimizer = keras.optimizers.Adam(rate, beta_2=0.99, epsilon=1e-5, global_clipnorm=10.0)
        self.state = _jax_layer.new_state(layer, optimizer)
        self.average = [jax.numpy.array(w) for w in self.state.weights]
        update = _jax_layer.updates(layer, optimizer)

        def updated(carry: Any, batch: Any) -> Any:
            state, average = carry
            state, loss = update(state, batch)
            average = [
                AVERAGE * a + (1 - AVERAGE) * w for a, w in zip(average, state.weights, strict=True)
            ]
            return (state, average), loss

        self._train = jax.jit(lambda carry, batches: lax.scan(updated, carry, batches))
        self._wrong_bits = jax.jit(self._count)

    def compile(self, batches: Any) -> None:
        """Compile `train` for batches of these shapes, and train on none."""
        self._train = self._train.lower((self.state, self.average), tuple(batches[:4])).compile()

    def train(self, batches: Any) -> None:
        """Make an update for each of several batches: the arrays of a `tasks.Batch`, stacked."""
        carry, _ = self._train((self.state, self.average), tuple(batches[:4]))
        self.state, self.average = jax.block_until_ready(carry)

    def wrong_bits(self, batch: Any) -> float:
        """All of a batch, with the average of the weights."""
        return float(self._wrong_bits(self.average, self.state.others, *batch[:4]))

    def _count(self, weights: Any, others: Any, inputs: Any, targets: Any, counts: Any, mask: Any):
        logits, _ = self.layer.stateless_call(weights, others, inputs, mask=mask)
        # What is no number is neither, and wrong.
        right = jax.numpy.where(targets > 0.5, logits > 0, logits <= 0)
        return jax.numpy.sum(counts * jax.numpy.logical_not(right))
