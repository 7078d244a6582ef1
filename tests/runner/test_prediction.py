"""Compiled predictions: with the model's own weights, with others, and shared by models."""

import keras
import numpy as np
import pytest

from runner.config.schema import task_from
from runner.training import build, data
from runner.training.prediction import Predictor
from tasks import Batch

from .conftest import Compose

TINY = ("task.max_length=3", "ntm.n_width=8", "ntm.m_depth=4", "controller=dense")
BATCH = 4


@pytest.fixture(scope="module")
def batch(composed: Compose) -> Batch:
    return data.training_batch(task_from(composed(*TINY)), 0, 0, BATCH)


@pytest.fixture(scope="module")
def models(composed: Compose) -> list[keras.Model]:
    """Two of one architecture with other weights."""
    configs = [composed(*TINY, f"seed={seed}") for seed in (1, 2)]
    return [build.model_from(config, task_from(config)) for config in configs]


def test_models_of_one_architecture_share_a_program(
    models: list[keras.Model], batch: Batch
) -> None:
    first, second = (Predictor(model, BATCH, 1) for model in models)
    assert first.probabilities is second.probabilities
    for model, predict in zip(models, (first, second), strict=True):
        expected = keras.ops.convert_to_numpy(model(batch.inputs))
        actual = predict(batch.inputs, batch.mask)
        np.testing.assert_allclose(actual[batch.mask], expected[batch.mask], rtol=1e-5, atol=1e-6)


def test_other_weights(models: list[keras.Model], batch: Batch) -> None:
    predict = Predictor(models[0], BATCH, 2)
    own = predict(batch.inputs, batch.mask)
    zeros = [np.zeros(v.shape, "float32") for v in models[0].weights]
    expected = keras.ops.convert_to_numpy(models[0](batch.inputs))
    np.testing.assert_allclose(own[batch.mask], expected[batch.mask], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predict(batch.inputs, batch.mask, zeros), 0.5)
