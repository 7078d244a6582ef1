"""Normal noise on the weights at which a gradient is taken."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# Normal numbers that the noise of every step is cut out of, at least, and at least so many times
# the weights.
NOISE_TABLE, TABLE_RATIO = 2**22, 8


class WeightNoise:
    """Noise of Graves (2011, "Practical Variational Inference for Neural Networks").

    Each step takes another part of one table of normal numbers, as Salimans et al. (2017, arXiv
    1703.03864) do: to draw them anew takes longer than the update.

    Args:
        count: of the weights.
        deviation: standard deviation of the noise.
        seed: of the noise.
    """

    def __init__(self, count: int, deviation: float, seed: int) -> None:
        self.count = count
        self.seed = tf.Variable(seed, trainable=False, dtype=tf.int64, name="seed_of_noise")
        size = max(NOISE_TABLE, TABLE_RATIO * count)
        self.table = tf.Variable(tf.zeros([size]), trainable=False, name="noise")
        self.draw(deviation, seed)

    def draw(self, deviation: float, seed: int) -> None:
        """Take other noise."""
        self.deviation = deviation
        self.seed.assign(seed)
        seeds = tf.stack([self.seed, 0])
        self.table.assign(deviation * tf.random.stateless_normal(self.table.shape, seeds))

    def after(self, updates: Any) -> tf.Tensor:
        """The noise (count,) of the step after so many updates."""
        seeds = tf.stack([self.seed, 1 + tf.cast(updates, tf.int64)])
        most = self.table.shape[0] - self.count
        start = tf.random.stateless_uniform([], seeds, maxval=most, dtype=tf.int32)
        return tf.slice(self.table, [start], [self.count])
