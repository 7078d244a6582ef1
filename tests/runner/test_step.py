"""One training step: shards, clipping, averaging, and what it does with bad numbers."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import DictConfig

import runner.training.gradient
import runner.training.step
from runner.config.schema import task_from
from runner.training import build, data
from runner.training.prediction import Predictor
from runner.training.step import TrainingStep
from tasks import Batch, Task

from .conftest import Compose

TINY = (
    "task.max_length=3",
    "ntm.n_width=8",
    "ntm.m_depth=4",
    "controller=double_dense",
    "controller.units=6",
    "ntm.perturbation.memory_noise=0",  # which shards draw each for themselves
    "ntm.perturbation.memory_clutter=0",
    "ntm.perturbation.read_noise=0",
    "ntm.perturbation.weighting_leak=0",
    "ntm.perturbation.weighting_drift=0",
)
BATCH = 4
# What a compiled program would say if it left the device before its end.
HOST = r"\b(?:infeed|outfeed|send|recv)\b|callback|host_compute"


@pytest.fixture(scope="module")
def config(composed: Compose) -> DictConfig:
    return composed(*TINY)


@pytest.fixture(scope="module")
def task(config: DictConfig) -> Task:
    return task_from(config)


@pytest.fixture(scope="module")
def batches(task: Task) -> list[Batch]:
    return [data.training_batch(task, 0, number, BATCH) for number in range(4)]


def made(config: DictConfig, task: Task, **settings: object) -> TrainingStep:
    """A training step whose update is the negative gradient, so that weights show what it did."""
    model = build.model_from(config, task)
    optimizer = keras.optimizers.SGD(1.0)
    return TrainingStep(model, optimizer, BATCH, **{"shards": 1, **settings})  # type: ignore[arg-type]


def weights(step: TrainingStep) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(step.weights))


@pytest.mark.slow
def test_shards_train_like_the_whole_batch(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    whole, halves = made(config, task), made(config, task, shards=2)
    results = [step(*batches[0][:4]) for step in (whole, halves)]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
    np.testing.assert_allclose(weights(whole), weights(halves), rtol=1e-4, atol=1e-6)


def test_it_reports_what_the_task_scores(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    step = made(config, task)
    probabilities = Predictor(build.model_from(config, task), BATCH, 1)(
        batches[0].inputs, batches[0].mask
    )
    scores = task.score(batches[0], probabilities)
    result = step(*batches[0][:4])
    assert float(result.loss_bits) == pytest.approx(scores["loss_bits"].mean(), rel=1e-4)
    assert float(result.bit_errors) == pytest.approx(scores["bit_errors"].mean())


def test_the_loss_is_a_mean_over_the_bits_that_count(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    once, twice = made(config, task), made(config, task)
    once(*batches[0][:4])
    batch = batches[0]
    twice(batch.inputs, batch.targets, 2 * batch.loss_mask, batch.mask)
    np.testing.assert_allclose(weights(once), weights(twice), rtol=1e-4, atol=1e-6)


def test_one_vector_holds_all_weights(config: DictConfig, task: Task, batches: list[Batch]) -> None:
    """In the model's order; the update is the loss's gradient at the model's own weights."""
    step = made(config, task)
    model = build.logits_model(build.model_from(config, task))
    for part, weight in zip(step.separate(step.weights.value), model.get_weights(), strict=True):
        np.testing.assert_array_equal(part, weight)
    batch = batches[0]
    own = [v.value for v in model.trainable_variables]
    constants = [v.value for v in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        logits, _ = model.stateless_call(
            own, constants, [batch.inputs], mask=[batch.mask], training=True
        )
        costs = tf.nn.sigmoid_cross_entropy_with_logits(batch.targets, logits)
        loss = tf.reduce_sum(costs * batch.loss_mask) / batch.loss_mask.sum()
    expected = tape.gradient(loss, own)
    before = weights(step)
    step(*step.on_device(batch))
    for part, gradient in zip(step.separate(before - weights(step)), expected, strict=True):
        np.testing.assert_allclose(part, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"clip_norm": 1e-3}, {"clip_norm": 5.0, "clip_norm_ratio": 0.5}]
)
def test_an_update_is_no_longer_than_its_bound(
    config: DictConfig, task: Task, batches: list[Batch], settings: dict[str, float]
) -> None:
    step = made(config, task, **settings)
    usual = 2e-3
    step.clipping.norm_mean.assign(usual)
    before = weights(step)
    norm = float(step(*batches[0][:4]).gradient_norm)
    bound = min(settings["clip_norm"], settings.get("clip_norm_ratio", np.inf) * usual)
    assert norm > bound
    assert np.linalg.norm(weights(step) - before) == pytest.approx(bound, rel=1e-3)


