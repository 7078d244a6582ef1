"""The gradient of what a sequence carries from step to step is bounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from ntm import NeuralTuringMachine
from ntm.training.clipping import clip_gradient
from tests.ntm.backend import assert_same, cotangents, gradients, layer_gradients, numpy
from tests.ntm.machines import BATCH, INPUTS, UNITS, machine, random_inputs, random_mask

# Of gradients of a random machine, some longer and some not.
CLIP_NORM = 0.3


def shortened(gradient: np.ndarray, most: float = CLIP_NORM) -> np.ndarray:
    lengths = np.linalg.norm(gradient, axis=-1, keepdims=True)
    return gradient * np.minimum(1, most / np.maximum(lengths, 1e-12))


@pytest.mark.parametrize("width", [2, 64])
def test_each_sequence_is_shortened_for_itself(width: int) -> None:
    upstream = np.zeros((5, width), "float32")
    upstream[:, :2] = [[3, -4], [0.3, 0.4], [0, 0], [3e25, 4e25], [-6, 8]]

    def weighted(values: Any) -> Any:
        scale = 1 / cotangents([np.zeros(())])[0]
        return ops.sum(clip_gradient(values, 2.0) * ops.convert_to_tensor(scale * upstream))

    values = np.arange(5 * width, dtype="float32").reshape(5, width)
    np.testing.assert_array_equal(numpy(clip_gradient(ops.convert_to_tensor(values), 2.0)), values)
    _, (gradient,) = gradients(weighted, values)
    expected = [[1.2, -1.6], [0.3, 0.4], [0, 0], [0, 0], [-1.2, 1.6]]
    np.testing.assert_allclose(gradient[:, :2], expected, rtol=1e-5)
    np.testing.assert_array_equal(gradient[:, 2:], 0)


def test_two_steps_by_hand() -> None:
    """What the second step says of the first one's states is shortened, and nothing else."""
    plain = machine("lstm", 2, 1, return_sequences=True)
    clipped = machine("lstm", 2, 1, return_sequences=True, state_clip_norm=CLIP_NORM)
    inputs = random_inputs()[:, :2]
    weights = [numpy(variable.value) for variable in plain.trainable_variables]
    (outputs,), found = layer_gradients(clipped, inputs, training=True)
    upstream = cotangents([outputs])[0]

    states = [numpy(state) for state in plain.get_initial_state(BATCH)]
    first = step_of(plain, len(states))
    later, _ = gradients(first, inputs[:, 0], *states, *weights)
    second = [upstream[:, 1], *(np.zeros_like(state) for state in later[1:])]
    by_input_2, by_states, by_weights_2 = pulled_back(
        plain, second, inputs[:, 1], later[1:], weights
    )
    bounded = [shortened(gradient) for gradient in by_states]
    both = zip(bounded, by_states, strict=True)
    assert any(np.abs(one - other).max() > 1e-3 for one, other in both)
    by_input_1, _, by_weights_1 = pulled_back(
        plain, [upstream[:, 0], *bounded], inputs[:, 0], states, weights
    )
    by_weights = [one + other for one, other in zip(by_weights_1, by_weights_2, strict=True)]
    assert_same(found, [np.stack([by_input_1, by_input_2], axis=1), *by_weights])


def step_of(layer: NeuralTuringMachine, count: int) -> Callable[..., Any]:
    """One step as a function of the input, the states and the weights: output and states."""

    def step(inputs: Any, *arrays: Any) -> list[Any]:
        variables = list(zip(layer.trainable_variables, arrays[count:], strict=True))
        with keras.StatelessScope(variables):
            output, states = layer.cell.call(inputs, list(arrays[:count]), training=True)
        return [output, *states]

    return step


def pulled_back(
    layer: NeuralTuringMachine,
    upstream: Sequence[np.ndarray],
    inputs: np.ndarray,
    states: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Gradients of a step by its input, states and weights, given those of output and states."""
    step = step_of(layer, len(states))
    scale = 1 / cotangents([np.zeros(())])[0]

    def weighted(*arrays: Any) -> Any:
        pairs = zip(step(*arrays), upstream, strict=True)
        return sum(ops.sum(value * ops.convert_to_tensor(scale * by)) for value, by in pairs)

    _, (by_input, *rest) = gradients(weighted, inputs, *states, *weights)
    return by_input, rest[: len(states)], rest[len(states) :]


@pytest.mark.parametrize("kind", ["double_dense", pytest.param("lstm", marks=pytest.mark.slow)])
def test_every_loop_clips_alike(kind: str) -> None:
    """The layer's own, with and without segments, and a stock RNN, on a random masked batch."""
    arguments: dict[str, Any] = {"return_sequences": True, "return_state": True}
    bound = {"state_clip_norm": CLIP_NORM}
    layer = machine(kind, 2, 2, **bound, **arguments)
    stock = keras.layers.RNN(layer.cell, **arguments)
    stock.build((None, None, INPUTS))
    inputs, mask = random_inputs(), random_mask()
    ours = layer_gradients(layer, inputs, mask=mask, training=True)
    segments = machine(kind, 2, 2, gradient_checkpointing=3, **bound, **arguments)
    for other in (stock, segments):
        theirs = layer_gradients(other, inputs, mask=mask, training=True)
        assert_same(ours[0], theirs[0])
        assert_same(ours[1], theirs[1])
    unbounded = layer_gradients(machine(kind, 2, 2, **arguments), inputs, mask=mask, training=True)
    assert_same(ours[0], unbounded[0])
    assert np.abs(ours[1][1] - unbounded[1][1]).max() > 1e-3


def test_outside_of_training_gradients_are_whole() -> None:
    inputs = random_inputs()
    bounded = layer_gradients(machine(state_clip_norm=1e-3), inputs, training=False)
    assert_same(bounded[1], layer_gradients(machine(), inputs, training=False)[1])


@pytest.mark.parametrize("clip_norm", [0, -1.0, float("inf"), float("nan"), True])
def test_a_bound_that_is_none(clip_norm: Any) -> None:
    with pytest.raises(ValueError, match="state_clip_norm must be None or a number above 0"):
        NeuralTuringMachine(UNITS, state_clip_norm=clip_norm)
