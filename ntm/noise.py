"""Random numbers that are cheap on every backend."""

import keras


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
