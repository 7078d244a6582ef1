"""Whole runs of the real configuration, shrunk: what they leave, and that nothing is lost."""

import json
import os
import shutil
import signal
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import DictConfig, OmegaConf
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

import runner.training.dispatch
import runner.training.gradient
import runner.training.prediction
import runner.training.step
from runner import job
from runner.config import saved
from runner.config.schema import task_from
from runner.errors import ConfigError, RunError
from runner.reporting import observers
from runner.store import checkpoint
from runner.training import build
from runner.training.step import TrainingStep
from runner.training.train import Training

from .conftest import DRAWN, LONGEST, TINY_MACHINE, Compose

TINY = (
    *TINY_MACHINE,
    "optimizer.schedule=constant",  # A falling rate depends on trainer.steps.
    *("trainer.evaluate_every=4", "trainer.checkpoint_every=3", "trainer.log_every=2"),
    *(f"evaluate.cases=['length=2','{LONGEST}']", "evaluate.sequences=10"),
)


def run(config: DictConfig, directory: Path) -> tuple[dict[str, Any], float]:
    directory.mkdir(exist_ok=True)
    objective = job.run(config, directory)
    return read(directory, "metrics.json"), objective


def read(directory: Path, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((directory / name).read_text())
    return value


def model_weights(directory: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = keras.models.load_model(directory / "model.keras").get_weights()
    return weights


@pytest.fixture(scope="module")
def tiny(composed: Compose) -> DictConfig:
    return composed(*TINY, "trainer.steps=8")


@pytest.fixture(scope="module")
def drawn(composed: Compose) -> DictConfig:
    return composed(*TINY, "trainer.steps=8", DRAWN)


@pytest.fixture(scope="module")
def watched(drawn: DictConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Training]:
    """A finished run in a process that has compiled nothing yet, and its training."""
    runner.training.step._steps.clear()
    runner.training.gradient._gradients.clear()
    runner.training.prediction._probabilities.clear()
    trainings: list[Training] = []
    train = Training.run
    directory = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Training, "run", lambda self, *each: (trainings.append(self), train(self, *each))[1]
        )
        run(drawn, directory)
    (training,) = trainings
    return directory, training


@pytest.fixture(scope="module")
def finished(watched: tuple[Path, Training]) -> Path:
    return watched[0]


def test_a_run_leaves_all_that_was_promised(finished: Path, tiny: DictConfig) -> None:
    metrics = read(finished, "metrics.json")
    assert {
        "task", "model", "controller", "seed", "parameters", "steps", "sequences", "seconds",
        "compile_seconds", "steps_per_second", "solved_at_sequences", "evaluation",
    } <= set(metrics)  # fmt: skip
    assert metrics["steps"] == 8
    assert metrics["sequences"] == 32
    # Reads to output 4 x 8; hidden (10 + 4) x 6 + 6; instructions 6 x 43 + 43, where 43 is 8
    # outputs, twice (4 key + 1 strength + 1 gate + 3 shifts + 1 sharpness), 4 erase and 4 add.
    assert metrics["parameters"] == 4 * 8 + 14 * 6 + 6 + 6 * 36 + 36
    assert set(metrics["evaluation"]) == {"length=2", "length=5", "length=3"}
    assert read(finished, "status.json") == {"status": "finished", "error": None}
    figures = {path.name for path in (finished / "figures").glob("*.png")}
    assert figures == {"sample.png", "heads.png", "generalisation.png", "learning.png"}
    assert list(finished.glob("events.out.tfevents.*"))
    history = read(finished, "history.json")
    assert [point["step"] for point in history["training"]] == [2, 4, 6, 8]
    assert [point["step"] for point in history["evaluations"]] == [4, 8]


def test_the_same_seed_gives_the_same_numbers(
    finished: Path, tiny: DictConfig, tmp_path: Path
) -> None:
    """With and without figures."""
    metrics, _ = run(tiny, tmp_path)
    assert metrics["evaluation"] == read(finished, "metrics.json")["evaluation"]
    assert not list(tmp_path.glob("figures/*"))
    assert not [tag for tag, _ in event_points(tmp_path) if "heads" in tag]
    assert [tag for tag, _ in event_points(finished) if "heads" in tag]
    for mine, other in zip(model_weights(tmp_path), model_weights(finished), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_run_compiles_its_step_and_its_predictions_once(watched: tuple[Path, Training]) -> None:
    """For sequences of all training lengths, and for the scheduled and final cases."""
    _, training = watched
    step, predict = training.step, training.evaluator.predict
    for compiled in (step.gradients, step.update, predict.probabilities.compiled):
        assert compiled.experimental_get_tracing_count() == 1


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    finished: Path, composed: Compose, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run(composed(*TINY, "trainer.steps=5"), first)
    metrics, _ = run(composed(*TINY, "trainer.steps=8", f"resume={first}"), second)
    unbroken = read(finished, "metrics.json")
    assert metrics["evaluation"] == unbroken["evaluation"]
    assert metrics["sequences"] == unbroken["sequences"]
    for mine, other in zip(model_weights(second), model_weights(finished), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.slow
def test_a_requeued_job_finds_its_own_checkpoint(
    finished: Path, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(composed(*TINY, "trainer.steps=5"), tmp_path)
    restored: list[Path] = []
    restore = Training.restore
    monkeypatch.setattr(
        Training, "restore", lambda self, path: (restored.append(path), restore(self, path))[1]
    )
    metrics, _ = run(composed(*TINY, "trainer.steps=8"), tmp_path)
    assert [checkpoint.step_of(path) for path in restored] == [5]
    assert metrics["evaluation"] == read(finished, "metrics.json")["evaluation"]


def without_times(directory: Path) -> dict[str, Any]:
    """`history.json` but for how fast it went."""
    history = read(directory, "history.json")
    for point in history["training"]:
        del point["sequences_per_second"]
    return history


def event_points(directory: Path) -> list[tuple[str, int]]:
    return sorted(
        (value.tag, event.step)
        for path in directory.glob("events.out.tfevents.*[0-9]")
        for event in LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag != "configuration"
    )


@pytest.mark.parametrize(
    "moment",
    [
        *("evaluation", "pictures"),
        *(pytest.param(moment, marks=pytest.mark.slow) for moment in (*range(1, 9), "figures")),
    ],
)
def test_the_record_of_a_broken_run_is_that_of_an_unbroken_one(
    moment: int | str,
    finished: Path,
    drawn: DictConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two points of the curve, while it evaluates or draws: whenever the signal comes."""
    call, look = TrainingStep.__call__, observers.Brief.after_evaluation

    def at_step(self: TrainingStep, *batch: Any) -> Any:
        result = call(self, *batch)
        if int(self.optimizer.iterations.numpy()) == moment:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        return result

    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    def at_evaluation(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        look(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", at_step)
        if moment == "pictures":
            patch.setattr(observers.Brief, "after_evaluation", at_evaluation)
        if moment == "evaluation":
            patch.setattr(Training, "_results", interrupted)
        if moment == "figures":
            patch.setattr(job, "run_figures", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(drawn, tmp_path)
    assert f"resume={tmp_path}" in read(tmp_path, "status.json")["error"]
    metrics, _ = run(drawn, tmp_path)
    assert metrics["evaluation"] == read(finished, "metrics.json")["evaluation"]
    assert without_times(tmp_path) == without_times(finished)
    points = event_points(tmp_path)
    assert points == event_points(finished)
    assert len(points) == len(set(points))


def test_an_interrupt_before_the_first_step_says_what_works(
    tiny: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_train", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            run(tiny, tmp_path)
    error = read(tmp_path, "status.json")["error"]
    assert "start it again" in error
    assert "resume=" not in error
    run(tiny, tmp_path)
    assert read(tmp_path, "status.json")["status"] == "finished"


@pytest.mark.parametrize(
    ("breaks_at", "kept"),
    [(5, 3), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((1, None), (8, 6)))],
)
def test_weights_that_are_not_finite_are_never_kept(
    breaks_at: int,
    kept: int | None,
    tiny: DictConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An update can break them although its loss and gradient are sound, the last one too."""
    call = TrainingStep.__call__

    def breaks(self: TrainingStep, *batch: Any) -> Any:
        result = call(self, *batch)
        if int(self.optimizer.iterations.numpy()) == breaks_at:
            self.weights.assign(self.weights.value * np.nan)
        return result

    monkeypatch.setattr(TrainingStep, "__call__", breaks)
    with pytest.raises(RunError, match=r"first not finite: the weight|is not finite after"):
        run(tiny, tmp_path)
    status = read(tmp_path, "status.json")
    assert status["status"] == "failed"
    found = checkpoint.latest(tmp_path / "checkpoints")
    if kept is None:
        assert found is None
        assert "No checkpoint was written" in status["error"]
    else:
        assert found is not None
        assert checkpoint.step_of(found) == kept
        assert f"The checkpoint of step {kept} holds the last finite weights" in status["error"]


def test_a_model_that_is_not_finite_is_refused_by_name(
    finished: Path, composed: Compose, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "broken")
    model = keras.models.load_model(finished / "model.keras")
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    model.save(tmp_path / "broken/model.keras")
    for key in ("checkpoint", "init_from"):
        with pytest.raises(ConfigError, match=rf"{key}=.*damaged model.keras .*not finite"):
            saved.check_model(key, tmp_path / "broken")


def test_a_new_training_begins_with_the_weights_of_another(
    finished: Path, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its `model.keras`, with a memory and lengths of its own, and all else new."""
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(finished, source)
    saved_config = OmegaConf.load(source / ".hydra/config.yaml")
    saved_config.ntm.n_width, saved_config.task.max_length = 12, 4
    OmegaConf.save(saved_config, source / ".hydra/config.yaml")
    model = build.model_from(saved_config, task_from(saved_config))
    model.save(source / "model.keras")
    first: list[Any] = []
    call = TrainingStep.__call__
    monkeypatch.setattr(
        TrainingStep,
        "__call__",
        lambda self, *batch: (first.append(self.weights.numpy()), call(self, *batch))[1],
    )
    metrics, _ = run(composed(*TINY, "trainer.steps=2", f"init_from={source}"), target)
    began = np.concatenate([weight.ravel() for weight in model.get_weights()])
    np.testing.assert_array_equal(first[0], began)
    assert metrics["steps"] == 2
    kept = OmegaConf.load(target / ".hydra/config.yaml")
    assert kept.init_from == str(source)


@pytest.mark.parametrize("resumed", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_run_goes_on_from_an_older_checkpoint_when_the_newest_is_damaged(
    resumed: bool, finished: Path, composed: Compose, tmp_path: Path
) -> None:
    run(composed(*TINY, "trainer.steps=5"), tmp_path)
    newest = tmp_path / "checkpoints/step_000000005.npz"
    newest.write_bytes(newest.read_bytes()[:1000])
    if resumed:
        config = composed(*TINY, "trainer.steps=8", f"resume={tmp_path}")
        metrics, _ = run(config, tmp_path / "resumed")
    else:
        metrics, _ = run(composed(*TINY, "trainer.steps=8"), tmp_path)
    assert metrics["evaluation"] == read(finished, "metrics.json")["evaluation"]


def test_a_run_without_a_whole_checkpoint_is_refused(tiny: DictConfig, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/step_000000003.npz").touch()
    with pytest.raises(ConfigError, match="every checkpoint"):
        run(tiny, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_an_archive_that_is_no_model_is_refused(composed: Compose, tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "model.keras", "w").close()
    config = composed(*TINY, "mode=evaluate", f"checkpoint={tmp_path}")
    with pytest.raises(ConfigError, match=r"model.keras is no model .*config.json.*checkpoint="):
        run(config, tmp_path / "evaluation")


def test_evaluating_a_run_gives_its_own_numbers_again(
    finished: Path, composed: Compose, tmp_path: Path
) -> None:
    config = composed(*TINY, "mode=evaluate", f"checkpoint={finished}")
    metrics, _ = run(config, tmp_path)
    trained = read(finished, "metrics.json")
    for case, summary in metrics["evaluation"].items():
        assert summary == trained["evaluation"][case]
    assert metrics["steps"] == 8


def test_evaluation_takes_another_number_of_memory_rows(
    finished: Path, composed: Compose, tmp_path: Path
) -> None:
    config = composed(
        *TINY, "mode=evaluate", f"checkpoint={finished}", "ntm.n_width=21",
        "evaluate.cases=['length=9']",
    )  # fmt: skip
    metrics, objective = run(config, tmp_path)
    assert list(metrics["evaluation"]) == ["length=9"]
    assert objective == metrics["evaluation"]["length=9"]["loss_bits_per_sequence"]


def test_evaluation_refuses_weights_of_other_sizes(
    finished: Path, composed: Compose, tmp_path: Path
) -> None:
    config = composed(*TINY, "mode=evaluate", f"checkpoint={finished}", "ntm.m_depth=5")
    with pytest.raises(ConfigError, match="shapes"):
        run(config, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_that_blows_up_says_where_and_keeps_its_weights(
    tiny: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = TrainingStep.__call__

    def breaks_at_step_5(
        self: TrainingStep, inputs: Any, targets: Any, weights: Any, mask: Any
    ) -> Any:
        if int(self.optimizer.iterations.numpy()) == 4:
            weights = np.where(weights > 0, np.inf, 0).astype(np.float32)
        return call(self, inputs, targets, weights, mask)

    monkeypatch.setattr(TrainingStep, "__call__", breaks_at_step_5)
    with pytest.raises(RunError, match="step 5"):
        run(tiny, tmp_path)
    status = read(tmp_path, "status.json")
    assert status["status"] == "failed"
    assert "learning_rate" in status["error"]
    with np.load(checkpoint.latest(tmp_path / "checkpoints") or "") as arrays:
        numbers = [arrays[name] for name in arrays.files if name.isdigit()]
        assert all(np.isfinite(array).all() for array in numbers)


@pytest.mark.parametrize(
    ("broken", "ends"),
    [({3, 5}, False), pytest.param(set(range(2, 12)), True, marks=pytest.mark.slow)],
)
def test_a_gradient_that_overflows_once_is_left_out(
    broken: set[int],
    ends: bool,
    composed: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = TrainingStep.__call__

    def overflows(self: TrainingStep, *batch: Any) -> Any:
        result = call(self, *batch)
        if int(self.optimizer.iterations.numpy()) not in broken:
            return result
        return result._replace(gradient_norm=tf.constant(np.inf), skipped=tf.constant(1.0))

    monkeypatch.setattr(TrainingStep, "__call__", overflows)
    config = composed(*TINY, "trainer.steps=12", "trainer.log_every=4")
    if ends:
        with pytest.raises(RunError, match=r"step 11: the loss is .* norm inf"):
            run(config, tmp_path)
        return
    run(config, tmp_path)
    history = read(tmp_path, "history.json")["training"]
    ends_at = [0, *(point["step"] for point in history)]
    skipped = [point["skipped_updates"] * np.diff(ends_at)[i] for i, point in enumerate(history)]
    assert sum(skipped) == pytest.approx(len(broken))
    assert all(np.isfinite(point["gradient_norm"]) for point in history)


def test_an_interrupted_run_saves_first(
    tiny: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = TrainingStep.__call__

    def interrupted_at_step_7(self: TrainingStep, *batch: Any) -> Any:
        if int(self.optimizer.iterations.numpy()) == 6:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        return call(self, *batch)

    monkeypatch.setattr(TrainingStep, "__call__", interrupted_at_step_7)
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        run(tiny, tmp_path)
    assert read(tmp_path, "status.json")["status"] == "interrupted"
    last = checkpoint.latest(tmp_path / "checkpoints")
    assert last is not None
    assert checkpoint.step_of(last) == 7  # The step that was being made when the signal came.


@pytest.mark.parametrize("log_every", [pytest.param(2, marks=pytest.mark.slow), 100])
def test_a_step_that_fails_on_its_way_loses_none_before_it(
    log_every: int, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others were handed over when it shows; none of them is made, or counted."""
    call, made_of, waited = TrainingStep.__call__, TrainingStep._run, []

    def fails_at_step_7(self: TrainingStep, *batch: Any) -> Any:
        sound = tf.debugging.assert_less(
            self.optimizer.iterations.value, tf.constant(6, tf.int64), "worn out"
        )
        with tf.control_dependencies([sound]):
            return made_of(self, *batch)

    def watched(self: TrainingStep, *batch: Any) -> Any:
        # Not asked later: TensorFlow prints what it is asked of in vain.
        waited.append(not waited and tf.config.experimental.get_synchronous_execution())
        return call(self, *batch)

    monkeypatch.setattr(TrainingStep, "_run", fails_at_step_7)
    monkeypatch.setattr(TrainingStep, "__call__", watched)
    monkeypatch.setattr(runner.training.step, "_steps", {})
    config = composed(*TINY, "trainer.steps=20", f"trainer.log_every={log_every}")
    with pytest.raises(tf.errors.InvalidArgumentError, match="worn out"):
        run(config, tmp_path)
    assert 7 <= len(waited) <= 7 + runner.training.dispatch.AHEAD
    assert not any(waited)
    assert tf.config.experimental.get_synchronous_execution()
    assert "worn out" in read(tmp_path, "status.json")["error"]
    last = checkpoint.latest(tmp_path / "checkpoints")
    assert last is not None
    assert checkpoint.step_of(last) == 6
    with np.load(last) as arrays:
        assert json.loads(str(arrays["progress"]))["step"] == 6


def test_a_second_signal_does_not_end_the_saving(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler's comes to all processes of a sweep, and the end of the sweep sends another."""
    save = checkpoint.save

    def terminated(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        return save(*arguments)

    monkeypatch.setattr(checkpoint, "save", terminated)
    with pytest.raises(KeyboardInterrupt):  # in the checkpoint of step 3, then in the last one
        run(composed(*TINY, "trainer.steps=8"), tmp_path)
    assert checkpoint.latest(tmp_path / "checkpoints") is not None
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_it_stops_when_solved_if_asked(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbose = "trainer.verbose=true"  # Adds arrays to the results.
    config = composed(*TINY, "trainer.steps=8", "trainer.stop_when_solved=true", verbose)
    monkeypatch.setattr(type(task_from(config)), "solved", lambda self, summary: True)
    metrics, _ = run(config, tmp_path)
    assert metrics["steps"] == 4
    assert metrics["solved_at_sequences"] == 16
    assert len(metrics["evaluation"]["length=2"]["accuracy_by_bit"]) == 8
    assert read(tmp_path, "status.json")["status"] == "solved"


def test_a_checkpoint_of_another_model_is_refused(
    finished: Path, composed: Compose, tmp_path: Path
) -> None:
    config = composed(*TINY, "trainer.steps=9", f"resume={finished}", "ntm.read_heads=2")
    with pytest.raises(ConfigError, match="do not fit"):
        run(config, tmp_path)


@pytest.mark.parametrize("model", [pytest.param("lstm", marks=pytest.mark.slow), "dense"])
def test_the_baselines_train(model: str, composed: Compose, tmp_path: Path) -> None:
    tiny = tuple(value for value in TINY if "controller" not in value)
    config = composed(*tiny, "trainer.steps=2", f"model={model}", "model.units=[5]")
    metrics, _ = run(config, tmp_path)
    assert metrics["model"] == model
    assert metrics["controller"] is None


def test_the_seed_s_parameter_counts(composed: Compose) -> None:
    def count(*overrides: str) -> int:
        config = composed(*overrides)
        parameters: int = build.model_from(config, task_from(config)).count_params()
        return parameters

    assert count("model=lstm") == 807_200
    assert count("controller=dense", "ntm.read_to_output=false") == 3_100
