"""One training step, compiled with XLA and spread over cores or GPUs.

A batch is split into equal shards (`runner.training.sharding`). Everything is compiled once for a
padded shape; a batch of shorter sequences only loops less.
What is compiled depends on neither weights nor seed nor what is a number to it
(`runner.training.numbers`), so later runs of one process take it over from earlier ones: a sweep
over learning rates compiles once, and its memory does not grow with what TensorFlow never frees
(docs/performance.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from runner.training import numbers
from runner.training.average import Average
from runner.training.build import (
    logits_model,
    optimizer_from,
    plain,
    schedule_of,
    structure,
)
from runner.training.clipping import Clipping, norm_of
from runner.training.gradient import Gradient, vector_of
from runner.training.sharding import sums_over_shards, usable_shards
from runner.training.weight_noise import WeightNoise

# Settings of a step that are numbers to it; None for what there is not.
OPTIONAL = ("clip_norm", "clip_norm_ratio", "ema_decay", "weight_noise")
ALWAYS = ("state_clip_growth", "steps")

# What earlier runs of this process have compiled, by a description of it.
_steps: dict[str, TrainingStep] = {}


class StepResult(NamedTuple):
    """What one training step says of its batch, scalars on the device.

    loss_bits: cross-entropy in bits a sequence. bit_errors: wrong bits a sequence. Both are of
    the weights at which the gradient is taken, noise included. gradient_norm: global norm before
    clipping. skipped: 1 if the update was not made.
    """

    loss_bits: tf.Tensor
    bit_errors: tf.Tensor
    gradient_norm: tf.Tensor
    skipped: tf.Tensor

    def numbers(self) -> list[float]:
        """Its values, which waits for the device."""
        return [float(value) for value in self]


class TrainingStep:
    """Gradient, clipping and update of one batch.

    The loss is the cross-entropy of a target bit, averaged over the bits that count in the batch.

    Args:
        model: a model from `runner.training.build.model_from`, which lends its first weights.
        optimizer: updates the vector of weights; must treat each weight alone, as Adam does.
        batch_size: sequences in every batch.
        shards: parts computed in parallel, None for what suits the machine (`usable_shards`).
        clip_norm: largest global norm of the gradient, None for no bound.
        clip_norm_ratio: largest global norm as a multiple of the running mean of the norms, None
            for no such bound.
        ema_decay: decay of the running average of the weights, None for none.
        quadratic_clip: as in `Clipping`.
        weight_noise: standard deviation of the normal noise that is added to the weights for each
            gradient, None for none.
        state_clip_growth: by how much `state_clip_norm` of the model's layers has grown, step by
            step by the same factor, after `steps` updates. A tight bound keeps a machine that has
            learned nothing yet from losing itself, and one that has from learning more.
        steps: of the whole training, over which `Perturbation.memory_clutter` grows from nothing to
            all of it: a machine is not kept from learning the task, and learns to tell rows apart
            afterwards.
        seed: of that noise.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
        shards: int | None = None,
        clip_norm: float | None = None,
        clip_norm_ratio: float | None = None,
        ema_decay: float | None = None,
        quadratic_clip: bool = False,
        weight_noise: float | None = None,
        state_clip_growth: float = 1.0,
        steps: int = 1,
        seed: int = 0,
    ) -> None:
        self.optimizer = optimizer
        self.shards = usable_shards(batch_size, shards)
        settings = {
            "clip_norm": clip_norm,
            "clip_norm_ratio": clip_norm_ratio,
            "ema_decay": ema_decay,
        }
        values = _numbers(optimizer, state_clip_growth, steps, **settings)
        self.names = tuple(values)
        self.numbers = tf.Variable(numbers.vector_of(values), trainable=False, name="numbers")
        of_machines = numbers.vector_of(numbers.of_machines(model))
        self.machine_numbers = tf.Variable(of_machines, trainable=False, name="machine_numbers")
        self.clipping = Clipping(quadratic_clip)
        self.gradient = Gradient.of(model)
        self.gradients = self.gradient.compiled
        self.model = logits_model(model)
        self.weights = keras.Variable(vector_of(model.trainable_variables), name="weights")
        optimizer.build([self.weights])
        self._untrained = [tf.identity(v.value) for v in optimizer.variables]
        self.average = None if ema_decay is None else Average(self.weights.value)
        self.noise = None
        if weight_noise is not None:
            self.noise = WeightNoise(self.weights.shape[0], weight_noise, seed)
        self.update = tf.function(self._update, jit_compile=True, autograph=False)
        self.run = tf.function(self._run, autograph=False)
        self._runs: dict[Any, Callable[..., StepResult]] = {}

    @classmethod
    def from_config(cls, config: Any, model: keras.Model) -> TrainingStep:
        """The step that `config.trainer` and `config.optimizer` describe, from a model's weights.

        It is the same object as the one of an earlier run with the same program, started again,
        so only one of them can be in use. It then has variables of its own, and `model` only lends
        their first values.
        """
        trainer = config.trainer
        program = {
            "batch_size": trainer.batch_size,
            "shards": usable_shards(trainer.batch_size, trainer.shards),
            "quadratic_clip": trainer.quadratic_clip,
        }
        settings = {name: trainer[name] for name in (*OPTIONAL, *ALWAYS)}
        given = [name for name in OPTIONAL if settings[name] is not None]
        update = {k: v for k, v in plain(config.optimizer).items() if k != "learning_rate"}
        key = json.dumps([program, given, update, structure(model)])
        optimizer = optimizer_from(config)
        step = _steps.get(key)
        if step is None:
            step = _steps[key] = cls(model, optimizer, **program, **settings, seed=config.seed)
        else:
            step._take(model, optimizer, **settings)
            step.restart(model, config.seed)
        return step

    def _take(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        weight_noise: float | None,
        **settings: Any,
    ) -> None:
        """Take over the numbers of another run's configuration."""
        self.numbers.assign(numbers.vector_of(_numbers(optimizer, **settings)))
        self.machine_numbers.assign(numbers.vector_of(numbers.of_machines(model)))
        if self.noise is not None and weight_noise is not None:
            self.noise.deviation = weight_noise
        optimizer.build([self.weights])
        self._untrained = [tf.identity(v.value) for v in optimizer.variables]
        schedule, other = schedule_of(self.optimizer), schedule_of(optimizer)
        if schedule and other:
            schedule.take(other.rate, other.inverse_steps)

    def restart(self, model: keras.Model, seed: int) -> None:
        """Begin another training, with the weights of another model of the same architecture."""
        for variable, start in zip(
            self.model.non_trainable_variables, model.non_trainable_variables, strict=True
        ):
            variable.assign(start.value)
        self.weights.assign(vector_of(model.trainable_variables))
        for variable, value in zip(self.optimizer.variables, self._untrained, strict=True):
            variable.assign(value)
        if self.average is not None:
            self.average.variable.assign(self.weights.value)
        self.clipping.norm_mean.assign(0.0)
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Take the noise on the weights from another seed."""
        if self.noise is not None:
            self.noise.draw(self.noise.deviation, seed)

    def on_device(self, batch: Sequence[Any]) -> tuple[tf.Tensor, ...]:
        """What `__call__` takes of a `tasks.Batch`, as tensors; from any thread."""
        return tuple(tf.convert_to_tensor(array) for array in batch[:4])

    def __call__(self, inputs: Any, targets: Any, weights: Any, mask: Any) -> StepResult:
        """Train on one batch: (B, T, input_dim), twice (B, T, output_dim), and (B, T) bool."""
        batch = self.on_device((inputs, targets, weights, mask))
        # Looking the function up by itself takes TensorFlow 0.13 ms a call.
        shapes = tuple(array.shape for array in batch)
        if shapes not in self._runs:
            self._runs[shapes] = self.run.get_concrete_function(*batch)
        return self._runs[shapes](*batch)

    @property
    def variables(self) -> list[Any]:
        """Everything that changes in training, in a stable order: what a checkpoint holds."""
        average = [] if self.average is None else [self.average.variable]
        return [
            self.weights,
            *self.model.non_trainable_variables,
            *self.optimizer.variables,
            *average,
            self.clipping.norm_mean,
        ]

    @property
    def lasting(self) -> list[Any]:
        """Of `variables` those that `settle` goes on from, once they are what they were before.

        AMSGrad's largest second moments so far are not: what undid a task would undo it again.
        """
        weights = self.weights if self.average is None else self.average.variable
        slots = [v for v in self.optimizer.variables if v is not self.optimizer.iterations]
        kept = [v for v in slots if not _is_momentum(v) and not _is_largest(v)]
        return [weights, *kept, self.clipping.norm_mean]

    def settle(self) -> None:
        """Go on from the average of the weights, if there is one, and without momentum."""
        if self.average is not None:
            self.weights.assign(self.average.variable)
        for variable in filter(_is_momentum, self.optimizer.variables):
            variable.assign(tf.zeros_like(variable.value))

    @property
    def evaluated_weights(self) -> list[tf.Tensor]:
        """The trainable weights to evaluate and save: their average, if there is one."""
        return self.separate(
            self.weights.value if self.average is None else self.average.variable.value()
        )

    def separate(self, vector: Any) -> list[tf.Tensor]:
        """A vector of all weights as the arrays of `model.trainable_variables`."""
        return self.gradient.separate(vector)

    def noisy(self, weights: Any, updates: Any) -> Any:
        """The weights at which the gradient is taken after so many updates, for all shards."""
        weights = tf.identity(weights)
        return weights if self.noise is None else weights + self.noise.after(updates)

    def scalars(self, updates: Any) -> tf.Tensor:
        """The numbers that the gradient takes after so many updates, as `Gradient` names them."""
        updates = tf.cast(updates, tf.float32)
        named = numbers.named(self.names, self.numbers)
        scales = [
            tf.exp(named["state_clip_growth"] * updates),
            tf.minimum(updates * named["inverse_steps"], 1.0),
        ]
        return tf.concat([self.machine_numbers, tf.stack(scales)], axis=0)

    def _run(self, inputs: Any, targets: Any, weights: Any, mask: Any) -> StepResult:
        constants = [tf.identity(v.value) for v in self.model.non_trainable_variables]
        updates = self.optimizer.iterations.value
        at = self.noisy(self.weights.value, updates)
        scalars = self.scalars(updates)
        sums, (gradient,), constants = sums_over_shards(
            lambda *shard: self.gradients(at, constants, scalars, *shard),
            (inputs, targets, weights, mask),
            self.shards,
        )
        loss, errors, bits = sums
        norm, skipped = self.update(gradient, bits)
        for variable, value in zip(self.model.non_trainable_variables, constants, strict=True):
            variable.assign(value)
        sequences = tf.cast(tf.shape(inputs)[0], tf.float32)
        return StepResult(loss / sequences / tf.math.log(2.0), errors / sequences, norm, skipped)

    def _update(self, gradient: Any, bits: Any) -> tuple[Any, Any]:
        """Clip, update unless the gradient is out of bounds, and average. `(norm, skipped)`."""
        named = numbers.named(self.names, self.numbers)
        gradient = gradient / bits
        norm = norm_of(gradient)
        sound = tf.math.is_finite(norm)
        scale = self.clipping.scale(norm, named)
        variables = [
            v.value
            for v in (self.weights, *self.optimizer.variables)
            if v is not self.optimizer.iterations
        ]
        before = [tf.identity(variable) for variable in variables]
        schedule = schedule_of(self.optimizer)
        taken = (named["learning_rate"], named["inverse_steps"])
        with schedule.taking(*taken) if schedule else nullcontext():
            self.optimizer.apply([gradient * scale], [self.weights])
        for variable, old in zip(variables, before, strict=True):
            variable.assign(tf.where(sound, variable, old))
        updates = tf.cast(self.optimizer.iterations.value, tf.float32)
        self.clipping.follow(tf.where(sound, norm * scale, self.clipping.norm_mean), updates)
        if self.average is not None:
            self.average.follow(self.weights.value, named["ema_decay"], updates)
        return norm, 1.0 - tf.cast(sound, tf.float32)


def _is_momentum(variable: keras.Variable) -> bool:
    return str(variable.name).endswith("momentum")


def _is_largest(variable: keras.Variable) -> bool:
    return str(variable.name).endswith("velocity_hat")


def _numbers(
    optimizer: keras.optimizers.Optimizer,
    state_clip_growth: float,
    steps: int,
    **optional: float | None,
) -> dict[str, float]:
    """All that is a number to the compiled update.

    Of the steps the inverse: a division by a constant is such a product to XLA, to the last bit.
    """
    schedule = schedule_of(optimizer)
    return {
        **{name: value for name, value in optional.items() if value is not None},
        "learning_rate": schedule.rate if schedule else 0.0,  # else a variable of the optimizer
        "state_clip_growth": math.log(state_clip_growth) / steps,
        "inverse_steps": float(1 / np.float32(steps)),
    }
