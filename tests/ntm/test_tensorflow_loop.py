"""What the loop on TensorFlow promises beyond the layer: steps saved, one compilation."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.ntm.backend import BACKEND, assert_same, layer_gradients
from tests.ntm.machines import (
    BATCH,
    INPUTS,
    STEPS,
    built,
    machine,
    random_inputs,
    random_machine,
    random_mask,
    widths,
)

if BACKEND != "tensorflow":
    pytest.skip("the loop of another backend", allow_module_level=True)

import tensorflow as tf

from ntm.recurrence import tensorflow_products

# Not a whole number of the blocks of 5 that a test sums over.
LONG = 13
# What a compiled program would say if it left the device before its end.
HOST = r"\b(?:infeed|outfeed|send|recv)\b|callback|host_compute"


class Counting(layers.Layer):
    """Passes its inputs on; counts its training steps, or all of its calls on the host."""

    def __init__(self, on_host: bool) -> None:
        super().__init__()
        self.on_host = on_host
        self.calls = 0

    def build(self, input_shape: Any) -> None:
        self.steps = self.add_weight(shape=(), dtype="int32", trainable=False, name="steps")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if self.on_host:
            tf.py_function(self.count_call, [], [])
        elif training:
            self.steps.assign_add(1)
        return inputs

    def count_call(self) -> None:
        self.calls += 1

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def counting_machine(on_host: bool, **arguments: Any) -> tuple[Any, Counting]:
    counting = Counting(on_host)
    parts = [layers.LSTM(6, return_sequences=True), layers.Dense(widths()[1]), counting]
    return built(keras.Sequential(parts), return_sequences=True, **arguments), counting


def training_step(layer: Any, **options: Any) -> Any:
    """A compiled function of inputs and mask: outputs, and gradients of weights and inputs."""

    @tf.function(**options)
    def step(inputs: Any, mask: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, mask=mask, training=True)
            loss = tf.reduce_sum(tf.square(outputs))
        return outputs, tape.gradient(loss, [inputs, *layer.trainable_variables])

    return step


def first_steps(*lengths: int) -> np.ndarray:
    return np.arange(LONG) < np.array(lengths)[:, None]


@pytest.mark.slow
@pytest.mark.parametrize(("segment", "summed"), [(None, 5), (None, 24), (5, 24)])
def test_one_compilation_for_all_lengths_and_no_step_more_than_the_longest(
    segment: int | None, summed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the outputs and gradients of the stock RNN, which runs all steps."""
    monkeypatch.setattr(tensorflow_products, "SUMMED_STEPS", summed)
    layer, counting = counting_machine(on_host=False, gradient_checkpointing=segment)
    stock = keras.layers.RNN(layer.cell, return_sequences=True)
    stock.build((None, None, INPUTS))
    step, stock_step = training_step(layer, jit_compile=True), training_step(stock)
    inputs = tf.constant(random_inputs(2, LONG))
    masks = {
        7: first_steps(7, 3),
        2: first_steps(1, 2),
        0: first_steps(0, 0),
        LONG: first_steps(LONG, 1),
        4: first_steps(9, 0) & ~first_steps(5, 0),
    }
    for expected, mask in masks.items():
        before = int(counting.steps)
        outputs, gradients = step(inputs, tf.constant(mask))
        assert int(counting.steps) - before == expected
        stock_outputs, stock_gradients = stock_step(inputs, tf.constant(mask))
        assert_same([outputs, *gradients], [stock_outputs, *stock_gradients])
    assert step.experimental_get_tracing_count() == 1
    program = step.experimental_get_compiler_ir(inputs, tf.constant(mask))(stage="hlo")
    assert not re.findall(HOST, program)


