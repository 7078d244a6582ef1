"""The running average of the weights, which is evaluated and saved in their place."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Average:
    """An average of a vector of weights that forgets exponentially.

    Args:
        weights: the vector to start from.
    """

    def __init__(self, weights: Any) -> None:
        self.variable = tf.Variable(weights, trainable=False, name="average")

    def follow(self, weights: Any, decay: Any, updates: Any) -> None:
        """Take in the weights after so many updates.

        It starts as a plain mean, so that the initial weights are soon forgotten.
        """
        decay = tf.minimum(decay, updates / (updates + 10.0))
        self.variable.assign(decay * self.variable + (1.0 - decay) * weights)
