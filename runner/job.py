"""One job, from a validated configuration to a finished run directory."""

from __future__ import annotations

import gc
import logging
import math
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from omegaconf import OmegaConf

from runner.config import machine, plan, varied
from runner.config.schema import ANIMATION, cases_from, task_from
from runner.errors import ConfigError, PrunedError
from runner.reporting import canvas, events, hparams, observers, outcome, run_end, show, trial
from runner.reporting.progress import Progress as Terminal
from runner.reporting.report import Reporter, heads_animation, run_figures
from runner.reporting.tensorboard import TensorBoardLog
from runner.store import checkpoint, records
from runner.store.checkpoint import CHECKPOINTS
from runner.store.files import METRICS, MODEL, replace_with, write_json, write_text
from runner.training import build, compiled, data, device, interrupts
from runner.training.evaluate import Evaluator
from runner.training.prediction import Predictor
from runner.training.state import TrainingState
from runner.training.step import TrainingStep
from runner.training.train import Training
from tasks import Task

log = logging.getLogger(__name__)

# What an evaluation takes over from the metrics of the training that it evaluates.
TRAINED = (
    "steps",
    "sequences",
    "seconds",
    "compile_seconds",
    "steps_per_second",
    "solved_at_sequences",
    "restarts",
    "rollbacks",
)


class _Prepared(NamedTuple):
    """A job that nothing speaks against any more, before it writes its first file.

    start: the checkpoint that the training goes on from, if any.
    """

    task: Task
    model: keras.Model
    evaluator: Evaluator
    training: Training | None
    start: Path | None
    device: str


def run(config: Any, directory: Path) -> float:
    """Train, evaluate or show, and leave a complete run directory, however it ends.

    config: as `runner.config.checks.resolve` returns it.
    directory: `runner.config.ownership.claimed` for it.

    Returns:
        The loss in bits a sequence at the task's deciding case (or the first one evaluated): what
        a sweeper minimises. Not a number where a machine is only shown.

    Raises ConfigError, with nothing written, for what cannot be done.
    """
    gc.collect()  # What an earlier job of this process has left.
    try:
        return _recorded_run(config, directory)
    except PrunedError as pruned:
        return pruned.value


def _recorded_run(config: Any, directory: Path) -> float:
    with (
        interrupts.as_exceptions(),
        run_end.recorded(config, directory) as begin,
        machine.failures_explained(config, directory),
        compiled.failures_explained(),
    ):
        if config.mode == "show":
            return _show(config, directory, begin)
        prepared = _prepare(config, directory)
        begin()
        return _run(config, directory, prepared)


def _prepare(config: Any, directory: Path) -> _Prepared:
    used = device.choose(config.device)
    task = task_from(config)
    model = build.model_from(config, task)
    if config.mode == "evaluate":
        _load_weights(model, Path(config.checkpoint) / MODEL)
        return _Prepared(task, model, _evaluator(config, task, model), None, None, used)
    start = _starting_checkpoint(config, directory)
    if start is None and config.init_from is not None:
        _load_weights(model, Path(config.init_from) / MODEL)
    evaluator = _evaluator(config, task, model)
    training = _training(config, task, model, evaluator, directory)
    if start:
        training.restore(start)
    return _Prepared(task, model, evaluator, training, start, used)


def _run(config: Any, directory: Path, prepared: _Prepared) -> float:
    task, model, evaluator, training, start, used = prepared
    with _events(config, directory, start) as (page, row):
        if training is not None:
            if start:
                log.info("going on from %s", start)
            training.observers = observers.of_run(config, page, row.folder)
            progress, facts = _train(config, training, page, directory / MODEL)
        else:
            progress, facts = _trained(Path(config.checkpoint))
        results = evaluator(config.evaluate.sequences, data.FINAL)
        status = _status(task, results)
        metrics = _metrics(config, model, results, used) | facts
        write_json(directory / METRICS, metrics)
        page.cases(progress.step, results)
        # A step later: the last scheduled evaluation, of other sequences, may have been at this.
        row.write(_in_brief(task, metrics, status), status, progress.step + 1)
        _draw(config, directory, prepared, page, progress, results)
    outcome.show(config, task, results)
    run_end.write_status(directory, status)
    log.info("%s: %s", status, directory)
    return outcome.objective(task, results)


def _draw(
    config: Any,
    directory: Path,
    prepared: _Prepared,
    page: TensorBoardLog,
    progress: TrainingState,
    results: Mapping[str, Any],
) -> None:
    """The figures of a run, as files in the formats asked for and in TensorBoard."""
    folder, formats = directory / "figures", config.figures.format
    if not formats:
        return
    drawn = (prepared.task, prepared.model, outcome.model_name(config), prepared.evaluator)
    of_all = [name for name in formats if name != ANIMATION]
    pngs = {
        name: canvas.save(figure, folder / name, of_all, config.figures.style)
        for name, figure in run_figures(*drawn, progress, results).items()
    }
    page.images(progress.step, pngs)
    if ANIMATION in formats:
        heads_animation(*drawn, folder / f"heads.{ANIMATION}")


def _show(config: Any, directory: Path, begin: Callable[[], None]) -> float:
    """Write the page in which a trained machine runs."""
    device.choose(config.device)
    task, source = task_from(config), Path(config.checkpoint)
    model = build.model_from(config, task)
    _load_weights(model, source / MODEL)
    begin()
    name = "/".join(source.parts[-2:])
    about = f"{name}: {outcome.model_name(config)}, {model.count_params():,} parameters."
    text, unknown = show.page_of(model, task, name, about)
    write_text(directory / show.PAGE, text)
    for layer in unknown:
        log.warning("the page says that it cannot run %s", layer)
    run_end.write_status(directory, "finished")
    log.info("open %s in a browser", directory / show.PAGE)
    return math.nan


