"""Inputs and states that do not fit are refused; NumPy's integers and empty batches do fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ntm import NeuralTuringMachine, NTMCell, Perturbation, controller_input_output_shape
from tests.ntm.backend import assert_same, layer_gradients, numpy
from tests.ntm.machines import (
    BATCH,
    INPUTS,
    ROWS,
    STEPS,
    UNITS,
    WIDTH,
    built,
    machine,
    random_inputs,
    random_machine,
)

# With so many features beside its own, an input has the width of one with its noise.
NOISE = WIDTH
WIDTHS = [INPUTS - 1, INPUTS + 1, INPUTS + NOISE]


def wide(width: int) -> np.ndarray:
    return np.ones((BATCH, STEPS, width), "float32")


def noisy(**arguments: Any) -> NeuralTuringMachine:
    return machine(perturbation=Perturbation(read_noise=0.1, memory_noise=0.1), **arguments)


class Subclassed(keras.Model):
    """A model that looks at no shape."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.layer(inputs, training=training)


def fit(layer: Any, inputs: np.ndarray) -> None:
    model = Subclassed(layer)
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(inputs, np.zeros((BATCH, UNITS), "float32"), verbose=0)


CALLS: dict[str, Any] = {
    "call": lambda layer, inputs: layer(inputs),
    "training": lambda layer, inputs: layer(inputs, training=True),
    "trace": lambda layer, inputs: layer.trace(inputs),
    "the cell in a stock RNN": lambda layer, inputs: keras.layers.RNN(layer.cell)(
        inputs, training=True
    ),
    "fit": fit,
    "predict": lambda layer, inputs: Subclassed(layer).predict(inputs, verbose=0),
    "a step": lambda layer, inputs: layer.cell.step(
        inputs[:, 0], layer.cell.unpack(layer.get_initial_state(BATCH))
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_another_width_than_the_layers_own_is_refused_with_both(call: str) -> None:
    for layer in (machine(), noisy()):
        for width in WIDTHS:
            if call == "a step" and layer.perturbation and width == WIDTHS[-1]:
                continue  # What the layer's own loop gives it.
            with pytest.raises(ValueError, match=rf"(?s)\b{INPUTS}\b.*\b{width}\b"):
                CALLS[call](layer, wide(width))


@pytest.mark.parametrize("call", ["call", "trace"])
@pytest.mark.parametrize("layer", [machine, lambda: NeuralTuringMachine(UNITS)])
def test_an_input_without_time_is_refused(layer: Any, call: str) -> None:
    with pytest.raises(ValueError, match=r"expected ndim=3, found ndim=2.* \(5, 4\)"):
        CALLS[call](layer(), wide(INPUTS)[..., 0])


def test_an_unknown_width_is_refused_only_where_weights_are_made() -> None:
    unknown = keras.Input((None, None))
    with pytest.raises(ValueError, match=r"the last axis of .* must be known"):
        NeuralTuringMachine(UNITS)(unknown)
    layer = machine()
    model = keras.Model(unknown, layer(unknown))
    assert_same([model(random_inputs())], [layer(random_inputs())])
    with pytest.raises(ValueError, match="to have value 5"):
        model(wide(INPUTS + 1))


@pytest.mark.slow
def test_a_width_that_is_known_only_at_run_time_is_seen_there() -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("every width is known elsewhere")
    import tensorflow as tf

    for called in (machine(), noisy(), keras.layers.RNN(machine().cell)):

        @tf.function(input_signature=[tf.TensorSpec((None, None, None))], reduce_retracing=True)
        def run(inputs: Any, called: Any = called) -> Any:
            return called(inputs, training=True)

        assert run(random_inputs()).shape == (BATCH, UNITS)
        with pytest.raises(tf.errors.InvalidArgumentError, match="Input to reshape"):
            run(wide(INPUTS + 1))


def states_of(batch: int = BATCH, **arguments: Any) -> list[np.ndarray]:
    return [numpy(state) for state in machine("lstm", **arguments).get_initial_state(batch)]


WRONG = {
    "rows": (lambda: states_of(n_width=ROWS + 2), r"state 1 .*memory.*\(5, 32\).*\(5, 24\)"),
    # As many numbers as twice the rows have: a reshape would make a larger batch of them.
    "twice the rows": (lambda: states_of(n_width=2 * ROWS), r"state 1 .*\(5, 48\).*\(5, 24\)"),
    "columns": (lambda: states_of(m_depth=WIDTH - 1), r"state 1 .*\(5, 18\).*m_depth=4"),
    "batch": (lambda: states_of(batch=1), r"state 0 .*output.*\(1, 3\).*\(5, 3\)"),
    "number": (lambda: states_of()[:4], "has 6 states .* but was given 4"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_initial_state_of_other_sizes_is_refused(kind: str) -> None:
    make, message = WRONG[kind]
    states, layer = make(), machine("lstm")
    symbolic = [keras.Input(batch_shape=state.shape) for state in states]
    sequences = keras.Input((STEPS, INPUTS), batch_size=BATCH)
    for call in (
        lambda: layer(random_inputs(), initial_state=states),
        lambda: layer.trace(random_inputs(), initial_state=states),
        lambda: keras.layers.RNN(layer.cell)(random_inputs(), initial_state=states),
        lambda: layer(sequences, initial_state=symbolic),
    ):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            call()


def test_sizes_may_be_integers_of_numpy(tmp_path: Path) -> None:
    sizes = {
        "units": 3,
        "n_width": 6,
        "m_depth": 4,
        "shift_range": 3,
        "read_heads": 2,
        "write_heads": 1,
        "readout_units": 2,
        "gradient_checkpointing": 2,
    }
    layer = NeuralTuringMachine(**{name: np.int64(size) for name, size in sizes.items()})
    config = layer.get_config()
    assert {type(config[name]) for name in sizes} == {int}
    json.dumps(config)
    assert {type(size) for size in NTMCell(np.int32(3)).state_size} == {int}
    model = keras.Sequential([keras.Input((None, INPUTS)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same([loaded(random_inputs())], [model(random_inputs())])


def test_widths_of_a_controller_are_plain_integers() -> None:
    found = controller_input_output_shape(*(np.int64(size) for size in (10, 8, 20, 128, 3, 1, 1)))
    assert found == (30, 100)
    assert {type(width) for width in found} == {int}


@pytest.mark.parametrize("value", [np.float64(4), np.bool_(True), np.int64(0)])
def test_other_numbers_of_numpy_are_no_sizes(value: Any) -> None:
    with pytest.raises(ValueError, match="n_width must be a whole number of at least 1"):
        NeuralTuringMachine(3, n_width=value)


@pytest.mark.parametrize(
    ("masked", "unroll"), [(False, False), pytest.param(True, True, marks=pytest.mark.slow)]
)
def test_an_empty_batch_has_empty_outputs_and_no_gradient(masked: bool, unroll: bool) -> None:
    for layer in (
        machine("lstm", return_sequences=True, unroll=unroll),
        noisy(return_sequences=True, go_backwards=True, unroll=unroll),
        built(None, return_sequences=True, state_clip_norm=1.0, dropout=0.2, unroll=unroll),
    ):
        mask = {"mask": np.ones((0, STEPS), bool)} if masked else {}
        for training in (False, True):
            (outputs,), (by_inputs, *gradients) = layer_gradients(
                layer, random_inputs(0), training=training, **mask
            )
            assert outputs.shape == (0, STEPS, UNITS)
            assert by_inputs.shape == (0, STEPS, INPUTS)
            for gradient, weight in zip(gradients, layer.trainable_variables, strict=True):
                assert gradient.shape == tuple(weight.shape)
                assert not gradient.any()
        assert layer.trace(random_inputs(0))["memory"].shape == (0, STEPS, ROWS, WIDTH)


def test_an_empty_batch_has_empty_states_and_changes_no_variable() -> None:
    layer = random_machine("normalisation")
    values = [numpy(variable.value) for variable in layer.variables]
    states = [np.ones((0, size), "float32") for size in layer.state_size]
    outputs = layer(random_inputs(0), initial_state=states, training=True)
    shapes = [(0, STEPS, UNITS), *((0, size) for size in layer.state_size)]
    assert [tuple(output.shape) for output in outputs] == shapes
    assert_same([variable.value for variable in layer.variables], values, relative=0)


def test_the_cell_takes_an_empty_batch_in_a_stock_rnn() -> None:
    stock = keras.layers.RNN(machine().cell, return_sequences=True)
    assert tuple(stock(random_inputs(0)).shape) == (0, STEPS, UNITS)
