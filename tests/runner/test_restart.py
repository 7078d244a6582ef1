"""A training that has got nowhere begins again with other weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from runner import job
from runner.store import checkpoint
from runner.training.step import TrainingStep

from .conftest import LONGEST, TINY_MACHINE, Compose

BATCH, RESTART_AT, STEPS, RESTARTS = 4, 3, 5, 2
TINY = (
    *TINY_MACHINE,
    f"trainer.steps={STEPS}",
    f"trainer.restarts={RESTARTS}",
    f"trainer.restart_at={RESTART_AT}",
    *("trainer.evaluate_every=4", "trainer.checkpoint_every=1000", "trainer.log_every=1"),
    *(f"evaluate.cases=['{LONGEST}']", "evaluate.sequences=10"),
)
NEVER_GOOD_ENOUGH = "trainer.restart_above=1e-6"
ALWAYS_GOOD_ENOUGH = "trainer.restart_above=1e6"
ALL_STEPS = RESTARTS * RESTART_AT + STEPS


def run(config: DictConfig, directory: Path) -> dict[str, Any]:
    job.run(config, directory)
    metrics: dict[str, Any] = json.loads((directory / "metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def restarted(
    composed: Compose, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    directory = tmp_path_factory.mktemp("restarted")
    return run(composed(*TINY, NEVER_GOOD_ENOUGH), directory), directory


def test_what_was_given_up_counts(restarted: tuple[dict[str, Any], Path]) -> None:
    """And the last weights have all the steps that a training has."""
    metrics, directory = restarted
    assert metrics["restarts"] == RESTARTS
    assert metrics["steps"] == ALL_STEPS
    assert metrics["sequences"] == ALL_STEPS * BATCH
    curve = json.loads((directory / "history.json").read_text())["training"]
    assert [point["step"] for point in curve] == list(range(1, ALL_STEPS + 1))
    rates = [point["learning_rate"] for point in curve]
    # The rate falls in a line from the beginning of each training to nothing at its end.
    falling = [1 - step / STEPS for step in range(1, STEPS + 1)]
    expected = [*falling[:RESTART_AT], *falling[:RESTART_AT], *falling]
    np.testing.assert_allclose(np.array(rates) / 3e-3, expected, rtol=1e-5, atol=1e-7)


def test_a_training_that_is_good_enough_goes_on(composed: Compose, tmp_path: Path) -> None:
    metrics = run(composed(*TINY, ALWAYS_GOOD_ENOUGH), tmp_path)
    assert (metrics["restarts"], metrics["steps"]) == (0, STEPS)


def test_each_beginning_has_weights_and_sequences_of_its_own(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = TrainingStep.__call__
    weights, inputs = [], []

    def watched(self: TrainingStep, *batch: Any) -> Any:
        if int(self.optimizer.iterations.numpy()) == 0:
            weights.append(self.weights.numpy())
            inputs.append(batch[0].numpy())
        return call(self, *batch)

    monkeypatch.setattr(TrainingStep, "__call__", watched)
    run(composed(*TINY, NEVER_GOOD_ENOUGH), tmp_path)
    assert len(weights) == 1 + RESTARTS
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        assert not np.allclose(weights[earlier], weights[later])
        assert not np.array_equal(inputs[earlier], inputs[later])


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(RESTART_AT - 1, marks=pytest.mark.slow),
        RESTART_AT + 2,
        pytest.param(2 * RESTART_AT + 1, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(
    last: int,
    restarted: tuple[dict[str, Any], Path],
    composed: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever beginning it was in: the same weights, noise, rate and sequences."""
    call = TrainingStep.__call__
    steps = 0

    def interrupted(self: TrainingStep, *batch: Any) -> Any:
        nonlocal steps
        if steps == last:
            raise KeyboardInterrupt
        steps += 1
        return call(self, *batch)

    config = composed(*TINY, NEVER_GOOD_ENOUGH)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path)
    found = checkpoint.latest(tmp_path / "checkpoints")
    assert found is not None
    assert checkpoint.step_of(found) == last
    metrics = run(config, tmp_path)
    assert metrics["evaluation"] == restarted[0]["evaluation"]
    assert metrics["steps"] == ALL_STEPS