@pytest.mark.parametrize("go_backwards", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_steps_of_inference_and_of_gradients_end_with_the_longest_sequence(
    go_backwards: bool,
) -> None:
    """Counted in a graph: forward one a step, backward at most one more."""
    layer, counting = counting_machine(on_host=True, go_backwards=go_backwards)
    inputs = tf.constant(random_inputs(2, LONG))
    mask = tf.constant(first_steps(8, 7) & ~first_steps(3, 4))

    @tf.function
    def infer(inputs: Any, mask: Any) -> Any:
        return layer(inputs, mask=mask)

    infer(inputs, mask)
    assert counting.calls == 5
    counting.calls = 0
    training_step(layer)(inputs, mask)
    assert 5 <= counting.calls <= 10
    counting.calls = 0
    layer(inputs, mask=mask)
    assert counting.calls == 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"return_sequences": True, "return_state": True},
        pytest.param(
            {"return_sequences": True, "go_backwards": True, "zero_output_for_mask": True},
            marks=pytest.mark.slow,
        ),
        pytest.param({"return_sequences": False, "return_state": True}, marks=pytest.mark.slow),
        {"return_sequences": True, "return_state": True, "readout_units": 4},
    ],
    ids=["sequences", "backwards", "last", "readout"],
)
def test_the_gradient_is_that_of_tensorflow(arguments: dict[str, Any]) -> None:
    """Inference runs the loop without our gradient, so TensorFlow differentiates it."""
    layer = machine("lstm", 2, 2, **arguments)
    inputs, mask = random_inputs(), random_mask()
    ours = layer_gradients(layer, inputs, mask=mask, training=True)
    theirs = layer_gradients(layer, inputs, mask=mask, training=False)
    assert_same(ours[0], theirs[0])
    assert_same(ours[1], theirs[1])


def test_the_gradient_reaches_the_initial_state() -> None:
    layer = machine("lstm", return_state=True)
    inputs, mask = tf.constant(random_inputs()), tf.constant(random_mask())
    rng = np.random.default_rng(0)
    initial = [
        state + tf.constant(rng.uniform(0, 0.1, size=state.shape), tf.float32)
        for state in layer.get_initial_state(BATCH)
    ]
    found = []
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(initial)
            _, *states = layer(inputs, initial_state=initial, mask=mask, training=training)
            loss = tf.add_n([tf.reduce_sum(tf.sin(state)) for state in states])
        found.append(tape.gradient(loss, initial, unconnected_gradients="zero"))
    assert_same(*found)


@pytest.mark.slow
def test_masks_of_dropout_are_the_same_in_a_graph() -> None:
    """The backward pass is built when the masks are no longer at hand."""
    unrolled, looped = random_machine("dropout", unroll=True), random_machine("dropout")
    inputs, mask = tf.constant(random_inputs()), tf.constant(np.ones((BATCH, STEPS), bool))

    def run(layer: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = layer(inputs, mask=mask, training=True)[0]
            loss = tf.reduce_sum(tf.square(outputs))
        return [outputs, *tape.gradient(loss, layer.trainable_variables)]

    assert_same(tf.function(lambda: run(looped))(), run(unrolled))


def test_frozen_weights_have_no_gradient_and_change_none() -> None:
    layer = machine("double_dense", return_sequences=True)
    inputs = random_inputs()
    outputs, (by_inputs, *_) = layer_gradients(layer, inputs, training=True)
    layer.trainable = False
    frozen_outputs, frozen = layer_gradients(layer, inputs, training=True)
    assert_same(frozen_outputs, outputs)
    assert_same(frozen, [by_inputs])


# Lengths of segments that divide the steps of a batch, do not, are all of them, or more.
SEGMENTS = (5, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 3, LONG, 2 * LONG)))


@pytest.mark.parametrize("segment", SEGMENTS)
def test_a_checkpointed_gradient_is_the_same(segment: int) -> None:
    """With gaps in the mask, sequences of random lengths, one of them empty, and initial states."""
    rng = np.random.default_rng(segment)
    lengths = rng.integers(1, LONG + 1, size=BATCH)
    mask = first_steps(*lengths) & (rng.uniform(size=(BATCH, LONG)) < 0.8)
    mask[-1] = False
    inputs = random_inputs(BATCH, LONG)
    options = {"return_sequences": True, "return_state": True}
    plain = machine("lstm", 2, 2, **options)
    checkpointed = machine("lstm", 2, 2, gradient_checkpointing=segment, **options)
    ours = layer_gradients(checkpointed, inputs, mask=mask, training=True)
    theirs = layer_gradients(plain, inputs, mask=mask, training=True)
    assert_same(ours[0], theirs[0])
    assert_same(ours[1], theirs[1])


@pytest.mark.parametrize(
    "arguments",
    [
        {"return_sequences": False},
        pytest.param({"return_sequences": True, "go_backwards": True}, marks=pytest.mark.slow),
    ],
    ids=["last", "backwards"],
)
def test_a_checkpointed_gradient_without_a_mask(arguments: dict[str, Any]) -> None:
    inputs = random_inputs()
    found = [
        layer_gradients(machine(gradient_checkpointing=k, **arguments), inputs, training=True)
        for k in (3, None)
    ]
    assert_same(found[0][0], found[1][0])
    assert_same(found[0][1], found[1][1])


