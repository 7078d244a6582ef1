"""What differs between TensorFlow, JAX and PyTorch in a test: gradients, and arrays back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()


def numpy(value: Any) -> np.ndarray:
    """A tensor as a NumPy array of its own, half precision as float32."""
    value = ops.cast(value, "float32")
    if BACKEND == "torch":
        value = value.detach()
    return np.array(value if BACKEND == "jax" else value.numpy())


def evaluate(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """A function of float32 tensors, on arrays."""
    if BACKEND == "jax":
        function = _jit(function)
    return numpy(function(*[_tensor(array) for array in arrays]))


def _tensor(array: np.ndarray) -> Any:
    return ops.convert_to_tensor(np.ascontiguousarray(array, "float32"))


def flat(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def cotangents(outputs: Sequence[Any]) -> list[np.ndarray]:
    """Fixed random weights, so that a sum over the outputs sees every entry on its own."""
    rng = np.random.default_rng(7)
    return [rng.normal(size=tuple(output.shape)).astype("float32") for output in outputs]


def gradients(
    function: Callable[..., Any], *arrays: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """`(outputs, gradients)` of a randomly weighted sum of a function's outputs by its arrays."""
    outputs, grads = _gradient_of(_loss(function), [_tensor(array) for array in arrays])
    return [numpy(output) for output in outputs], [numpy(grad) for grad in grads]


@functools.cache
def _loss(function: Callable[..., Any]) -> Callable[..., Any]:
    def loss(*tensors: Any) -> tuple[Any, list[Any]]:
        outputs = flat(function(*tensors))
        weighted = [
            ops.sum(ops.cast(output, "float32") * ops.convert_to_tensor(weights))
            for output, weights in zip(outputs, cotangents(outputs), strict=True)
        ]
        return sum(weighted), outputs

    return loss


def layer_gradients(
    layer: Any, inputs: np.ndarray, **arguments: Any
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """As `gradients`, by the inputs and all trainable weights of a built layer."""

    if "mask" in arguments:
        arguments["mask"] = ops.convert_to_tensor(arguments["mask"])

    def function(inputs: Any, *weights: Any) -> Any:
        constants = [variable.value for variable in layer.non_trainable_variables]
        return layer.stateless_call(list(weights), constants, inputs, **arguments)[0]

    return gradients(function, inputs, *(numpy(v.value) for v in layer.trainable_variables))


def _gradient_of(loss: Callable[..., Any], tensors: list[Any]) -> tuple[list[Any], list[Any]]:
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total, outputs = loss(*tensors)
        zero = tf.UnconnectedGradients.ZERO
        return outputs, tape.gradient(total, tensors, unconnected_gradients=zero)
    if BACKEND == "jax":
        grads, outputs = _jit_gradient(loss, len(tensors))(*tensors)
        return outputs, list(grads)
    import torch

    tensors = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    total, outputs = loss(*tensors)
    grads = torch.autograd.grad(total, tensors, allow_unused=True)
    return [output.detach() for output in outputs], [
        torch.zeros_like(tensor) if grad is None else grad
        for tensor, grad in zip(tensors, grads, strict=True)
    ]


@functools.cache
def _jit(function: Callable[..., Any]) -> Any:
    import jax

    return jax.jit(function)


@functools.cache
def _jit_gradient(loss: Callable[..., Any], count: int) -> Any:
    import jax

    return jax.jit(jax.grad(loss, argnums=tuple(range(count)), has_aux=True))


def assert_same(actual: Sequence[Any], expected: Sequence[Any], relative: float = 1e-5) -> None:
    """Arrays equal up to `relative` of the largest entry of each."""
    assert len(actual) == len(expected)
    for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
        one, other = numpy(one), numpy(other)
        assert one.shape == other.shape, (index, one.shape, other.shape)
        scale = max(float(np.max(np.abs(other), initial=0)), 1e-6)
        np.testing.assert_allclose(one, other, rtol=0, atol=relative * scale, err_msg=str(index))
