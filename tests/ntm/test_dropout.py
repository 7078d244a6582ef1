"""Dropout, noise and batch normalisation, in the layer and inside of its controller."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ntm import NeuralTuringMachine, Perturbation, heads
from tests.ntm.backend import assert_same, layer_gradients, numpy
from tests.ntm.machines import (
    BATCH,
    INPUTS,
    ROWS,
    STEPS,
    UNITS,
    WIDTH,
    built,
    random_inputs,
    random_machine,
    widths,
)

INPUT_DIM, OUTPUT_DIM = widths()
RATE = 0.5


def transparent(controller_model: Any, **arguments: Any) -> NeuralTuringMachine:
    """A machine whose output is the first inputs that its controller lets through."""
    layer = built(controller_model, read_to_output=False, return_sequences=True, **arguments)
    weights = [np.zeros_like(weight) for weight in layer.get_weights()]
    weights[0][:UNITS, :UNITS] = np.eye(UNITS)
    layer.set_weights(weights)
    return layer


def dropping(kind: str) -> NeuralTuringMachine:
    if kind == "layer":
        return transparent(layers.Dense(OUTPUT_DIM), dropout=RATE, seed=1)
    cell = layers.SimpleRNNCell(OUTPUT_DIM, activation="linear", dropout=RATE, seed=1)
    if kind == "cell":
        return transparent(cell)
    return transparent(layers.StackedRNNCells([cell]))


@pytest.mark.parametrize("kind", ["layer", "cell", pytest.param("stack", marks=pytest.mark.slow)])
def test_a_mask_is_kept_for_a_sequence_and_drawn_for_each(kind: str) -> None:
    layer = dropping(kind)
    ones = np.ones((40, STEPS, INPUTS), "float32")
    first, second = (numpy(layer(ones, training=True)) for _ in range(2))
    for outputs in (first, second):
        assert set(np.unique(outputs)) == {0.0, 1 / (1 - RATE)}
        np.testing.assert_array_equal(outputs, np.repeat(outputs[:, :1], STEPS, axis=1))
        assert len(np.unique(outputs[:, 0], axis=0)) > 2**UNITS / 2
    assert (first != second).any()
    np.testing.assert_array_equal(numpy(layer(ones)), 1)
    # The same seed gives the same masks in the same order.
    again = dropping(kind)
    np.testing.assert_array_equal(numpy(again(ones, training=True)), first)


def test_a_dropout_layer_in_a_controller_draws_a_mask_for_each_step() -> None:
    layer = transparent(keras.Sequential([layers.Dropout(RATE, seed=1), layers.Dense(OUTPUT_DIM)]))
    ones = np.ones((40, STEPS, INPUTS), "float32")
    first = numpy(layer(ones, training=True))
    second = numpy(layer(ones, mask=np.ones((40, STEPS), bool), training=True))
    for outputs in (first, second):
        assert set(np.unique(outputs)) == {0.0, 1 / (1 - RATE)}
        for one in range(STEPS):
            assert (outputs[:, one] != outputs[:, one - 1]).any()
    assert (first != second).any()
    np.testing.assert_array_equal(numpy(layer(ones)), 1)


@pytest.mark.parametrize("kind", ["dropout", "normalisation"])
def test_gradients_drop_and_normalise_as_the_outputs_do(kind: str) -> None:
    """The loop, whatever its backward pass does, against its steps laid out one by one."""
    looped, unrolled = random_machine(kind), random_machine(kind, unroll=True)
    inputs = random_inputs()
    results = [layer_gradients(each, inputs, training=True) for each in (looped, unrolled)]
    assert_same(results[0][0], results[1][0])
    assert_same(results[0][1], results[1][1])
    assert any(
        (one != other).any()
        for one, other in zip(
            results[0][0], layer_gradients(looped, inputs, training=False)[0], strict=True
        )
    )


@pytest.mark.parametrize("kind", ["dropout", "normalisation"])
def test_what_a_controller_learns_outside_of_gradients_is_kept(kind: str) -> None:
    """Moving averages and random seeds after a sequence, the same for loop and single steps."""
    looped, unrolled = random_machine(kind), random_machine(kind, unroll=True)
    before = [numpy(variable.value) for variable in looped.non_trainable_variables]
    for layer in (looped, unrolled):
        layer(random_inputs(), training=False)
        layer(random_inputs(), training=True)
    after = [variable.value for variable in looped.non_trainable_variables]
    assert_same(after, [variable.value for variable in unrolled.non_trainable_variables])
    changed = [(numpy(one) != other).any() for one, other in zip(after, before, strict=True)]
    assert changed
    assert all(changed)


@pytest.mark.parametrize(
    ("cells", "noisy"),
    [
        ([layers.LSTMCell(OUTPUT_DIM, activation="linear")], [False, True]),
        (
            [layers.LSTMCell(4), layers.GRUCell(OUTPUT_DIM, activation="linear")],
            [False, True, True],
        ),
        ([layers.SimpleRNNCell(OUTPUT_DIM, activation="linear")], [True]),
    ],
)
def test_noise_is_on_the_last_state_of_each_cell_in_training(
    cells: list[Any], noisy: list[bool]
) -> None:
    layer = built(
        layers.StackedRNNCells(cells),
        perturbation=Perturbation(state_noise=0.3),
        seed=1,
        return_state=True,
    )
    same = np.repeat(random_inputs(1, 1), 500, axis=0)
    quiet, first, second = (
        [numpy(state) for state in layer(same, training=training)[5:]]
        for training in (False, True, True)
    )
    for clean, one, other, expected in zip(quiet, first, second, noisy, strict=True):
        noise = one - clean
        if not expected:
            np.testing.assert_allclose(noise, 0, atol=1e-6)
            continue
        assert noise.std() == pytest.approx(0.3, rel=0.1)
        assert abs(noise.mean()) < 0.05
        # New at each step and for each sequence.
        assert abs(np.corrcoef(noise.ravel(), (other - clean).ravel())[0, 1]) < 0.1
        assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.1


def test_drift_is_the_same_at_every_step_of_a_sequence() -> None:
    """A cell that adds up what it is given: after T steps it has drifted T times as far."""
    cell = layers.SimpleRNNCell(OUTPUT_DIM, activation="linear")
    layer = built(
        cell,
        perturbation=Perturbation(state_drift=0.5),
        seed=1,
        return_state=True,
        read_to_output=False,
    )
    inputs, _, bias = layer.get_weights()
    layer.set_weights([0 * inputs, np.eye(OUTPUT_DIM), 0 * bias])
    silence = np.zeros((400, 4, INPUTS), "float32")
    one, four = (numpy(layer(silence[:, :steps], training=True)[-1]) for steps in (1, 4))
    assert one.std() == pytest.approx(0.5, rel=0.05)
    assert four.std() == pytest.approx(4 * 0.5, rel=0.05)
    assert abs(np.corrcoef(one[:-1].ravel(), one[1:].ravel())[0, 1]) < 0.1
    np.testing.assert_array_equal(numpy(layer(silence, training=False)[-1]), 0)


def test_noise_on_memory_moves_all_rows_alike() -> None:
    """Without writing: memory ends as it begins, moved by one number a column and sequence."""
    layer = built(None, perturbation=Perturbation(memory_noise=0.3), seed=1, return_state=True)
    layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    bias = layer.cell.controller_model.bias
    # Neither erased nor added: the instructions of the one write head come last.
    bias.assign(np.r_[np.zeros(bias.shape[0] - 2 * WIDTH), np.full(WIDTH, -40.0), np.zeros(WIDTH)])
    silence = np.zeros((400, STEPS, INPUTS), "float32")
    quiet, first, second = (
        numpy(layer(silence, training=training)[2]).reshape(400, WIDTH, ROWS)
        for training in (False, True, True)
    )
    moved = first - quiet
    np.testing.assert_allclose(moved, np.repeat(moved[:, :, :1], ROWS, axis=2), atol=1e-6)
    assert moved.std() == pytest.approx(0.3, rel=0.1)
    one, other = moved[:, :, 0], (second - quiet)[:, :, 0]
    for pair in ((one, other), (one[:-1], one[1:]), (one[:, :-1], one[:, 1:])):
        assert abs(np.corrcoef(*(part.ravel() for part in pair))[0, 1]) < 0.1


def test_clutter_is_another_number_everywhere_and_of_another_size_each_sequence() -> None:
    """Without writing: memory ends as it begins, each number moved by a normal one.

    Of sizes that are 0.3 times the absolute value of a normal number, the mean is 0.3 times the
    square root of 2 / pi, and of their squares 0.3 squared.
    """
    layer = built(None, perturbation=Perturbation(memory_clutter=0.3), seed=1, return_state=True)
    layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    bias = layer.cell.controller_model.bias
    bias.assign(np.r_[np.zeros(bias.shape[0] - 2 * WIDTH), np.full(WIDTH, -40.0), np.zeros(WIDTH)])
    silence = np.zeros((2000, STEPS, INPUTS), "float32")
    quiet, first, second = (
        numpy(layer(silence, training=training)[2]).reshape(2000, -1)
        for training in (False, True, True)
    )
    np.testing.assert_array_equal(quiet, numpy(layer(silence, training=False)[2]))
    moved, other = first - quiet, second - quiet
    sizes = np.sqrt((moved**2).mean(axis=1))
    assert (sizes**2).mean() == pytest.approx(0.3**2, rel=0.1)
    assert sizes.mean() == pytest.approx(0.3 * math.sqrt(2 / math.pi), rel=0.05)
    # Where they differ from each other alone, all sizes would be much alike.
    assert sizes.std() == pytest.approx(0.3 * math.sqrt(1 - 2 / math.pi), rel=0.1)
    for pair in ((moved, other), (moved[:-1], moved[1:]), (moved[:, :-1], moved[:, 1:])):
        assert abs(np.corrcoef(*(part.ravel() for part in pair))[0, 1]) < 0.05


def test_noise_on_what_is_read_is_seen_by_the_controller_alone() -> None:
    """A controller that puts out what it sees of the read vectors, over a memory nobody changes."""
    layer = built(
        None,
        perturbation=Perturbation(read_noise=0.3),
        seed=1,
        return_state=True,
        return_sequences=True,
        read_to_output=False,
    )
    kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights())
    kernel[INPUTS : INPUTS + UNITS, :UNITS] = np.eye(UNITS)
    bias[-2 * WIDTH : -WIDTH] = -40  # Nothing is erased.
    layer.set_weights([kernel, bias])
    silence = np.zeros((400, STEPS, INPUTS), "float32")
    quiet, _, memory, *_ = map(numpy, layer(silence, training=False))
    first, _, moved, _, reads, *_ = map(numpy, layer(silence, training=True))
    np.testing.assert_allclose(moved, memory, atol=1e-6)
    np.testing.assert_allclose(reads, 0.1, atol=1e-6)
    np.testing.assert_allclose(quiet, 0.1, atol=1e-6)
    noise = first - quiet
    assert noise.std() == pytest.approx(0.3, rel=0.1)
    for pair in (
        (noise[:-1], noise[1:]),
        (noise[:, :-1], noise[:, 1:]),
        (noise[..., 0], noise[..., 1]),
        (noise, numpy(layer(silence, training=True)[0]) - quiet),
    ):
        assert abs(np.corrcoef(*(part.ravel() for part in pair))[0, 1]) < 0.1


def staying(sequences: int, **arguments: Any) -> tuple[np.ndarray, np.ndarray]:
    """Heads that are told to stay on row 0, and are disturbed in training.

    Row 0 alone holds something, and the output is what is read: so every step is seen.

    Returns `(weights (B, T) of the read head on row 0, weightings (B, 2, N) at the end)`.
    """
    layer = built(
        None, seed=1, return_state=True, return_sequences=True, gate_offset=0.0, **arguments
    )
    kernel, bias, projection = (np.zeros_like(weight) for weight in layer.get_weights())
    projection[0, 0] = 1
    sizes = heads.head_parameter_sizes(WIDTH, 3, 1, 1)
    _, _, _, gates, shifts, sharpness, erase, _ = np.split(bias, np.cumsum([UNITS, *sizes])[:-1])
    gates[:] = sharpness[:] = erase[:] = -40
    shifts[[1, 4]] = 40
    layer.set_weights([kernel, bias, projection])
    states = layer.get_initial_state(sequences)
    memory = np.zeros((sequences, WIDTH, ROWS), "float32")
    memory[:, 0, 0] = 1
    states[1] = memory.reshape(sequences, -1)
    silence = np.zeros((sequences, STEPS, INPUTS), "float32")
    quiet = layer(silence, initial_state=states, training=False)[0]
    np.testing.assert_allclose(numpy(quiet)[..., 0], 1, atol=1e-5)
    outputs, _, _, weights, *_ = layer(silence, initial_state=states, training=True)
    return numpy(outputs)[..., 0], numpy(weights).reshape(sequences, 2, ROWS)


def test_weightings_leak_evenly_over_all_rows() -> None:
    """What is above the mean is multiplied by 1 - share at each step, the same at all of them."""
    most = 0.4
    first, last = staying(2000, perturbation=Perturbation(weighting_leak=most))
    mean = 1 / ROWS
    left = (first - mean) / (1 - mean)
    share = 1 - left[:, 0]
    steps = np.arange(1, STEPS + 1)
    np.testing.assert_allclose(left, (1 - share[:, None]) ** steps, atol=1e-5)
    np.testing.assert_allclose(last[:, 0, 0], first[:, -1], atol=1e-5)
    np.testing.assert_allclose(last[:, :, 1:], last[:, :, 1:2].repeat(ROWS - 1, 2), atol=1e-6)
    other = 1 - ((last[:, 1, 0] - mean) / (1 - mean)) ** (1 / STEPS)
    assert_drawn_evenly(share, other, 0, most)


def test_weightings_drift_by_rows() -> None:
    """Of steps that each move a share by one row, so many go so far as the binomial says."""
    most = 0.4
    first, last = staying(2000, perturbation=Perturbation(weighting_drift=most))
    size = 1 - first[:, 0]
    steps = np.arange(1, STEPS + 1)
    np.testing.assert_allclose(first, (1 - size[:, None]) ** steps, atol=1e-5)
    assert STEPS < ROWS - 1
    signs = np.sign(last[:, :, 1] - last[:, :, -1])
    shares = (1 - last[:, :, 0] ** (1 / STEPS)) * signs
    for moved in range(STEPS + 1):
        part = math.comb(STEPS, moved) * abs(shares) ** moved * (1 - abs(shares)) ** (STEPS - moved)
        there = np.where(signs > 0, last[:, :, moved], last[:, :, -moved])
        np.testing.assert_allclose(there, part, atol=1e-5)
    assert_drawn_evenly(*shares.T, -most, most)


def assert_drawn_evenly(one: np.ndarray, other: np.ndarray, least: float, most: float) -> None:
    """Two heads' numbers, one for each sequence, from least to most and each for itself."""
    for drawn in (one, other):
        assert least - 1e-5 < drawn.min() < least + 0.01 < most - 0.01 < drawn.max() < most + 1e-5
        assert drawn.mean() == pytest.approx((least + most) / 2, abs=0.02)
        assert drawn.std() == pytest.approx((most - least) / 12**0.5, rel=0.05)
    for pair in ((one[:-1], one[1:]), (one, other)):
        assert abs(np.corrcoef(*pair)[0, 1]) < 0.1


def test_moving_averages_follow_the_equation() -> None:
    """One batch normalisation on the inputs and read vectors, over the steps of a sequence."""
    momentum = 0.9
    model = keras.Sequential(
        [layers.BatchNormalization(momentum=momentum, name="norm"), layers.Dense(OUTPUT_DIM)]
    )
    layer = built(model)
    mean = {v.path: v for v in layer.non_trainable_variables}
    moving = next(v for path, v in mean.items() if path.endswith("moving_mean"))
    expected = numpy(moving.value)[:INPUTS]
    inputs = random_inputs()
    layer(inputs, training=True)
    for time in range(STEPS):
        expected = momentum * expected + (1 - momentum) * inputs[:, time].mean(0)
    np.testing.assert_allclose(numpy(moving.value)[:INPUTS], expected, atol=1e-5)
    assert inputs.shape == (BATCH, STEPS, INPUTS)
