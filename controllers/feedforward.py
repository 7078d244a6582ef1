"""A hidden layer, then a linear one: the paper's feed-forward controller."""

from __future__ import annotations

from typing import Any, Literal

Activation = Literal["linear", "relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softsign"]


def feedforward(input_dim: int, output_dim: int, units: int, activation: Activation) -> Any:
    """A hidden layer of `units`, then a linear layer.

    Args:
        input_dim: width of the input.
        output_dim: width of the output.
        units: width of the hidden layer.
        activation: of the hidden layer, a Keras name.

    Returns:
        A `keras.Sequential`.
    """
    import keras

    return keras.Sequential(
        [
            keras.layers.Input((input_dim,), name="seen"),
            keras.layers.Dense(units, activation=activation, name="hidden"),
            keras.layers.Dense(output_dim, name="instructions"),
        ],
        name="controller",
    )
