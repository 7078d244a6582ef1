"""The project's controllers keep their contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import controllers
from ntm import NeuralTuringMachine, controller_input_output_shape

# The seed's copy machine: 10 inputs, 8 outputs, memory rows of 20, three shifts, one head of each.
INPUT_DIM, OUTPUT_DIM = controller_input_output_shape(10, 8, 20, 128, 3, 1, 1)
LSTM_100 = 4 * 100 * (INPUT_DIM + 100 + 1)

MAKERS: dict[str, tuple[Callable[[], Any], int]] = {
    "dense": (lambda: controllers.dense(INPUT_DIM, OUTPUT_DIM), 3100),
    "double_dense": (
        lambda: controllers.double_dense(INPUT_DIM, OUTPUT_DIM, units=100, activation="tanh"),
        (INPUT_DIM + 1) * 100 + 101 * OUTPUT_DIM,
    ),
    "lstm": (
        lambda: controllers.lstm(INPUT_DIM, OUTPUT_DIM, units=[100]),
        LSTM_100 + 101 * OUTPUT_DIM,
    ),
    "lstm of two layers": (
        lambda: controllers.lstm(INPUT_DIM, OUTPUT_DIM, units=[100, 50]),
        LSTM_100 + 4 * 50 * (100 + 50 + 1) + 51 * OUTPUT_DIM,
    ),
}


def inside(controller: Any) -> NeuralTuringMachine:
    layer = NeuralTuringMachine(8, controller_model=controller, read_to_output=False, name="ntm")
    layer.build((None, None, 10))
    return layer


@pytest.mark.parametrize("kind", MAKERS)
def test_a_machine_takes_it_with_the_expected_number_of_weights(kind: str) -> None:
    make, parameters = MAKERS[kind]
    layer = inside(make())
    assert layer.count_params() == parameters
    assert layer.controller_model.name == "controller"


@pytest.mark.parametrize("kind", MAKERS)
def test_each_call_makes_a_new_one_with_the_same_names(kind: str) -> None:
    make, _ = MAKERS[kind]
    first, second = make(), make()
    assert first is not second
    paths = [[weight.path for weight in inside(each).weights] for each in (first, second)]
    assert paths[0] == paths[1]
    assert len(set(paths[0])) == len(paths[0])


def test_the_hidden_layer_has_the_activation_and_the_last_is_linear() -> None:
    for activation in ("tanh", "relu"):
        model = controllers.double_dense(3, 2, units=4, activation=activation)
        hidden, last = model.layers
        assert keras.activations.serialize(hidden.activation) == activation
        assert last.activation is keras.activations.linear
        values = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        (kernel, bias), (out_kernel, out_bias) = hidden.get_weights(), last.get_weights()
        linear = values @ kernel + bias
        expected = np.tanh(linear) if activation == "tanh" else np.maximum(linear, 0)
        np.testing.assert_allclose(
            model.predict_on_batch(values), expected @ out_kernel + out_bias, atol=1e-5
        )


def test_the_lstm_layers_have_their_widths_from_the_input_up() -> None:
    model = controllers.lstm(3, 2, units=[7, 5])
    assert [layer.units for layer in model.layers] == [7, 5, 2]
    assert model.input_shape == (None, None, 3)
    assert model.output_shape == (None, None, 2)
