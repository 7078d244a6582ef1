"""Controllers of every kind: stepped as Keras would run them, refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ntm import NeuralTuringMachine
from ntm.controller import Controller
from tests.ntm.backend import assert_same
from tests.ntm.machines import BATCH, CONTROLLERS, STEPS, UNITS, built, random_inputs, widths

INPUT_DIM, OUTPUT_DIM = widths()


def in_keras(model: Any, sequence: np.ndarray) -> Any:
    """The model's last output on a sequence, as Keras runs it."""
    if not hasattr(model, "state_size"):
        recurrent = isinstance(model, keras.Sequential) and not _is_stateless(model)
        output = model(sequence if recurrent else sequence[:, -1])
        return output[:, -1] if len(output.shape) == 3 else output
    return model(sequence) if isinstance(model, layers.RNN) else layers.RNN(model)(sequence)


def _is_stateless(model: keras.Sequential) -> bool:
    return not any(hasattr(layer, "cell") for layer in model._flatten_layers())


@pytest.mark.parametrize("kind", [kind for kind in CONTROLLERS if kind != "none"])
def test_a_controller_steps_as_keras_would_run_it(kind: str) -> None:
    model = CONTROLLERS[kind](INPUT_DIM, OUTPUT_DIM)
    controller = Controller(model, OUTPUT_DIM)
    controller.build((None, INPUT_DIM))
    rng = np.random.default_rng(0)
    controller.set_weights([rng.normal(scale=0.3, size=w.shape) for w in controller.get_weights()])
    sequence = rng.normal(size=(BATCH, STEPS, INPUT_DIM)).astype("float32")
    states = controller.get_initial_state(BATCH)
    assert [state.shape[-1] for state in states] == controller.state_size
    for time in range(STEPS):
        output, features, states = controller(sequence[:, time], states)
    assert_same([output], [in_keras(model, sequence)])
    assert features.shape[-1] == controller.features_dim
    last = controller.stages[-1]
    if not hasattr(last, "state_size"):
        assert_same([last(features)], [output])


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_a_machine_runs_with_any_controller(kind: str) -> None:
    """And so does one made of its configuration, which sees the same steps in a padded batch."""
    layer = built(CONTROLLERS[kind](INPUT_DIM, OUTPUT_DIM), return_state=True)
    copy = NeuralTuringMachine.from_config(layer.get_config())
    inputs = random_inputs()
    copy.build(inputs.shape)
    copy.set_weights(layer.get_weights())
    assert_same(copy(inputs, mask=np.arange(STEPS) < np.full((BATCH, 1), 3)), layer(inputs[:, :3]))
    assert len(layer.state_size) == 4 + len(layer.cell.controller.state_size)
    assert [weight.path.partition("/")[2] for weight in copy.weights] == [
        weight.path.partition("/")[2] for weight in layer.weights
    ]


def test_the_state_of_a_stateful_controller_is_the_machines() -> None:
    """What the controller's own layers remember, and their batch size, play no part."""
    model = CONTROLLERS["stateful double LSTM"](INPUT_DIM, OUTPUT_DIM)
    layer = built(model)
    inputs = random_inputs()
    expected = layer(inputs)
    model(np.ones((BATCH, 2, INPUT_DIM), "float32"))
    assert_same([layer(inputs)], [expected])
    assert_same([layer(inputs[:2])], [expected[:2]])


def test_two_machines_may_share_a_controller() -> None:
    shared = layers.Dense(OUTPUT_DIM)
    first, second = built(shared), built(shared)
    first.set_weights([np.ones_like(w) for w in first.get_weights()])
    assert_same(second.get_weights()[:2], first.get_weights()[:2])
    assert first.controller_model is shared


def a_built(layer: Any, width: int) -> Any:
    layer.build((None, width))
    return layer


