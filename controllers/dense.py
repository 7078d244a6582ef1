"""One linear layer: the smallest controller there is."""

import keras


def dense(input_dim, output_dim):
    """A linear layer with a bias.

    Args:
        input_dim: width of the input.
        output_dim: width of the output.

    Returns:
        A `keras.layers.Dense` of `(input_dim + 1) * output_dim` weights.
    """
    del input_dim  # The layer learns it when it is built.
    return keras.layers.Dense(output_dim, name="controller")
