"""Small machines with random weights, and the same machines in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import controllers
from ntm import NeuralTuringMachine, Perturbation, controller_input_output_shape
from tests import reference
from tests.ntm.backend import numpy

INPUTS, UNITS, ROWS, WIDTH = 5, 3, 6, 4
# One shape where possible: JAX compiles every operation again for another.
BATCH, STEPS = 5, 4
KINDS = ("dense", "double_dense", "lstm")


def widths(
    read_heads: int = 1, write_heads: int = 1, shift_range: int = 3, m_depth: int = WIDTH
) -> tuple[int, int]:
    """Input and output width of a controller."""
    return controller_input_output_shape(
        INPUTS, UNITS, m_depth, ROWS, shift_range, read_heads, write_heads
    )


def controller(kind: str, *sizes: int) -> keras.layers.Layer:
    if kind == "dense":
        return controllers.dense(*widths(*sizes))
    if kind == "double_dense":
        return controllers.double_dense(*widths(*sizes), units=7, activation="tanh")
    return controllers.lstm(*widths(*sizes), units=[6])


def _functional(inputs: int, outputs: int) -> keras.Model:
    seen = keras.Input((inputs,))
    hidden = keras.layers.Dense(4, activation="tanh", name="hidden")(seen)
    joined = keras.layers.Concatenate(name="joined")([hidden, seen])
    return keras.Model(seen, keras.layers.Dense(outputs, name="out")(joined), name="functional")


CONTROLLERS: dict[str, Callable[[int, int], Any]] = {
    "none": lambda i, o: None,
    "dense": lambda i, o: keras.layers.Dense(o),
    "functional model": _functional,
    "sequential of dense": lambda i, o: keras.Sequential(
        [keras.Input((i,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(o)]
    ),
    "nested sequential": lambda i, o: keras.Sequential(
        [keras.Sequential([keras.layers.GRU(4, return_sequences=True)]), keras.layers.Dense(o)]
    ),
    "LSTM cell": lambda i, o: keras.layers.LSTMCell(o, activation="linear"),
    "GRU cell": lambda i, o: keras.layers.GRUCell(o, activation="linear"),
    "stacked cells": lambda i, o: keras.layers.StackedRNNCells(
        [keras.layers.LSTMCell(4), keras.layers.GRUCell(o, activation="linear")]
    ),
    "LSTM layer": lambda i, o: keras.layers.LSTM(o, activation="linear"),
    "GRU layer": lambda i, o: keras.layers.GRU(o, activation="linear", stateful=True),
    "RNN layer of cells": lambda i, o: keras.layers.RNN(
        [keras.layers.SimpleRNNCell(4), keras.layers.LSTMCell(o, activation="linear")]
    ),
    "sequential of LSTM and dense": lambda i, o: keras.Sequential(
        [keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(o)]
    ),
    "stateful double LSTM": lambda i, o: keras.Sequential(
        [
            keras.Input(batch_shape=(BATCH, None, i)),
            keras.layers.LSTM(4, stateful=True, return_sequences=True),
            keras.layers.LSTM(o, activation="linear", stateful=True),
        ]
    ),
}


def machine(
    kind: str = "dense",
    read_heads: int = 1,
    write_heads: int = 1,
    shift_range: int = 3,
    **arguments: Any,
) -> NeuralTuringMachine:
    """A built layer with one of the project's controllers."""
    sizes = (read_heads, write_heads, shift_range)
    model = controller(kind, *sizes, arguments.get("m_depth", WIDTH))
    return built(model, *sizes, **arguments)


def built(
    controller_model: Any,
    read_heads: int = 1,
    write_heads: int = 1,
    shift_range: int = 3,
    batch: int | None = None,
    **arguments: Any,
) -> NeuralTuringMachine:
    """A built layer with random weights, the same for the same shapes."""
    sizes = {"n_width": ROWS, "m_depth": WIDTH, **arguments}
    layer = NeuralTuringMachine(
        UNITS,
        shift_range=shift_range,
        controller_model=controller_model,
        read_heads=read_heads,
        write_heads=write_heads,
        **sizes,
    )
    layer.build((batch, None, INPUTS))
    randomise(layer)
    return layer


