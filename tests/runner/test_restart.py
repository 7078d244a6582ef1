"""A training that stays near what a guess without memory reaches begins again."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from runner import job
from runner.config.schema import task_from
from runner.store import checkpoint
from runner.training import plateau
from runner.training.step import TrainingStep
from runner.training.train import Training
from tasks import Batch

from .conftest import LONGEST, TINY_MACHINE, Compose

BATCH, STEPS, RESTARTS = 4, 5, 2
RESTART_AT = 2  # two fifths of the steps
TINY = (
    *TINY_MACHINE,
    f"trainer.steps={STEPS}",
    f"trainer.restarts={RESTARTS}",
    *("trainer.evaluate_every=4", "trainer.checkpoint_every=1000", "trainer.log_every=1"),
    *(f"evaluate.cases=['{LONGEST}']", "evaluate.sequences=10"),
)
ALL_STEPS = RESTARTS * RESTART_AT + STEPS


@pytest.fixture(scope="module", autouse=True)
def short_ones_too() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plateau, "SHORTEST", STEPS)
        yield


def run(config: DictConfig, directory: Path) -> dict[str, Any]:
    job.run(config, directory)
    metrics: dict[str, Any] = json.loads((directory / "metrics.json").read_text())
    return metrics


def losses(directory: Path) -> list[float]:
    """Of each step of a training."""
    curve = json.loads((directory / "history.json").read_text())["training"]
    return [point["loss_bits"] for point in curve]


@pytest.fixture(scope="module")
def restarted(
    composed: Compose, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    directory = tmp_path_factory.mktemp("restarted")
    return run(composed(*TINY), directory), directory


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


def test_a_training_that_is_good_enough_goes_on(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As this one, of five steps, is where a guess would have a million bits to lose."""
    monkeypatch.setattr(plateau, "without_memory", lambda *_: 1e6)
    metrics = run(composed(*TINY), tmp_path)
    assert (metrics["restarts"], metrics["steps"]) == (0, STEPS)


def test_a_model_without_a_memory_does_not_begin_again(composed: Compose, tmp_path: Path) -> None:
    """It is compared with a guess without memory, which is all that it may reach."""
    given = [each for each in TINY if not each.startswith("trainer.restarts")]
    metrics = run(composed(*given, "model=lstm", "model.units=[4]"), tmp_path)
    assert (metrics["restarts"], metrics["steps"]) == (0, STEPS)


@pytest.mark.parametrize(
    ("task", "bits"),
    [
        pytest.param("copy", 20 * 8, id="copy"),
        pytest.param("associative_recall", 3 * 6, id="recall"),
        pytest.param("priority_sort", 16 * 8, id="sort"),
        # Fair bits; how often each vector is repeated is no secret in a case.
        pytest.param("repeat_copy", 10 * 10 * 8, id="repeat copy"),
        # A fair bit at each step, less the optimum (`NGrams`): 200 - 133.0.
        pytest.param("ngrams", 67.0, id="n-grams"),
    ],
)
def test_without_memory_fair_bits_stay_fair(task: str, bits: float, composed: Compose) -> None:
    described = task_from(composed(f"task={task}"))
    generator = np.random.default_rng(0)
    guessed = plateau.without_memory(described, generator)
    assert guessed == pytest.approx(bits, rel=0.03)


def test_a_guess_without_memory_knows_how_often_a_bit_is_set(composed: Compose) -> None:
    """Here all bits of a sequence are 1 together, in a quarter of the sequences."""
    described = task_from(composed("task=copy"))

    def sample(rng: np.random.Generator, size: int, **sizes: int) -> Batch:
        batch = type(described).sample(described, rng, size, **sizes)
        kept = np.arange(size)[:, None, None] % 4 == 0
        return batch._replace(targets=(batch.loss_mask * kept).astype(np.float32))

    described.sample = sample  # type: ignore[method-assign]
    guessed = plateau.without_memory(described, np.random.default_rng(0))
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert guessed == pytest.approx(20 * 8 * entropy)


def test_the_best_evaluation_of_the_present_weights_counts(composed: Compose) -> None:
    """Neither what came before a new beginning, nor a task that is lost for a while."""
    described = task_from(composed("task=copy"))
    case = described.solved_case()
    losses = {100: 3.0, 200: 9.0, 300: 7.0, 400: 40.0}
    evaluations = [
        {"step": step, "results": {case: {"loss_bits_per_sequence": bits}}}
        for step, bits in losses.items()
    ]
    assert plateau.least_excess(described, evaluations, 100) == 7.0
    assert not plateau.is_stuck(7.0, 21.1)
    assert plateau.is_stuck(7.0, 20.9)
    assert plateau.is_stuck(float("nan"), 20.9)
    assert plateau.is_due(2, 5)
    assert not plateau.is_due(1, 5)


def test_a_try_does_not_begin_again() -> None:
    assert not plateau.is_due(STEPS - 1, STEPS - 1)


def test_a_task_with_an_optimum_is_judged_by_what_is_above_it() -> None:
    assert plateau.excess_bits({"loss_bits_per_sequence": 140.0}) == 140.0
    scores = {"loss_bits_per_sequence": 140.0, "excess_bits_per_sequence": 7.0}
    assert plateau.excess_bits(scores) == 7.0


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
    run(composed(*TINY), tmp_path)
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

    config = composed(*TINY)
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


def test_a_signal_while_it_begins_again_waits_until_it_has(
    restarted: tuple[dict[str, Any], Path],
    composed: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the checkpoint would have the old weights, counted as those of the new beginning."""
    restart, begin_again = TrainingStep.restart, Training._begin_again
    begun_again = []

    def noted(self: Training) -> None:
        begun_again.append(self.progress.step)
        begin_again(self)

    def interrupted(self: TrainingStep, *arguments: Any) -> None:
        if begun_again:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        restart(self, *arguments)

    config = composed(*TINY)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_begin_again", noted)
        patch.setattr(TrainingStep, "restart", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path)
    assert begun_again == [RESTART_AT]
    metrics = run(config, tmp_path)
    assert (metrics["restarts"], metrics["steps"]) == (RESTARTS, ALL_STEPS)
    assert losses(tmp_path) == losses(restarted[1])
