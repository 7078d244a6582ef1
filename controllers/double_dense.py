"""A hidden layer, then a linear one: the paper's feed-forward controller."""

import keras


def double_dense(input_dim, output_dim, units, activation):
    """A hidden layer of `units`, then a linear layer.

    Args:
        input_dim: width of the input.
        output_dim: width of the output.
        units: width of the hidden layer.
        activation: of the hidden layer, a Keras name.

    Returns:
        A `keras.Sequential`.
    """
    return keras.Sequential(
        [
            keras.layers.Input((input_dim,), name="seen"),
            keras.layers.Dense(units, activation=activation, name="hidden"),
            keras.layers.Dense(output_dim, name="instructions"),
        ],
        name="controller",
    )
