"""One linear layer: the smallest controller there is."""

from __future__ import annotations

from typing import Any


def dense(input_dim: int, output_dim: int) -> Any:
    """A linear layer with a bias.

    Args:
        input_dim: width of the input.
        output_dim: width of the output.

    Returns:
        A `keras.layers.Dense` of `(input_dim + 1) * output_dim` weights.
    """
    import keras

    del input_dim  # The layer learns it when it is built.
    return keras.layers.Dense(output_dim, name="controller")
