"""LSTM layers, then a linear one: the paper's recurrent controller."""

from __future__ import annotations

from typing import Any


def lstm(input_dim: int, output_dim: int, units: list[int]) -> Any:
    """One LSTM layer for each entry of `units`, then a linear layer.

    Args:
        input_dim: width of the input.
        output_dim: width of the output.
        units: widths of the LSTM layers, from the input up.

    Returns:
        A `keras.Sequential` whose cells the NTM steps and whose state it carries.
    """
    import keras

    layers = [
        keras.layers.LSTM(width, return_sequences=True, name=f"lstm_{index}")
        for index, width in enumerate(units)
    ]
    return keras.Sequential(
        [
            keras.layers.Input((None, input_dim), name="seen"),
            *layers,
            keras.layers.Dense(output_dim, name="instructions"),
        ],
        name="controller",
    )
