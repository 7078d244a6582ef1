"""A training that has lost what it had learned goes back to the last good evaluation."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from runner import job
from runner.reporting import observers
from runner.store import checkpoint
from runner.training import plateau
from runner.training.rollback import is_lost
from runner.training.step import TrainingStep
from runner.training.train import Training

from .conftest import LONGEST, TINY_MACHINE, Compose

# What the evaluation after each step is made to find, in bits. 5.5 is just good enough after 3.
FOUND = {1: 9.0, 2: 3.0, 3: 5.5, 4: 5.6, 5: 3.0, 6: 50.0}
STEPS = len(FOUND)
TINY = (
    *TINY_MACHINE,
    f"trainer.steps={STEPS}",
    *("trainer.evaluate_every=1", "trainer.checkpoint_every=1000", "trainer.log_every=1"),
    *(f"evaluate.cases=['{LONGEST}']", "evaluate.sequences=10", "optimizer.amsgrad=true"),
)


class Seen:
    """The weights as each step begins, and their average as each evaluation finds it."""

    def __init__(self) -> None:
        self.weights: dict[int, np.ndarray] = {}
        self.momentum: dict[int, np.ndarray] = {}
        self.average: dict[int, np.ndarray] = {}
        self.largest: dict[str, dict[int, np.ndarray]] = {"step": {}, "evaluation": {}}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Trainings find `FOUND`, and a guess without memory would be far above it."""
    found = Seen()
    call, results = TrainingStep.__call__, Training._results

    def watched(self: TrainingStep, *batch: Any) -> Any:
        number = int(self.optimizer.iterations.numpy()) + 1
        found.weights[number] = self.weights.numpy()
        found.momentum[number] = slot(self, "momentum")
        found.largest["step"][number] = slot(self, "velocity_hat")
        return call(self, *batch)

    def scripted(self: Training) -> dict[str, dict[str, Any]]:
        step, scores = self.progress.step, results(self)
        assert self.step.average is not None
        found.average[step] = self.step.average.variable.numpy()
        found.largest["evaluation"][step] = slot(self.step, "velocity_hat")
        scores[self.task.solved_case()]["loss_bits_per_sequence"] = FOUND[step]
        return scores

    monkeypatch.setattr(TrainingStep, "__call__", watched)
    monkeypatch.setattr(Training, "_results", scripted)
    monkeypatch.setattr(plateau, "without_memory", lambda *_: 1e6)
    return found


def slot(step: TrainingStep, name: str) -> np.ndarray:
    """What the optimizer keeps beside the weights, by its name."""
    (found,) = [v for v in step.optimizer.variables if v.name.endswith(name)]
    return np.array(found.numpy())


def run(config: DictConfig, directory: Path) -> dict[str, Any]:
    job.run(config, directory)
    metrics: dict[str, Any] = json.loads((directory / "metrics.json").read_text())
    return metrics


def last_weights(directory: Path) -> np.ndarray:
    path = checkpoint.latest(directory / "checkpoints")
    assert path is not None
    with np.load(path) as arrays:
        weights: np.ndarray = arrays["0000"]
    return weights


@pytest.mark.parametrize(
    ("excess", "best", "lost"),
    [(1.0, 0.0, False), (1.01, 0.0, True), (16.0, 10.0, False), (16.1, 10.0, True)],
)
def test_half_as_much_again_and_a_bit_is_lost(excess: float, best: float, lost: bool) -> None:
    assert is_lost(excess, best) == lost


def test_a_loss_that_is_no_number_is_lost() -> None:
    assert is_lost(float("nan"), 10.0)


def test_it_goes_on_from_the_average_of_the_last_good_evaluation(
    seen: Seen, composed: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the end, too: the last evaluation may be the one that finds that all is lost."""
    with caplog.at_level(logging.INFO):
        metrics = run(composed(*TINY), tmp_path)
    assert (metrics["rollbacks"], metrics["steps"]) == (2, STEPS)
    np.testing.assert_array_equal(seen.weights[5], seen.average[3])
    assert not seen.momentum[5].any()
    assert seen.momentum[4].any()
    np.testing.assert_array_equal(last_weights(tmp_path), seen.average[5])
    said = [record.message for record in caplog.records if "going back" in record.message]
    assert said == [
        "step 4: 5.6 bits a sequence above the optimum after 3 at best: going back to the weights "
        "of step 3",
        "step 6: 50 bits a sequence above the optimum after 3 at best: going back to the weights "
        "of step 5",
    ]
    losses = [
        entry["results"]["length=3"]["loss_bits_per_sequence"]
        for entry in json.loads((tmp_path / "history.json").read_text())["evaluations"]
    ]
    assert losses == list(FOUND.values()), "what was given up is in the record"


def test_the_largest_second_moments_so_far_stay(
    seen: Seen, composed: Compose, tmp_path: Path
) -> None:
    """Those of the gradients that undid the task, which would undo it again without them."""
    config = composed(*TINY)
    assert config.optimizer.amsgrad
    run(config, tmp_path)
    largest = seen.largest["step"][5]  # after going back from step 4 to step 3
    np.testing.assert_array_equal(largest, seen.largest["evaluation"][4])
    assert (largest >= seen.largest["evaluation"][3]).all()
    assert (largest > seen.largest["evaluation"][3]).any()


def test_a_machine_that_has_not_found_its_memory_does_not_go_back(
    seen: Seen, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plateau, "without_memory", lambda *_: 8.9)  # A third is below 3.
    assert run(composed(*TINY), tmp_path)["rollbacks"] == 0


def test_it_does_not_go_back_unless_it_is_asked_to(
    seen: Seen, composed: Compose, tmp_path: Path
) -> None:
    assert run(composed(*TINY, "trainer.rollback=false"), tmp_path)["rollbacks"] == 0


def test_who_looks_on_sees_the_weights_that_were_evaluated(
    seen: Seen, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not those that it went back to: their picture stands beside the loss of these."""
    looked: dict[int, np.ndarray] = {}

    def look(_: observers.Brief, number: int, training: Training) -> None:
        assert training.step.average is not None
        looked[number] = training.step.average.variable.numpy()

    monkeypatch.setattr(observers.Brief, "after_evaluation", look)
    run(composed(*TINY), tmp_path)
    assert looked.keys() == FOUND.keys()
    for step, weights in looked.items():
        np.testing.assert_array_equal(weights, seen.average[step])


@pytest.mark.parametrize("last", [3, 4, 5])
def test_an_interrupted_training_goes_back_as_an_unbroken_one(
    last: int, seen: Seen, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, at and after the step that goes back."""
    config = composed(*TINY)
    unbroken = run(config, tmp_path / "unbroken")
    call = TrainingStep.__call__

    def interrupted(self: TrainingStep, *batch: Any) -> Any:
        if int(self.optimizer.iterations.numpy()) == last:
            raise KeyboardInterrupt
        return call(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "broken")
    metrics = run(config, tmp_path / "broken")
    assert (metrics["rollbacks"], metrics["steps"]) == (2, STEPS)
    assert metrics["evaluation"] == unbroken["evaluation"]
    np.testing.assert_array_equal(
        last_weights(tmp_path / "broken"), last_weights(tmp_path / "unbroken")
    )