def test_a_longer_gradient_fades(config: DictConfig, task: Task, batches: list[Batch]) -> None:
    step = made(config, task, clip_norm=1e-3, quadratic_clip=True)
    before = weights(step)
    norm = float(step(*batches[0][:4]).gradient_norm)
    # Its length, divided by the square of how many times the bound it is.
    expected = norm / (norm / 1e-3) ** 2
    assert expected < 1e-3
    assert np.linalg.norm(weights(step) - before) == pytest.approx(expected, rel=1e-3)
    assert float(step.clipping.norm_mean) == pytest.approx(expected, rel=1e-3)


def test_a_gradient_within_its_bound_does_not_fade(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    step = made(config, task, clip_norm=1e3, quadratic_clip=True)
    before = weights(step)
    norm = float(step(*batches[0][:4]).gradient_norm)
    assert np.linalg.norm(weights(step) - before) == pytest.approx(norm, rel=1e-3)


@pytest.mark.slow
def test_the_bound_on_gradients_of_states_grows(
    composed: Compose, task: Task, batches: list[Batch]
) -> None:
    """By the square root of the factor in each of two steps."""
    bounds = [1e-4, 1e-3, 1e-2]
    first, *others = (composed(*TINY, f"ntm.state_clip_norm={bound}") for bound in bounds)
    step = made(first, task, state_clip_growth=100.0, steps=2)
    traced = step.gradients.experimental_get_tracing_count()
    found = []
    for config, batch in zip((first, *others), batches, strict=False):
        fixed = made(config, task)
        fixed.weights.assign(step.weights.value)
        before = weights(step)
        for each in (step, fixed):
            each(*batch[:4])
        np.testing.assert_allclose(weights(step), weights(fixed), rtol=1e-5, atol=1e-7)
        found.append(weights(step) - before)
    assert np.linalg.norm(found[2] - found[0]) > 1e-3
    assert step.gradients.experimental_get_tracing_count() <= traced + 1


@pytest.mark.slow
def test_the_clutter_of_memory_grows_to_all_of_it(
    composed: Compose, task: Task, batches: list[Batch]
) -> None:
    """From nothing to all, in equal parts over the steps."""
    step = made(composed(*TINY, "ntm.perturbation.memory_clutter=4"), task, steps=2)
    found = []
    for updates, size in enumerate((1e-9, 2.0)):
        fixed = made(composed(*TINY, f"ntm.perturbation.memory_clutter={size}"), task)
        gradients = [
            each.gradients(
                step.weights.value,
                [v.value for v in fixed.model.non_trainable_variables],
                each.scalars(after),
                *batches[0][:4],
            )[1][0].numpy()
            for each, after in ((step, updates), (fixed, 1))
        ]
        np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-6)
        found.append(gradients[0])
    assert np.linalg.norm(found[1] - found[0]) > 0.01 * np.linalg.norm(found[0])
    place = step.gradient.names.index("clutter_scale")
    assert [float(step.scalars(updates)[place]) for updates in (0, 1, 2, 5)] == [0, 0.5, 1, 1]
    assert step.gradients.experimental_get_tracing_count() == 1