@pytest.mark.slow
def test_checkpointed_steps_are_run_a_second_time_and_no_more() -> None:
    """Counted in a graph: forward, once more for the states inside a segment, and its gradient."""
    layer, counting = counting_machine(on_host=True, gradient_checkpointing=3)
    inputs, mask = tf.constant(random_inputs(2, LONG)), tf.constant(first_steps(8, 7))
    training_step(layer)(inputs, mask)
    assert counting.calls <= 3 * 8


@pytest.mark.slow
def test_masks_of_dropout_are_the_same_in_a_segment() -> None:
    inputs, mask = random_inputs(), random_mask()
    found = []
    for segment in (None, 3):
        layer = random_machine("dropout", gradient_checkpointing=segment)
        found.append(layer_gradients(layer, inputs, mask=mask, training=True))
    assert_same(found[1][0], found[0][0])
    assert_same(found[1][1], found[0][1])


@pytest.mark.slow
@pytest.mark.parametrize("return_sequences", [True, False])
def test_a_batch_of_unknown_size_and_length(return_sequences: bool) -> None:
    layer = machine("lstm", return_sequences=return_sequences)
    flags = tf.TensorSpec((None, None), tf.bool)
    step = training_step(
        layer, input_signature=[tf.TensorSpec((None, None, INPUTS), tf.float32), flags]
    )
    eager = training_step(layer).python_function
    for mask in (random_mask()[1:3], np.zeros((3, 2), bool)):
        inputs = random_inputs(*mask.shape)
        outputs, gradients = step(inputs, mask)
        expected, expected_gradients = eager(tf.constant(inputs), tf.constant(mask))
        assert_same([outputs, *gradients], [expected, *expected_gradients])
    assert step.experimental_get_tracing_count() == 1


COMPILED = """
import numpy as np
import tensorflow as tf
from tests.ntm.machines import machine, random_inputs
from tests.ntm.test_tensorflow_loop import LONG, first_steps, training_step

step = training_step(machine("lstm", return_sequences=True), jit_compile=True)
for lengths in [(12, 3), (1, 0), (5, 5), (0, 0), (7, 12)]:
    step(tf.constant(random_inputs(2, LONG)), tf.constant(first_steps(*lengths)))
"""


@pytest.mark.slow
def test_xla_compiles_once_and_never_calls_the_host(tmp_path: Path) -> None:
    """Seen in the programs that XLA writes down in a process of its own."""
    root = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "XLA_FLAGS": f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text",
    }
    subprocess.run([sys.executable, "-c", COMPILED], env=environment, check=True)
    programs = [path for path in tmp_path.glob("*after_optimizations.txt") if "_step_" in path.name]
    assert len(programs) == 1
    program = programs[0].read_text()
    assert program.count(" while(") == 3  # Forward, backward, and the sums for the matrices.
    assert not re.findall(HOST, program)


def test_gradients_are_in_float64_where_the_layer_is() -> None:
    """As those of the stock RNN, to 1e-12."""
    parts = [layers.LSTM(6, return_sequences=True, dtype="float64")]
    parts.append(layers.Dense(widths()[1], dtype="float64"))
    layer = built(keras.Sequential(parts), dtype="float64")
    stock = keras.layers.RNN(layer.cell, dtype="float64")
    inputs = tf.constant(np.random.default_rng(0).normal(size=(BATCH, STEPS, INPUTS)))
    found = []
    for each in (layer, stock):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(each(inputs, training=True)))
        found.append(tape.gradient(loss, [inputs, *layer.trainable_variables]))
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == tf.float64
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


class Failing(layers.Layer):
    """Fails at its second call, in the midst of a loop."""

    calls = 0

    def build(self, input_shape: Any) -> None:
        pass

    def call(self, inputs: Any) -> Any:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("the second step")
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@pytest.mark.parametrize("training", [False, True])
def test_an_error_in_the_loop_is_all_there_is_to_read(
    training: bool, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """TensorFlow complains of every array that was written and not read."""
    layer = built(keras.Sequential([layers.Dense(widths()[1]), Failing()]), return_sequences=True)
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    with pytest.raises(RuntimeError, match="the second step"):
        layer(random_inputs(), training=training)
    gc.collect()
    logger.removeHandler(caplog.handler)
    assert "never used" not in caplog.text + capfd.readouterr().err