def random_machine(kind: str, **options: Any) -> NeuralTuringMachine:
    """Everything random at once, with fixed seeds, or batch normalisation alone."""
    if kind == "dropout":
        parts = [
            keras.layers.LSTM(6, return_sequences=True, dropout=0.3, recurrent_dropout=0.2, seed=1),
            keras.layers.Dropout(0.4, seed=2),
        ]
        arguments: dict[str, Any] = {"dropout": 0.3, "seed": 3}
        noises = {"state_noise": 0.2, "state_drift": 0.1, "memory_noise": 0.3, "read_noise": 0.1}
        noises |= {"weighting_leak": 0.4, "weighting_drift": 0.3, "memory_clutter": 0.2}
        arguments["perturbation"] = Perturbation(**noises)
    else:
        parts, arguments = (
            [keras.layers.Dense(6, use_bias=False), keras.layers.BatchNormalization()],
            {},
        )
    model = keras.Sequential([*parts, keras.layers.Dense(widths()[1])])
    arguments |= {"return_sequences": True, "return_state": True, **options}
    return built(model, **arguments)


def randomise(layer: keras.layers.Layer, seed: int = 0) -> None:
    """Weights large enough that the heads do move, blur and sharpen."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(scale=0.6, size=w.shape) for w in layer.get_weights()])


def as_reference(layer: NeuralTuringMachine, kind: str) -> reference.Machine:
    """The same machine in NumPy loops."""
    weights = [np.asarray(numpy(v.value), np.float64) for v in layer.weights]
    state = None
    if kind == "lstm":
        controller_step = reference.lstm_controller(*weights[:5])
        state = _lstm_state(weights[1])
        used = 5
    else:
        used = 2 if kind == "dense" else 4
        pairs = zip(weights[:used:2], weights[1:used:2], strict=True)
        controller_step = reference.dense_controller(*pairs)
    features = {
        "lstm": lambda seen, state: state[0],
        "dense": lambda seen, state: seen,
        "double_dense": lambda seen, state: np.tanh(seen @ weights[0] + weights[1]),
    }
    readout: dict[str, Any] = {}
    if layer.readout_units:
        *lstm, added = weights[used + layer.read_to_output :]
        readout["readout"] = reference.lstm_controller(*lstm, added, np.zeros(added.shape[1]))
        readout["readout_state"] = _lstm_state(lstm[1])
        readout["features"] = features[kind]
    return reference.Machine(
        controller_step,
        layer.units,
        layer.n_width,
        layer.m_depth,
        layer.shift_range,
        layer.read_heads,
        layer.write_heads,
        projection=weights[used] if layer.read_to_output else None,
        controller_state=state,
        gate_offset=layer.gate_offset,
        write_gate_offset=layer.write_gate_offset,
        write_shift_offset=layer.write_shift_offset,
        sharpness_offset=layer.sharpness_offset,
        row_codes=layer.row_codes,
        **readout,
    )


def _lstm_state(recurrent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(recurrent)), np.zeros(len(recurrent))


def flattened(state: reference.State) -> list[np.ndarray]:
    """A reference state in the order and shapes of the layer's list of states, without a batch."""
    parts = [state.output, state.memory.T, np.array(state.weights), np.array(state.reads)]
    states = (*(state.controller or ()), *(state.readout or ()))
    return [part.reshape(-1) for part in (*parts, *states)]


def random_inputs(batch: int = BATCH, steps: int = STEPS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, steps, INPUTS)).astype("float32")


def random_mask() -> np.ndarray:
    """Masked steps at the start, in the middle and at the end; the last sequence has none left."""
    return np.array([[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
