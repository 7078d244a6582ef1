"""Random numbers that are cheap on every backend."""

import contextlib
import contextvars

import keras
from keras import ops

# What the drift of each sequence is multiplied by now; None is 1.
_factors = contextvars.ContextVar("factors", default=None)


@contextlib.contextmanager
def drifting(factors):
    """Inside of it, `state_drift` of each sequence is multiplied by its factor.

    Args:
        factors: (B,), such as 0 for sequences whose controller has to count; None is 1 for all.
    """
    token = _factors.set(factors)
    try:
        yield
    finally:
        _factors.reset(token)


def drift(sequences, size, seed, dtype):
    """For each sequence, standard normal numbers times what `drifting` says: (B, 1, size)."""
    numbers = normal((sequences, 1, size), seed, dtype)
    factors = _factors.get()
    if factors is None:
        return numbers
    return numbers * ops.cast(factors, dtype)[:, None, None]


def normal(shape, seed, dtype):
    """Standard normal numbers.

    Args:
        shape: of the result.
        seed: a `keras.random.SeedGenerator`, which moves on.
        dtype: of the result.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.random.normal(shape, dtype=dtype, seed=seed)
    import tensorflow as tf

    # Keras leaves the algorithm to TensorFlow, which in XLA on a CPU takes one that is 30 times as
    # slow (docs/performance.md).
    return tf.random.stateless_normal(shape, seed.next(), dtype=dtype, alg="philox")