WRONG_WIDTHS: dict[str, tuple[Callable[[], Any], str]] = {
    "model's input": (
        lambda: keras.Sequential([keras.Input((INPUT_DIM + 1,)), layers.Dense(OUTPUT_DIM)]),
        rf"takes {INPUT_DIM + 1} inputs, but this NTM feeds its controller {INPUT_DIM} ",
    ),
    "sequence model's input": (
        lambda: keras.Sequential(
            [
                keras.Input((None, INPUT_DIM + 2)),
                layers.LSTM(4, return_sequences=True),
                layers.Dense(OUTPUT_DIM),
            ]
        ),
        rf"takes {INPUT_DIM + 2} inputs, but this NTM feeds its controller {INPUT_DIM} ",
    ),
    "functional model's input": (
        lambda: CONTROLLERS["functional model"](INPUT_DIM + 1, OUTPUT_DIM),
        rf"takes {INPUT_DIM + 1} inputs, but this NTM feeds its controller {INPUT_DIM} ",
    ),
    "built layer's input": (
        lambda: a_built(layers.Dense(OUTPUT_DIM), INPUT_DIM - 1),
        rf"takes {INPUT_DIM - 1} inputs, but this NTM feeds its controller {INPUT_DIM} ",
    ),
    "built cell's input": (
        lambda: a_built(layers.LSTMCell(OUTPUT_DIM, activation="linear"), INPUT_DIM - 2),
        rf"takes {INPUT_DIM - 2} inputs, but this NTM feeds its controller {INPUT_DIM} ",
    ),
    "layer's output": (
        lambda: layers.Dense(OUTPUT_DIM + 1),
        rf"puts out {OUTPUT_DIM + 1} values, but this NTM needs {OUTPUT_DIM} ",
    ),
    "cell's output": (
        lambda: layers.GRUCell(OUTPUT_DIM - 1, activation="linear"),
        rf"puts out {OUTPUT_DIM - 1} values, but this NTM needs {OUTPUT_DIM} ",
    ),
    "stack's output": (
        lambda: layers.StackedRNNCells(
            [layers.LSTMCell(OUTPUT_DIM), layers.LSTMCell(7, activation="linear")]
        ),
        rf"puts out 7 values, but this NTM needs {OUTPUT_DIM} ",
    ),
}


@pytest.mark.parametrize("case", WRONG_WIDTHS)
def test_a_wrong_width_is_refused(case: str) -> None:
    make, message = WRONG_WIDTHS[case]
    layer = NeuralTuringMachine(UNITS, n_width=6, m_depth=4, controller_model=make())
    with pytest.raises(ValueError, match=message):
        layer(random_inputs())


NOT_LINEAR: dict[str, tuple[Callable[[], Any], str]] = {
    "layer": (lambda: layers.Dense(OUTPUT_DIM, activation="tanh"), "tanh"),
    "cell": (lambda: layers.LSTMCell(OUTPUT_DIM), "tanh"),
    "recurrent layer": (lambda: layers.GRU(OUTPUT_DIM, activation="relu"), "relu"),
    "stack": (
        lambda: layers.StackedRNNCells([layers.LSTMCell(3), layers.LSTMCell(OUTPUT_DIM)]),
        "tanh",
    ),
    "sequential": (
        lambda: keras.Sequential([layers.Dense(4), layers.Dense(OUTPUT_DIM, activation="sigmoid")]),
        "sigmoid",
    ),
    "activation layer": (
        lambda: keras.Sequential([layers.Dense(OUTPUT_DIM), layers.Activation("softmax")]),
        "softmax",
    ),
    "layer of one activation": (
        lambda: keras.Sequential([layers.Dense(OUTPUT_DIM), layers.LeakyReLU()]),
        "LeakyReLU",
    ),
}


@pytest.mark.parametrize("case", NOT_LINEAR)
def test_a_last_activation_that_is_not_linear_is_refused(case: str) -> None:
    make, received = NOT_LINEAR[case]
    with pytest.raises(ValueError, match=f"{received}.*must be 'linear'"):
        NeuralTuringMachine(UNITS, n_width=6, m_depth=4, controller_model=make())


def _functional_with_lstm() -> keras.Model:
    seen = keras.Input((None, INPUT_DIM))
    return keras.Model(seen, layers.Dense(OUTPUT_DIM)(layers.LSTM(4)(seen)), name="hidden_state")


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "functional model with recurrent layers": (
        _functional_with_lstm,
        "'hidden_state' is a functional model with recurrent layers .* give .* keras.Sequential",
    ),
    "bidirectional layer": (
        lambda: layers.Bidirectional(layers.LSTM(OUTPUT_DIM, activation="linear")),
        "has a Bidirectional layer, .* use the layer inside it",
    ),
    "bidirectional layer in a sequential": (
        lambda: keras.Sequential([layers.Bidirectional(layers.LSTM(4)), layers.Dense(OUTPUT_DIM)]),
        "has a Bidirectional layer, .* use the layer inside it",
    ),
    "time distributed layer": (
        lambda: layers.TimeDistributed(layers.Dense(OUTPUT_DIM)),
        "has a TimeDistributed layer, .* use the layer inside it",
    ),
    "backward layer": (
        lambda: layers.LSTM(OUTPUT_DIM, activation="linear", go_backwards=True, name="back"),
        "'back' with go_backwards=True, .* leave it False",
    ),
    "empty sequential": (keras.Sequential, "has no layers"),
    "function": (lambda: np.tanh, "must be a Keras layer, model or RNN cell, not <ufunc 'tanh'>"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_controller_that_cannot_be_stepped_is_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        NeuralTuringMachine(UNITS, n_width=6, m_depth=4, controller_model=make())
