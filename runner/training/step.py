"""One training step, compiled with XLA and spread over cores or GPUs.

A batch is split into equal shards (`runner.training.sharding`). Everything is compiled once for a
padded shape; a batch of shorter sequences only loops less.
What is compiled depends on the configuration, not on the weights or the seed, so later runs of one
process take it over from earlier ones: a sweep over seeds compiles once, and its memory does not
grow with what TensorFlow never frees (docs/performance.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ntm import NeuralTuringMachine, Schedule
from runner.training.build import description, logits_model, optimizer_from
from runner.training.sharding import sums_over_shards, usable_shards

# How many steps the running mean of gradient norms remembers.
NORM_MEMORY = 100
# Normal numbers that the noise of every step is cut out of, at least, and at least so many times
# the weights.
NOISE_TABLE, TABLE_RATIO = 2**22, 8
# Parts of a sum over all weights, a multiple of what vector registers hold.
LANES = 128

# So many steps may be handed over before the result of one is there.
AHEAD = 2

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


@contextmanager
def async_dispatch() -> Iterator[None]:
    """Let this thread's steps be computed while Python prepares the next ones.

    What fails is raised where its result is read, or at a later step, and all that was handed over
    after it is dropped: variables then are as the last sound step left them.
    """
    tf.config.experimental.set_synchronous_execution(False)
    try:
        yield
        tf.config.experimental.set_synchronous_execution(True)
    except BaseException:
        # What fails may be on its way: an operation behind it waits for that, and fails with it.
        with suppress(tf.errors.OpError):
            tf.add(0.0, 0.0).numpy()
        # Until then everything else fails, too.
        tf.experimental.async_clear_error()
        tf.config.experimental.set_synchronous_execution(True)
        raise


class TrainingStep:
    """Gradient, clipping and update of one batch.

    The loss is the cross-entropy of a target bit, averaged over the bits that count in the batch.
    All trainable weights are one vector here, in the order of `model.trainable_variables`: a
    compiled call costs some 10 microseconds an array, more than such a small model's arithmetic.

    Args:
        model: a model from `runner.training.build.model_from`, which lends its first weights.
        optimizer: updates the vector of weights; must treat each weight alone, as Adam does.
        batch_size: sequences in every batch.
        shards: parts computed in parallel, None for what suits the machine (`usable_shards`).
        clip_norm: largest global norm of the gradient, None for no bound.
        clip_norm_ratio: largest global norm as a multiple of the running mean of the norms, None
            for no such bound. Once a task is learned its gradients are small, and so is what Adam
            divides by: a burst that an absolute bound lets through would undo everything.
        ema_decay: decay of the running average of the weights, None for none.
        quadratic_clip: divide a gradient that is r times as long as those bounds allow by r^2, not
            by r: one that has exploded then hardly moves the weights.
        weight_noise: standard deviation of the normal noise that is added to the weights for each
            gradient (Graves 2011, "Practical Variational Inference for Neural Networks"), None
            for none. Each step takes another part of one table of normal numbers, as Salimans et
            al. (2017, arXiv 1703.03864) do: to draw them anew takes longer than the update.
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
        self.model = logits_model(model)
        layers = self.model.layers
        self.machines = [layer for layer in layers if isinstance(layer, NeuralTuringMachine)]
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.clip_norm_ratio = clip_norm_ratio
        self.ema_decay = ema_decay
        self.quadratic_clip = quadratic_clip
        self.weight_noise = weight_noise
        self.loosening = math.log(state_clip_growth) / steps
        self.steps = steps
        self.seed = tf.Variable(seed, trainable=False, dtype=tf.int64, name="seed_of_noise")
        self.shards = usable_shards(batch_size, shards)
        self.shapes = [tuple(v.shape) for v in model.trainable_variables]
        self.weights = keras.Variable(_vector(model.trainable_variables), name="weights")
        optimizer.build([self.weights])
        self.mean_weights = None
        if ema_decay is not None:
            self.mean_weights = tf.Variable(self.weights.value, trainable=False, name="average")
        self.norm_mean = tf.Variable(0.0, trainable=False, name="gradient_norm_mean")
        if weight_noise is not None:
            size = max(NOISE_TABLE, TABLE_RATIO * self.weights.shape[0])
            self.noise = tf.Variable(tf.zeros([size]), trainable=False, name="noise")
            self._draw_noise()
        self._untrained = [tf.identity(v.value) for v in optimizer.variables]
        self.gradients = tf.function(self._gradients, jit_compile=True, autograph=False)
        self.update = tf.function(self._update, jit_compile=True, autograph=False)
        self.run = tf.function(self._run, autograph=False)
        self._runs: dict[Any, Callable[..., StepResult]] = {}

    @classmethod
    def from_config(cls, config: Any, model: keras.Model) -> TrainingStep:
        """The step that `config.trainer` and `config.optimizer` describe, from a model's weights.

        It is the same object as the one of an earlier run with the same settings, started again,
        so only one of them can be in use. It then has variables of its own, and `model` only lends
        their first values.
        """
        trainer = config.trainer
        settings = {
            "batch_size": trainer.batch_size,
            "shards": usable_shards(trainer.batch_size, trainer.shards),
            "clip_norm": trainer.clip_norm,
            "clip_norm_ratio": trainer.clip_norm_ratio,
            "ema_decay": trainer.ema_decay,
            "quadratic_clip": trainer.quadratic_clip,
            "weight_noise": trainer.weight_noise,
            "state_clip_growth": trainer.state_clip_growth,
            "steps": trainer.steps,
        }
        optimizer = optimizer_from(config)
        key = json.dumps([settings, keras.optimizers.serialize(optimizer), description(model)])
        step = _steps.get(key)
        if step is None:
            step = _steps[key] = cls(model, optimizer, **settings, seed=config.seed)
        else:
            step.restart(model, config.seed)
        return step

    def restart(self, model: keras.Model, seed: int) -> None:
        """Begin another training, with the weights of another model of the same architecture."""
        for variable, start in zip(
            self.model.non_trainable_variables, model.non_trainable_variables, strict=True
        ):
            variable.assign(start.value)
        self.weights.assign(_vector(model.trainable_variables))
        for variable, value in zip(self.optimizer.variables, self._untrained, strict=True):
            variable.assign(value)
        if self.mean_weights is not None:
            self.mean_weights.assign(self.weights.value)
        self.norm_mean.assign(0.0)
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Take the noise on the weights from another seed."""
        self.seed.assign(seed)
        if self.weight_noise is not None:
            self._draw_noise()

    def _draw_noise(self) -> None:
        seed = tf.stack([self.seed, 0])
        self.noise.assign(self.weight_noise * tf.random.stateless_normal(self.noise.shape, seed))

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
        average = [] if self.mean_weights is None else [self.mean_weights]
        return [
            self.weights,
            *self.model.non_trainable_variables,
            *self.optimizer.variables,
            *average,
            self.norm_mean,
        ]

    @property
    def evaluated_weights(self) -> list[tf.Tensor]:
        """The trainable weights to evaluate and save: their average, if there is one."""
        return self.separate(
            self.weights.value if self.mean_weights is None else self.mean_weights.value()
        )

    def separate(self, vector: Any) -> list[tf.Tensor]:
        """A vector of all weights as the arrays of `model.trainable_variables`."""
        parts = tf.split(vector, [math.prod(shape) for shape in self.shapes])
        return [tf.reshape(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _run(self, inputs: Any, targets: Any, weights: Any, mask: Any) -> StepResult:
        constants = [tf.identity(v.value) for v in self.model.non_trainable_variables]
        updates = self.optimizer.iterations.value
        at = self.noisy(self.weights.value, updates)
        schedule = self.schedule(updates)
        sums, (gradient,), constants = sums_over_shards(
            lambda *shard: self.gradients(at, constants, schedule, *shard),
            (inputs, targets, weights, mask),
            self.shards,
        )
        loss, errors, bits = sums
        norm, skipped = self.update(gradient, bits)
        for variable, value in zip(self.model.non_trainable_variables, constants, strict=True):
            variable.assign(value)
        sequences = tf.cast(tf.shape(inputs)[0], tf.float32)
        return StepResult(loss / sequences / tf.math.log(2.0), errors / sequences, norm, skipped)

    def schedule(self, updates: Any) -> Schedule:
        """How far the training is after so many updates, scalars on the device."""
        updates = tf.cast(updates, tf.float32)
        return Schedule(tf.exp(self.loosening * updates), tf.minimum(updates / self.steps, 1.0))

    def noisy(self, weights: Any, updates: Any) -> Any:
        """The weights at which the gradient is taken after so many updates, for all shards."""
        weights = tf.identity(weights)
        if self.weight_noise is None:
            return weights
        seed = tf.stack([self.seed, 1 + tf.cast(updates, tf.int64)])
        count = weights.shape[0]
        most = self.noise.shape[0] - count
        start = tf.random.stateless_uniform([], seed, maxval=most, dtype=tf.int32)
        return weights + tf.slice(self.noise, [start], [count])

    def _gradients(
        self,
        at: Any,
        constants: Any,
        schedule: Schedule,
        inputs: Any,
        targets: Any,
        weights: Any,
        mask: Any,
    ) -> tuple[Any, ...]:
        """Sums over a shard of loss (nats), wrong bits and bits; `[gradient]`; the rest.

        at: the vector of weights at which the gradient of the loss is taken.
        """
        trainable = self.separate(at)
        with ExitStack() as stack:
            for layer in self.machines:
                stack.enter_context(layer.scheduled(schedule))
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
        return sums, [_vector(gradient)], constants

    def _update(self, gradient: Any, bits: Any) -> tuple[Any, Any]:
        """Clip, update unless the gradient is out of bounds, and average. `(norm, skipped)`."""
        gradient = gradient / bits
        norm = _norm(gradient)
        sound = tf.math.is_finite(norm)
        bound = self._bound(norm)
        scale = tf.minimum(1.0, bound / (norm + 1e-12))
        scale = scale * scale if self.quadratic_clip else scale
        variables = [
            v.value
            for v in (self.weights, *self.optimizer.variables)
            if v is not self.optimizer.iterations
        ]
        before = [tf.identity(variable) for variable in variables]
        self.optimizer.apply([gradient * scale], [self.weights])
        for variable, old in zip(variables, before, strict=True):
            variable.assign(tf.where(sound, variable, old))
        self._follow(tf.where(sound, norm * scale, self.norm_mean))
        return norm, 1.0 - tf.cast(sound, tf.float32)

    def _bound(self, norm: Any) -> Any:
        """The largest norm that this gradient may have."""
        bound = norm if self.clip_norm is None else tf.constant(self.clip_norm)
        if self.clip_norm_ratio is None:
            return bound
        relative = self.clip_norm_ratio * self.norm_mean
        return tf.where(self.norm_mean > 0, tf.minimum(bound, relative), bound)

    def _follow(self, norm: Any) -> None:
        """Update the running means of the clipped gradient's norm and of the weights."""
        step = tf.cast(self.optimizer.iterations.value, tf.float32)
        decay = tf.minimum(1.0 - 1.0 / NORM_MEMORY, (step - 1.0) / step)
        self.norm_mean.assign(decay * self.norm_mean + (1.0 - decay) * norm)
        if self.mean_weights is None:
            return
        # Starts as a plain mean, so that the initial weights are soon forgotten.
        decay = tf.minimum(self.ema_decay, step / (step + 10.0))
        mean = decay * self.mean_weights + (1.0 - decay) * self.weights.value
        self.mean_weights.assign(mean)


def _vector(arrays: Sequence[Any]) -> tf.Tensor:
    """All numbers of some arrays or variables, one after another."""
    return tf.concat([tf.reshape(tf.convert_to_tensor(array), [-1]) for array in arrays], axis=0)


def _norm(vector: Any) -> Any:
    """The Euclidean norm, summed in `LANES` parts: one sum would go through it one by one."""
    squares = tf.pad(tf.square(vector), [[0, -vector.shape[0] % LANES]])
    return tf.sqrt(tf.reduce_sum(tf.reduce_sum(tf.reshape(squares, (-1, LANES)), axis=0)))
