"""Mixed precision: half precision around the machine, the machine in float32."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ntm import NeuralTuringMachine
from tests.ntm.backend import assert_same, cotangents, gradients, layer_gradients, numpy
from tests.ntm.machines import INPUTS, UNITS, built, machine, random_inputs, random_mask, widths

POLICIES = ["mixed_bfloat16", "mixed_float16"]


def machine_of(policy: str) -> NeuralTuringMachine:
    model = keras.Sequential(
        [
            layers.LSTM(6, return_sequences=True, dtype=policy),
            layers.Dense(widths(2)[1], dtype=policy),
        ]
    )
    return built(model, read_heads=2, dtype=policy, return_sequences=True, return_state=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_outputs_and_gradients_are_close_to_those_of_float32(policy: str) -> None:
    inputs, mask = random_inputs(), random_mask()
    half, full = (machine_of(dtype) for dtype in (policy, "float32"))
    outputs, actual = layer_gradients(half, inputs, mask=mask, training=True)
    expected_outputs, expected = layer_gradients(full, inputs, mask=mask, training=True)
    assert_same(outputs, expected_outputs, relative=0.05)
    assert_same(actual, expected, relative=0.1)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_machine_is_kept_in_float32(policy: str) -> None:
    """Weightings of half precision would not sum to one, and its memory would not grow slowly."""
    layer = machine("dense", dtype=policy)
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    assert keras.backend.standardize_dtype(layer(random_inputs()).dtype) == layer.compute_dtype
    traced = layer.trace(random_inputs(steps=20))
    np.testing.assert_allclose(traced["read_weights"].sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(traced["write_weights"].sum(-1), 1, atol=1e-5)


def test_gradients_are_summed_over_time_in_full_precision() -> None:
    """Of a bias that every step adds: half precision would not see a 0.4 beside a 256."""
    layer = built(
        layers.Dense(widths()[1]),
        dtype="mixed_bfloat16",
        read_to_output=False,
        return_sequences=True,
    )
    # A call of the model, not of the layer alone, is what casts the weights.
    model = keras.Sequential([keras.Input((None, INPUTS)), layer])
    kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights())
    counts = np.array([0.4] * 11 + [256], "float32")[None, :, None]

    def counted(bias: Any) -> Any:
        weights = [ops.convert_to_tensor(kernel), bias]
        outputs, _ = model.stateless_call(weights, [], random_inputs(1, 12), training=True)
        return ops.sum(ops.cast(outputs, "float32") * ops.convert_to_tensor(counts))

    (_,), (gradient,) = gradients(counted, bias)
    (cotangent,) = cotangents([np.zeros(())])
    np.testing.assert_allclose(gradient[:UNITS] / cotangent, counts.sum(), rtol=0.006)


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"]
)
def test_training_steps_are_finite(policy: str) -> None:
    model = keras.Sequential([keras.Input((None, INPUTS)), machine("lstm", dtype=policy)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    inputs, targets = random_inputs(), np.zeros((5, UNITS), "float32")
    losses = model.fit(inputs, targets, epochs=3, verbose=0, batch_size=5).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert all(np.isfinite(numpy(weight.value)).all() for weight in model.weights)
