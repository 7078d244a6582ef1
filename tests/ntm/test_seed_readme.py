"""The examples in the README of the predecessor, with the imports and spelling of Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import Input, Sequential
from keras.layers import LSTM
from keras.models import load_model
from keras.optimizers import Adam

import ntm
from ntm import NeuralTuringMachine as NTM  # noqa: N817
from ntm import controller_input_output_shape
from tests.ntm.backend import assert_same

input_dim, output_dim = 10, 8
n_slots, m_depth, shift_range, read_heads, write_heads = 50, 20, 3, 1, 1
batch_size, learning_rate, clipnorm = 4, 5e-3, 10


def double_lstm() -> Sequential:
    """The stateful controller of two LSTM layers."""
    controller_input_dim, controller_output_dim = ntm.controller_input_output_shape(
        input_dim, output_dim, m_depth, n_slots, shift_range, read_heads, write_heads
    )
    controller = Sequential(name="double_lstm")
    controller.add(Input(batch_shape=(batch_size, None, controller_input_dim)))
    controller.add(LSTM(units=15, stateful=True, return_sequences=True))
    controller.add(LSTM(units=controller_output_dim, activation="linear", stateful=True))
    controller.compile(
        loss="binary_crossentropy",
        optimizer=Adam(learning_rate=learning_rate, clipnorm=clipnorm),
        metrics=["binary_accuracy"],
    )
    return controller


def example(controller: Sequential | None, **arguments: Any) -> Sequential:
    """The README's model."""
    model = Sequential(name="NTM_-_" + (controller.name if controller else "dense"))
    model.add(Input(batch_shape=(batch_size, None, input_dim)))
    model.add(
        NTM(
            output_dim,
            n_width=n_slots,
            m_depth=m_depth,
            shift_range=shift_range,
            controller_model=controller,
            return_sequences=True,
            activation="sigmoid",
            **arguments,
        )
    )
    model.compile(
        loss="binary_crossentropy",
        optimizer=Adam(learning_rate=learning_rate, clipnorm=clipnorm),
        metrics=["binary_accuracy"],
        weighted_metrics=[],
    )
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("controller", "stateful"),
    [(None, False), (double_lstm, False), (double_lstm, True)],
)
def test_the_example_trains(controller: Any, stateful: bool, tmp_path: Path) -> None:
    model = example(controller and controller(), stateful=stateful)
    rng = np.random.default_rng(0)
    inputs = rng.integers(2, size=(2 * batch_size, 6, input_dim)).astype("float32")
    targets = np.broadcast_to(np.arange(output_dim) % 2, (*inputs.shape[:2], output_dim))
    # What `sample_weight_mode="temporal"` was for.
    weights = np.ones((2 * batch_size, 6), "float32")
    history = model.fit(
        inputs, targets, batch_size, sample_weight=weights, epochs=5, shuffle=False, verbose=0
    ).history
    assert history["loss"][-1] < history["loss"][0] - 0.1
    if stateful:
        model.save(tmp_path / "ntm.keras")
        loaded = load_model(tmp_path / "ntm.keras")
        model.layers[0].reset_state()
        assert_same([loaded(inputs[:batch_size])], [model(inputs[:batch_size])])


def test_the_widths_of_a_controller() -> None:
    assert controller_input_output_shape(
        input_dim, output_dim, m_depth, n_slots, shift_range, read_heads, write_heads
    ) == (30, 100)
