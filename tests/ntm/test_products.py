"""Stages of a controller with their products apart: the same calls, only where that is so."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ntm.recurrence.products import product_of, step
from tests.ntm.backend import assert_same, numpy

INPUTS, WIDTH = 5, 4
STAGES = {
    "dense": lambda: layers.Dense(WIDTH, activation="relu"),
    "dense without a bias": lambda: layers.Dense(WIDTH, use_bias=False),
    "LSTM": lambda: layers.LSTMCell(WIDTH),
    "LSTM of other activations": lambda: layers.LSTMCell(
        WIDTH, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False
    ),
}


def built(stage: Any) -> Any:
    stage.build((None, INPUTS))
    stage.built = True
    rng = np.random.default_rng(1)
    stage.set_weights([rng.normal(size=weight.shape) for weight in stage.get_weights()])
    return stage


@pytest.mark.parametrize("kind", STAGES)
def test_a_step_with_its_product_apart_is_a_call(kind: str) -> None:
    stage = built(STAGES[kind]())
    product = product_of(stage, "float32")
    assert product is not None
    assert {id(variable) for variable in product.variables} == {id(w) for w in stage.weights}
    rng = np.random.default_rng(2)
    inputs, *states = (
        ops.convert_to_tensor(rng.normal(size=(3, size)), "float32")
        for size in (INPUTS, *keras.tree.flatten(getattr(stage, "state_size", [])))
    )

    def multiply(factors: list[Any]) -> Any:
        value = sum(
            numpy(factor) @ numpy(kernel.value)
            for factor, kernel in zip(factors, product.kernels, strict=True)
        )
        value = value if product.bias is None else value + numpy(product.bias.value)
        return ops.convert_to_tensor(value, "float32")

    outputs, new_states = step(stage, multiply, inputs, states)
    expected = stage(inputs, states) if states else (stage(inputs), [])
    assert_same([outputs, *new_states], [expected[0], *expected[1]])


class OwnDense(layers.Dense):
    """Might do anything."""


def with_lora() -> Any:
    stage = built(layers.Dense(WIDTH))
    stage.enable_lora(2)
    return stage


@pytest.mark.parametrize(
    "make",
    [
        lambda: built(OwnDense(WIDTH)),
        lambda: built(layers.GRUCell(WIDTH)),
        lambda: built(layers.LSTMCell(WIDTH, dropout=0.1)),
        lambda: built(layers.LSTMCell(WIDTH, recurrent_dropout=0.1)),
        lambda: built(layers.LSTMCell(WIDTH, implementation=1)),
        lambda: built(layers.Dense(WIDTH, dtype="mixed_bfloat16")),
        lambda: built(layers.Dense(WIDTH, dtype="float64")),
        lambda: built(layers.Dense(WIDTH, activity_regularizer="l2")),
        with_lora,
    ],
)
def test_other_stages_are_called_as_they_are(make: Any) -> None:
    assert product_of(make(), "float32") is None
