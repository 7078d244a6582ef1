"""The gradient of the loss of a shard, at one vector of all weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from runner.training import numbers
from runner.training.build import logits_model, structure

# Of `ntm.Schedule`, behind the machines' numbers in the vector that a gradient takes.
SCALES = ("clip_scale", "clutter_scale")

# What earlier runs of this process have compiled, by the structure of the model.
_gradients: dict[str, Gradient] = {}


class Gradient:
    """Loss and gradient of a model whose trainable weights are one vector, compiled with XLA.

    That is in the order of `model.trainable_variables`: a compiled call costs some 10 microseconds
    an array, more than such a small model's arithmetic.

    Args:
        model: a model from `runner.training.build.model_from`; only its structure matters.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = logits_model(model)
        self.names = (*numbers.of_machines(self.model), *SCALES)
        self.shapes = [tuple(v.shape) for v in model.trainable_variables]
        self.compiled = tf.function(self._sums, jit_compile=True, autograph=False)

    @classmethod
    def of(cls, model: keras.Model) -> Gradient:
        """The same object for all models of one structure, so that it compiles once."""
        key = structure(model)
        if key not in _gradients:
            _gradients[key] = cls(model)
        return _gradients[key]

    def separate(self, vector: Any) -> list[tf.Tensor]:
        """A vector of all weights as the arrays of `model.trainable_variables`."""
        parts = tf.split(vector, [math.prod(shape) for shape in self.shapes])
        return [tf.reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _sums(
        self,
        at: Any,
        constants: Any,
        scalars: Any,
        inputs: Any,
        targets: Any,
        weights: Any,
        mask: Any,
    ) -> tuple[Any, ...]:
        """Sums over a shard of loss (nats), wrong bits and bits; `[gradient]`; the rest.

        at: the vector of weights at which the gradient of the loss is taken.
        constants: the model's other weights.
        scalars: the numbers in `names`.
        """
        trainable = self.separate(at)
        named = numbers.named(self.names, scalars)
        scales = {name: named.pop(name) for name in SCALES}
        with numbers.in_machines(self.model, named, **scales):
            with tf.GradientTape() as tape:
                tape.watch(trainable)
                logits, constants = self.model.stateless_call(
                    trainable, constants, inputs, mask=mask, training=True
                )
                logits = tf.cast(logits, tf.float32)
                costs = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
                loss = tf.reduce_sum(costs * weights)
            gradient = tape.gradient(loss, trainable)
        wrong = tf.cast((logits > 0) != (targets > 0.5), tf.float32)
        sums = (loss, tf.reduce_sum(wrong * weights), tf.reduce_sum(weights))
        return sums, [vector_of(gradient)], constants


def vector_of(arrays: Sequence[Any]) -> tf.Tensor:
    """All numbers of some arrays or variables, one after another."""
    return tf.concat([tf.reshape(tf.convert_to_tensor(array), [-1]) for array in arrays], axis=0)
