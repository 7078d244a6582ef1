"""A bound on the norm of a batch's gradient, absolute or by the norms before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

# How many steps the running mean of gradient norms remembers.
NORM_MEMORY = 100
# Parts of a sum over all weights, a multiple of what vector registers hold.
LANES = 128


class Clipping:
    """Shortens a gradient to the bounds that are among its numbers.

    `clip_norm` is the largest norm, `clip_norm_ratio` the largest multiple of the running mean of
    the clipped norms. Once a task is learned its gradients are small, and so is what Adam divides
    by: a burst that an absolute bound lets through would undo everything.

    Args:
        quadratic: divide a gradient that is r times as long as those bounds allow by r^2, not by r:
            one that has exploded then hardly moves the weights.
    """

    def __init__(self, quadratic: bool) -> None:
        self.quadratic = quadratic
        self.norm_mean = tf.Variable(0.0, trainable=False, name="gradient_norm_mean")

    def scale(self, norm: Any, numbers: Mapping[str, Any]) -> Any:
        """What a gradient of this norm is multiplied by."""
        scale = tf.minimum(1.0, self._bound(norm, numbers) / (norm + 1e-12))
        return scale * scale if self.quadratic else scale

    def _bound(self, norm: Any, numbers: Mapping[str, Any]) -> Any:
        """The largest norm that this gradient may have."""
        bound = numbers.get("clip_norm", norm)
        if "clip_norm_ratio" not in numbers:
            return bound
        relative = numbers["clip_norm_ratio"] * self.norm_mean
        return tf.where(self.norm_mean > 0, tf.minimum(bound, relative), bound)

    def follow(self, norm: Any, updates: Any) -> None:
        """Take the clipped norm of another update, the last of so many, into the running mean."""
        decay = tf.minimum(1.0 - 1.0 / NORM_MEMORY, (updates - 1.0) / updates)
        self.norm_mean.assign(decay * self.norm_mean + (1.0 - decay) * norm)


def norm_of(vector: Any) -> Any:
    """The Euclidean norm, summed in `LANES` parts: one sum would go through it one by one."""
    squares = tf.pad(tf.square(vector), [[0, -vector.shape[0] % LANES]])
    return tf.sqrt(tf.reduce_sum(tf.reduce_sum(tf.reshape(squares, (-1, LANES)), axis=0)))
