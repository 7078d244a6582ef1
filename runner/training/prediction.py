"""Probabilities of a model, compiled with XLA and spread over cores or GPUs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from runner.training import numbers
from runner.training.build import structure
from runner.training.sharding import each_shard, usable_shards

# What earlier runs of this process have compiled, by a description of it.
_probabilities: dict[str, _Probabilities] = {}


class Predictor:
    """Probabilities of a model, compiled once for a padded shape.

    Args:
        model: a model from `runner.training.build.model_from`.
        batch_size: sequences in every call.
        shards: parts computed in parallel, None for what suits the machine (`usable_shards`).
    """

    def __init__(self, model: keras.Model, batch_size: int, shards: int | None = None) -> None:
        self.model = model
        self.batch_size = batch_size
        self.shards = usable_shards(batch_size, shards)
        key = json.dumps([self.shards, structure(model)])
        if key not in _probabilities:
            _probabilities[key] = _Probabilities(model, self.shards)
        self.probabilities = _probabilities[key]
        self.numbers = numbers.vector_of(numbers.of_machines(model))

    def __call__(self, inputs: Any, mask: Any, trainable: Sequence[Any] | None = None) -> Any:
        """Probabilities (B, T, output_dim), NumPy, of (B, T, input_dim) with mask (B, T).

        trainable: weights to use in place of the model's own.
        """
        weights, constants = _values(self.model)
        if trainable:
            weights = [tf.convert_to_tensor(weight) for weight in trainable]
        return np.asarray(self.probabilities.run(weights, constants, self.numbers, inputs, mask))


class _Probabilities:
    """The functions behind `Predictor`, of a model's structure but of no weights."""

    def __init__(self, model: keras.Model, shards: int) -> None:
        self.model = model
        self.names = [*numbers.of_machines(model)]
        self.shards = shards
        self.compiled = tf.function(self._compiled, jit_compile=True, autograph=False)
        self.run = tf.function(self._run, autograph=False)

    def _run(self, weights: Any, constants: Any, scalars: Any, inputs: Any, mask: Any) -> Any:
        parts = each_shard(
            lambda *shard: self.compiled(weights, constants, scalars, *shard),
            (inputs, mask),
            self.shards,
        )
        return tf.concat(parts, axis=0)

    def _compiled(self, weights: Any, constants: Any, scalars: Any, inputs: Any, mask: Any) -> Any:
        with numbers.in_machines(self.model, numbers.named(self.names, scalars)):
            outputs, _ = self.model.stateless_call(
                weights, constants, inputs, mask=mask, training=False
            )
        return outputs


def _values(model: keras.Model) -> tuple[list[Any], list[Any]]:
    trainable = [tf.identity(v.value) for v in model.trainable_variables]
    return trainable, [tf.identity(v.value) for v in model.non_trainable_variables]
