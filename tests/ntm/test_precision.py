"""Other types than float32: half precision around the machine, the machine in at least float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ntm import NeuralTuringMachine
from tests.ntm.backend import assert_same, cotangents, gradients, layer_gradients, numpy
from tests.ntm.machines import (
    BATCH,
    INPUTS,
    UNITS,
    as_reference,
    built,
    machine,
    random_inputs,
    random_mask,
    widths,
)

# Keras itself goes through float32 elsewhere: products on PyTorch, the hyperbolic tangent on JAX.
EQUATIONS = 1e-10 if keras.backend.backend() == "tensorflow" else 1e-6
POLICIES = ["mixed_bfloat16", "mixed_float16"]


@pytest.fixture
def float64() -> Iterator[None]:
    """JAX has it only where it is switched on."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def double(**arguments: Any) -> NeuralTuringMachine:
    """In float64, with weights that float32 holds: the reference reads them in it."""
    parts = [
        layers.LSTM(6, return_sequences=True, dtype=arguments.get("dtype")),
        layers.Dense(widths()[1], dtype=arguments.get("dtype")),
    ]
    layer = built(keras.Sequential(parts), return_sequences=True, **arguments)
    layer.set_weights([weight.astype("float32") for weight in layer.get_weights()])
    return layer


def assert_is_float64_throughout(layer: NeuralTuringMachine) -> None:
    """The same cell in a stock RNN to 1e-12, the equations, which have no floor, less closely."""
    assert {weight.dtype for weight in layer.weights} == {"float64"}
    inputs = np.random.default_rng(0).normal(size=(BATCH, 4, INPUTS))
    alone = as_reference(layer, "lstm")
    expected = [[state.output for state in alone.run(sequence)] for sequence in inputs]
    options = {"return_sequences": True, "unroll": layer.unroll, "dtype": layer.dtype_policy}
    stock = keras.layers.RNN(layer.cell, **options)
    found = [each(inputs, training=t) for each in (stock, layer) for t in (False, True)]
    assert {keras.backend.standardize_dtype(each.dtype) for each in found} == {"float64"}
    first, *others = (ops.convert_to_numpy(ops.stop_gradient(each)) for each in found)
    for outputs in others:
        np.testing.assert_allclose(outputs, first, rtol=0, atol=1e-12)
    for outputs in (first, layer.trace(inputs)["outputs"]):
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=EQUATIONS)


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.usefixtures("float64")
def test_float64_is_float64_throughout(unroll: bool) -> None:
    assert_is_float64_throughout(double(dtype="float64", unroll=unroll))


@pytest.mark.usefixtures("float64")
def test_float64_may_be_the_default_of_keras() -> None:
    keras.config.set_floatx("float64")
    # What a new process would make of it.
    keras.config.set_dtype_policy("float64")
    try:
        assert_is_float64_throughout(double())
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "dtype",
    [*(pytest.param(each, marks=pytest.mark.slow) for each in ("float64", "bfloat16")), "float16"],
)
def test_a_model_of_one_type_trains_and_loads(dtype: str, tmp_path: Path) -> None:
    layer = NeuralTuringMachine(UNITS, n_width=6, m_depth=4, dtype=dtype)
    model = keras.Sequential([keras.Input((None, INPUTS), dtype=dtype), layer])
    model.compile("sgd", "mse")
    losses = model.fit(random_inputs(), np.zeros((BATCH, UNITS)), epochs=3, verbose=0).history
    assert losses["loss"][-1] < losses["loss"][0]
    assert {weight.dtype for weight in layer.trainable_weights} == {dtype}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    outputs = loaded(random_inputs())
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    assert_same([outputs], [model(random_inputs())])


def machine_of(policy: str) -> NeuralTuringMachine:
    model = keras.Sequential(
        [
            layers.LSTM(6, return_sequences=True, dtype=policy),
            layers.Dense(widths(2)[1], dtype=policy),
        ]
    )
    return built(model, read_heads=2, dtype=policy, return_sequences=True, return_state=True)


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"]
)
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
