"""One job, from a validated configuration to a finished run directory."""

from __future__ import annotations

import json
import logging
import platform
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from runner import build, checkpoint, data, device, figures
from runner.errors import ConfigError
from runner.evaluate import Evaluator
from runner.files import replace_with, write_json
from runner.progress import Progress as Terminal
from runner.report import Reporter, run_figures, write_history
from runner.step import Prediction, TrainingStep
from runner.tensorboard import TensorBoardLog
from runner.train import Progress, Training
from tasks import Task

log = logging.getLogger(__name__)

MODEL, METRICS, STATUS, CHECKPOINTS = "model.keras", "metrics.json", "status.json", "checkpoints"
# What an evaluation takes over from the metrics of the training that it evaluates.
TRAINED = ("steps", "sequences", "seconds", "compile_seconds", "steps_per_second")
TRAINED += ("solved_at_sequences",)


def run(config: Any) -> float:
    """Train or evaluate, and leave a complete run directory, however it ends.

    Returns:
        The loss in bits a sequence at the task's deciding case (or the first one evaluated): what
        a sweeper minimises.
    """
    directory = Path(HydraConfig.get().runtime.output_dir)
    _write_status(directory, "running")
    try:
        with _terminated_as_interrupt():
            metrics, status = (_train if config.mode == "train" else _evaluate)(config, directory)
    except KeyboardInterrupt:
        _ended_badly(config, directory, "interrupted", "stopped from outside; go on with resume=")
        raise
    except BaseException as error:
        _ended_badly(config, directory, "failed", f"{type(error).__name__}: {error}")
        # Hydra reports only the first failure of a sweep, and not in the job's own log.
        log.error("the run failed", exc_info=not isinstance(error, ConfigError))
        raise
    _write_status(directory, status)
    log.info("%s: %s", status, directory)
    evaluation = metrics["evaluation"]
    case = build.task_from(config).solved_case()
    return float((evaluation.get(case) or next(iter(evaluation.values())))["loss_bits_per_sequence"])


def _train(config: Any, directory: Path) -> tuple[dict[str, Any], str]:
    used = device.choose(config.device)
    task = build.task_from(config)
    model = build.model_from(config, task)
    trainer = config.trainer
    step = TrainingStep(
        model,
        build.optimizer_from(config),
        trainer.batch_size,
        shards=trainer.shards,
        clip_norm=trainer.clip_norm,
        clip_factor=trainer.clip_factor,
        average=trainer.average,
    )
    evaluator = _evaluator(config, task, model)
    start = _starting_checkpoint(config, directory)
    first = 1 + (int(start.stem.partition("_")[2]) if start else 0)
    with (
        TensorBoardLog(directory, first) as events,
        Terminal(trainer.steps, trainer.verbose) as terminal,
    ):
        events.text("configuration", OmegaConf.to_yaml(config))
        events.hparams(_hparams(config), {}, "running", 0)
        training = Training(
            config, task, step, evaluator, directory / CHECKPOINTS, Reporter(terminal, events)
        )
        if start:
            training.restore(start)
            log.info("going on from %s", start)
        progress = training.run()
        _adopt(model, step.evaluated_weights)
        with replace_with(directory / MODEL) as path:
            model.save(path)
        results = evaluator(config.evaluate.sequences, data.FINAL)
        metrics = _metrics(config, model, results, used) | _training_metrics(config, progress)
        write_json(directory / METRICS, metrics)
        write_history(directory, progress)
        _show(directory, task, model, evaluator, progress, results, events)
        terminal.print_results(results, f"{task.name}, {model.name}, seed {config.seed}")
        status = _status(task, results)
        events.cases(progress.step, results)
        events.hparams(_hparams(config), _hparams_metrics(metrics), status, progress.step)
    return metrics, status


def _evaluate(config: Any, directory: Path) -> tuple[dict[str, Any], str]:
    used = device.choose(config.device)
    task = build.task_from(config)
    model = build.model_from(config, task)
    source = Path(config.checkpoint)
    _load_weights(model, source / MODEL)
    evaluator = _evaluator(config, task, model)
    results = evaluator(config.evaluate.sequences, data.FINAL)
    metrics = _metrics(config, model, results, used)
    trained = _read_json(source / METRICS)
    metrics |= {key: trained.get(key) for key in TRAINED}
    write_json(directory / METRICS, metrics)
    with (
        TensorBoardLog(directory, 0) as events,
        Terminal(0, config.trainer.verbose) as terminal,
    ):
        step = trained.get("steps") or 0
        events.cases(step, results)
        _show(directory, task, model, evaluator, Progress(step=step), results, events)
        terminal.print_results(results, f"{source}: {task.name}, {model.name}")
    return metrics, _status(task, results)


