"""A controller's products with its matrices, for a loop that computes them in a way of its own.

The gradient of x K needs K transposed and adds to the gradient of K, at every time step. A loop
that knows the products transposes each K once before its steps, and sums once after them
(`ntm.recurrence.tensorflow_products`).
"""

from typing import Any, NamedTuple

import keras
from keras import ops


class Product(NamedTuple):
    """`sum of inputs[i] @ kernels[i], plus bias`.

    Attributes:
        kernels: variables, (input width, output width) each.
        bias: a variable (output width,), or None.
    """

    kernels: list[Any]
    bias: Any

    @property
    def variables(self):
        return [*self.kernels, *([] if self.bias is None else [self.bias])]


def product_of(stage, dtype):
    """The one product in a call of a stage that `step` can stand for, all in `dtype`; or None."""
    if not stage.compute_dtype == stage.variable_dtype == dtype:
        return None
    if type(stage) is keras.layers.Dense:
        if stage.lora_enabled or stage.quantization_mode or stage.activity_regularizer:
            return None
        return Product([stage.kernel], stage.bias)
    if type(stage) is keras.layers.LSTMCell:
        if stage.implementation == 1 or stage.dropout or stage.recurrent_dropout:
            return None
        return Product([stage.kernel, stage.recurrent_kernel], stage.bias)
    return None


def step(stage, multiply, inputs, states):
    """One call of a stage as Keras defines it, its product left to `multiply`.

    Args:
        stage: one for which `product_of` is not None.
        multiply: a function from the inputs of the product to its value (B, output width).
        inputs: (B, input width).
        states: list of (B, size).

    Returns:
        `(outputs, states)`.
    """
    if isinstance(stage, keras.layers.Dense):
        return stage.activation(multiply([inputs])), []
    hidden, carry = states
    gates = ops.split(multiply([inputs, hidden]), 4, axis=-1)
    enter, forget, leave = (stage.recurrent_activation(gates[i]) for i in (0, 1, 3))
    carry = forget * carry + enter * stage.activation(gates[2])
    hidden = leave * stage.activation(carry)
    return hidden, [hidden, carry]