def test_the_mean_norm_counts_clipped_norms(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    step = made(config, task, clip_norm=1e-3)
    for batch in batches:
        step(*batch[:4])
    assert float(step.clipping.norm_mean) == pytest.approx(1e-3, rel=1e-3)


def noisy(step: TrainingStep) -> np.ndarray:
    """The weights at which the step will take its next gradient."""
    return step.noisy(step.weights.value, step.optimizer.iterations.value).numpy()


def test_the_gradient_is_taken_at_noisy_weights(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    step = made(config, task, weight_noise=0.1)
    before = weights(step)
    at = noisy(step)
    noise = at - before
    assert noise.std() == pytest.approx(0.1, rel=0.2)
    assert abs(noise.mean()) < 0.03
    plain = made(config, task)
    plain.weights.assign(at)
    for each in (step, plain):
        each(*batches[0][:4])
    updates = weights(step) - before, weights(plain) - at
    np.testing.assert_allclose(*updates, rtol=1e-4, atol=1e-6)
    # Resuming must see what the run would have seen, and no step what another saw.
    again = noisy(step) - weights(step)
    assert abs(np.corrcoef(noise, again)[0, 1]) < 0.2


def test_the_noise_is_the_seed_s(config: DictConfig, task: Task, batches: list[Batch]) -> None:
    steps = [made(config, task, weight_noise=0.1, seed=seed) for seed in (2**32 - 1, 2**32 - 1, 2)]
    for step in steps:
        step(*batches[0][:4])
    first, same, other = map(weights, steps)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_an_update_that_is_not_finite_is_not_made(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    step = made(config, task, ema_decay=0.5)
    step(*batches[0][:4])
    before, mean = weights(step), float(step.clipping.norm_mean)
    broken = np.where(batches[1].loss_mask > 0, np.inf, 1.0).astype(np.float32)
    result = step(batches[1].inputs, batches[1].targets, broken, batches[1].mask)
    assert float(result.skipped) == 1
    np.testing.assert_array_equal(weights(step), before)
    assert float(step.clipping.norm_mean) == pytest.approx(mean)
    assert int(step.optimizer.iterations.numpy()) == 2
    assert float(step(*batches[2][:4]).skipped) == 0
    assert np.abs(weights(step) - before).max() > 0


def test_the_average_follows_the_weights(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    step = made(config, task, ema_decay=0.5, clip_norm=0.1)
    expected = weights(step)
    for number, batch in enumerate(batches, start=1):
        step(*batch[:4])
        decay = min(0.5, number / (number + 10))
        expected = decay * expected + (1 - decay) * weights(step)
    average = np.concatenate([np.ravel(w) for w in step.evaluated_weights])
    np.testing.assert_allclose(average, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_run_with_other_numbers_shares_the_program_and_trains_like_alone(
    composed: Compose, batches: list[Batch]
) -> None:
    """It takes over what the first compiled, and nothing else."""
    first_numbers = (
        *("ntm.state_clip_norm=3", "ntm.gate_offset=1", "ntm.sharpness_offset=1"),
        *("ntm.write_gate_offset=1", "ntm.write_shift_offset=1"),
        *("ntm.perturbation.memory_clutter=1", "ntm.perturbation.read_noise=0.1"),
        *("ntm.perturbation.weighting_leak=0.1", "ntm.perturbation.weighting_drift=0.1"),
        *("trainer.clip_norm=1", "trainer.clip_norm_ratio=3", "trainer.ema_decay=0.9"),
        *("trainer.weight_noise=0.1", "trainer.state_clip_growth=10", "trainer.steps=10"),
        *("optimizer.schedule=cosine", "optimizer.learning_rate=0.001", "seed=1"),
    )
    others = [re.sub("=1$", "=2", re.sub("[13]$", "2", setting)) for setting in first_numbers]
    others = [setting.replace("0.9", "0.8").replace("steps=10", "steps=20") for setting in others]

    def trained(step: TrainingStep) -> list[np.ndarray]:
        for batch in batches:
            step(*batch[:4])
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in step.variables]

    def configured(*numbers: str) -> tuple[DictConfig, keras.Model]:
        config = composed(*TINY, f"trainer.batch_size={BATCH}", *numbers)
        return config, build.model_from(config, task_from(config))

    first = TrainingStep.from_config(*configured(*first_numbers))
    before = trained(first)
    second = TrainingStep.from_config(*configured(*others))
    assert second is first
    after = trained(second)
    assert second.gradients.experimental_get_tracing_count() == 1
    assert second.update.experimental_get_tracing_count() == 1
    assert not np.allclose(before[0], after[0])

    with pytest.MonkeyPatch.context() as patch:  # As in a process of its own.
        patch.setattr(runner.training.step, "_steps", {})
        patch.setattr(runner.training.gradient, "_gradients", {})
        alone = TrainingStep.from_config(*configured(*others))
    for variable, expected in zip(after, trained(alone), strict=True):
        np.testing.assert_array_equal(variable, expected)

    config, model = configured(*others)
    config.trainer.clip_norm_ratio = None
    assert TrainingStep.from_config(config, model) is not first


def test_one_compilation_serves_all_lengths(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    step = made(config, task)
    lengths = {int(batch.mask.sum(axis=1).max()) for batch in batches}
    assert len(lengths) > 1
    traced = step.gradients.experimental_get_tracing_count()
    for batch in batches:
        step(*batch[:4])
    assert step.gradients.experimental_get_tracing_count() <= traced + 1
    assert step.update.experimental_get_tracing_count() == 1


def test_a_step_never_leaves_the_device(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    """Its compiled programs call nothing on the host; their only loops are those over time.

    Three for the gradient: forward, back, and the sums for the matrices.
    """
    step = made(config, task, clip_norm=1.0, clip_norm_ratio=3.0, ema_decay=0.5)
    at = tf.identity(step.weights.value)
    constants = [tf.identity(v.value) for v in step.model.non_trainable_variables]
    arrays = [tf.constant(array) for array in batches[0][:4]]
    loops = {"gradients": 3, "update": 0}
    arguments = {
        "gradients": (at, constants, step.scalars(0), *arrays),
        "update": (at, tf.constant(1.0)),
    }
    for name, count in loops.items():
        compiled = getattr(step, name).experimental_get_compiler_ir(*arguments[name])
        program = compiled(stage="hlo")
        assert program.count(" while(") == count
        assert not re.findall(HOST, program)


def test_a_batch_takes_as_many_compiled_calls_as_shards(
    config: DictConfig, task: Task, batches: list[Batch]
) -> None:
    """Nothing is read back in between: the whole step is one graph, built once."""
    step = made(config, task, shards=2)
    graph, *others = (step.run.get_concrete_function(*batch[:4]).graph for batch in batches)
    assert all(other is graph for other in others)
    calls = [op for op in graph.get_operations() if "PartitionedCall" in op.type]
    assert len(calls) == 2 + 1  # A gradient a shard, and the update.
    assert not [op.type for op in graph.get_operations() if "PyFunc" in op.type]


@pytest.mark.parametrize("amsgrad", [True, False])
def test_amsgrad_divides_by_the_largest_second_moment_so_far(
    amsgrad: bool, composed: Compose
) -> None:
    """Reddi, Kale and Kumar 2018 (arXiv 1904.09237), algorithm 2, with the bias corrected."""
    rate, beta, gradients = 0.1, 0.5, (1.0, 0.1)
    options = {"learning_rate": rate, "beta_1": beta, "beta_2": beta, "amsgrad": amsgrad}
    given = [f"optimizer.{name}={value}" for name, value in options.items()]
    optimizer = build.optimizer_from(
        composed(*TINY, *given, "optimizer.schedule=constant", "optimizer.epsilon=1e-9")
    )
    weight = keras.Variable([0.0])
    expected, mean, square, largest = 0.0, 0.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [weight])
        mean = beta * mean + (1 - beta) * gradient
        square = beta * square + (1 - beta) * gradient**2
        largest = max(largest, square) if amsgrad else square
        corrected = largest / (1 - beta**step)
        expected -= rate * mean / (1 - beta**step) / corrected**0.5
        np.testing.assert_allclose(weight.numpy(), [expected], rtol=1e-5)


def test_a_recipe_with_amsgrad_serves_another_optimizer(composed: Compose) -> None:
    config = composed("optimizer=rmsprop")
    assert config.optimizer.amsgrad
    optimizer = build.optimizer_from(config)
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert optimizer.rho == 0.95