def _training(
    config: Any, task: Task, model: keras.Model, evaluator: Evaluator, directory: Path
) -> Training:
    step = TrainingStep.from_config(config, model)
    return Training(config, task, step, evaluator, directory)


def _train(
    config: Any, training: Training, page: TensorBoardLog, path: Path
) -> tuple[TrainingState, dict[str, Any]]:
    """Train, save the model with the weights to evaluate, and say what the training took."""
    trainer = config.trainer
    with Terminal(trainer.steps, trainer.verbose, case=training.task.solved_case()) as terminal:
        watcher = trial.watched(Reporter(terminal, page), training.task.solved_case())
        progress = training.run(watcher)
    model = training.evaluator.predict.model
    for variable, weight in zip(
        model.trainable_variables, training.step.evaluated_weights, strict=True
    ):
        variable.assign(weight)
    trained = training.step.model.non_trainable_variables
    for variable, value in zip(model.non_trainable_variables, trained, strict=True):
        variable.assign(value.value)
    with replace_with(path) as unfinished:
        model.save(unfinished)
    seconds = progress.seconds
    return progress, {
        "steps": progress.step,
        "sequences": progress.step * trainer.batch_size,
        "seconds": seconds,
        "compile_seconds": progress.compile_seconds,
        "steps_per_second": progress.timed_steps / seconds if seconds else None,
        "solved_at_sequences": progress.solved_at_sequences,
        "restarts": progress.restarts,
        "rollbacks": progress.rollbacks,
    }


def _trained(source: Path) -> tuple[TrainingState, dict[str, Any]]:
    """What the training of a saved run took."""
    trained = records.metrics(source)
    facts = {key: trained.get(key) for key in TRAINED}
    return TrainingState(step=facts["steps"] or 0), facts


def _evaluator(config: Any, task: Task, model: keras.Model) -> Evaluator:
    predict = Predictor(model, config.evaluate.batch_size, config.trainer.shards)
    cases = cases_from(config, task)
    return Evaluator(task, predict, cases, config.seed, breakdown=config.trainer.verbose)


def _starting_checkpoint(config: Any, directory: Path) -> Path | None:
    """Where to go on from: the run's own last checkpoint (it was requeued), or `resume`."""
    own = checkpoint.latest(directory / CHECKPOINTS)
    if own or config.resume is None:
        return own
    source = Path(config.resume)
    found = checkpoint.latest(source / CHECKPOINTS)
    if found is None:
        raise ConfigError(f"resume={source} has no checkpoint in {source / CHECKPOINTS}")
    return found


def _copy_events(start: Path, directory: Path, folder: Path) -> None:
    """Let the page of a run that goes on in a new directory show the whole training."""
    source = start.parent.parent
    there = events.folder_of(source)
    if there is None or source.resolve() == directory.resolve():
        return
    for path in there.glob(events.FILES):
        if path.suffix not in events.OF_A_WHOLE:
            shutil.copy2(path, folder)


def _load_weights(model: keras.Model, path: Path) -> None:
    """Set the weights of a saved model, whatever its number of memory rows."""
    try:
        saved = keras.models.load_model(path, compile=False)
    except (KeyError, OSError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"{path} is no model of this version of the project ({reason}): evaluate a run that "
            "this version has trained (checkpoint=<run folder>)"
        ) from error
    shapes = [tuple(w.shape) for w in saved.get_weights()]
    expected = [tuple(w.shape) for w in model.get_weights()]
    if shapes != expected:
        raise ConfigError(
            f"the weights in {path} have the shapes {shapes}, but this configuration makes "
            f"{expected}: state the sizes that the model was trained with"
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


def _plain(config: Any) -> dict[str, Any]:
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def _in_brief(task: Task, metrics: Mapping[str, Any], status: str) -> dict[str, float]:
    scores = outcome.deciding(task, metrics["evaluation"])
    spent = (metrics["seconds"] or 0.0, metrics["sequences"] or 0, metrics["solved_at_sequences"])
    return hparams.in_brief(scores, status == "solved", *spent)


def _status(task: Task, results: Mapping[str, Any]) -> str:
    """Whether what is left at the end solves the task, whatever it did before."""
    deciding = results.get(task.solved_case())
    return "solved" if deciding is not None and task.solved(deciding) else "finished"


@contextmanager
def _events(
    config: Any, directory: Path, start: Path | None
) -> Iterator[tuple[TensorBoardLog, hparams.Row]]:
    """The run's TensorBoard log and its row, which says how a run ends that does not finish."""
    label, values = _apart(config)
    row = hparams.Row(events.folder_for(directory, label), values)
    if start:
        _copy_events(start, directory, row.folder)
    step = checkpoint.step_of(start) if start else 0
    with TensorBoardLog(row.folder, step + 1 if start else 0) as page:
        page.text(step, "configuration", OmegaConf.to_yaml(config))
        if not start:
            page.scalars(0, hparams.in_brief({}, False, 0.0, 0, None))
        row.write({}, "running", step)
        try:
            yield page, row
        except BaseException as error:
            with suppress(OSError):
                row.write({}, run_end.status_after(error), step)
            raise


def _apart(config: Any) -> tuple[str, dict[str, hparams.HParam]]:
    """What sets a run apart from others, as its name and as its columns in TensorBoard."""
    plain = _plain(config)
    here = plan.here()
    if here is None:
        return "", hparams.of_config(plain)
    known, made_by = here
    seed = {varied.SEED: config.seed}
    return varied.label(known or seed, list(known or seed)), hparams.in_sweep(
        known | seed, made_by.jobs.values()
    )