def _evaluator(config: Any, task: Task, model: keras.Model) -> Evaluator:
    cases = list(config.evaluate.cases or task.cases())
    if config.mode == "train" and task.solved_case() not in cases:
        cases.append(task.solved_case())
    predict = Prediction(model, config.evaluate.batch_size, config.trainer.shards)
    return Evaluator(task, predict, cases, config.seed)


def _starting_checkpoint(config: Any, directory: Path) -> Path | None:
    """Where to go on from: the run's own last checkpoint (it was requeued), or `resume`."""
    own = checkpoint.latest(directory / CHECKPOINTS)
    if own or config.resume is None:
        return own
    source = Path(config.resume)
    found = checkpoint.latest(source / CHECKPOINTS)
    if found is None:
        raise ConfigError(f"resume={source} has no checkpoint in {source / CHECKPOINTS}")
    # The new run's TensorBoard page shows the whole training.
    for events in source.glob("events.out.tfevents.*"):
        if not events.name.endswith(".hparams"):
            shutil.copy2(events, directory)
    return found


def _adopt(model: keras.Model, weights: list[Any]) -> None:
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)


def _load_weights(model: keras.Model, path: Path) -> None:
    """Set the weights of a saved model, whatever its number of memory rows."""
    saved = keras.models.load_model(path, compile=False)
    shapes = [tuple(w.shape) for w in saved.get_weights()]
    expected = [tuple(w.shape) for w in model.get_weights()]
    if shapes != expected:
        raise ConfigError(
            f"the weights in {path} have the shapes {shapes}, but this configuration makes "
            f"{expected}: evaluate with the sizes that the model was trained with"
        )
    model.set_weights(saved.get_weights())


def _metrics(
    config: Any, model: keras.Model, results: Mapping[str, Any], used: str
) -> dict[str, Any]:
    return {
        "task": config.task.name,
        "model": config.model.name,
        "controller": config.controller.name if config.model.name == "ntm" else None,
        "seed": config.seed,
        "parameters": sum(int(v.value.shape.num_elements()) for v in model.trainable_variables),
        "evaluation": results,
        "environment": {
            "device": used,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "machine": platform.machine(),
        },
    }


def _training_metrics(config: Any, progress: Progress) -> dict[str, Any]:
    seconds = progress.seconds
    return {
        "steps": progress.step,
        "sequences": progress.step * config.trainer.batch_size,
        "seconds": seconds,
        "compile_seconds": progress.compile_seconds,
        "steps_per_second": progress.timed_steps / seconds if seconds else None,
        "solved_at_sequences": progress.solved_at_sequences,
    }


def _show(
    directory: Path,
    task: Task,
    model: keras.Model,
    evaluator: Evaluator,
    progress: Progress,
    results: Mapping[str, Any],
    events: TensorBoardLog,
) -> None:
    """The figures, in TensorBoard and as files."""
    made = run_figures(task, model, evaluator, progress, results)
    events.images(progress.step, made)
    for name, figure in made.items():
        figures.save(figure, directory / "figures" / f"{name}.png")


def _hparams(config: Any) -> dict[str, Any]:
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def _hparams_metrics(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    flat = {key: metrics.get(key) for key in TRAINED}
    for case, summary in metrics["evaluation"].items():
        flat[f"{case}/bit_errors_per_sequence"] = summary["bit_errors_per_sequence"]
    return flat


def _status(task: Task, results: Mapping[str, Any]) -> str:
    """Whether what is left at the end solves the task, whatever it did before."""
    deciding = results.get(task.solved_case())
    return "solved" if deciding is not None and task.solved(deciding) else "finished"


def _write_status(directory: Path, status: str, error: str | None = None) -> None:
    write_json(directory / STATUS, {"status": status, "error": error})


def _ended_badly(config: Any, directory: Path, status: str, error: str) -> None:
    """Record the end of a run that did not finish; its first error must not be lost to another."""
    try:
        _write_status(directory, status, error)
        with TensorBoardLog(directory, 0) as events:
            events.hparams(_hparams(config), {}, status, 0)
    except Exception:
        log.exception("the end of the run could not be recorded")


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Turn SIGTERM, with which schedulers end a job, into an interrupt that saves first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
