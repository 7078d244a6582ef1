"""The training loop: batches in, a trained model and its history out."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from runner.errors import ConfigError, RunError
from runner.store import checkpoint
from runner.store.checkpoint import CHECKPOINTS
from runner.store.files import HISTORY, write_json
from runner.training import build, data, interrupts, plateau
from runner.training.dispatch import AHEAD, async_dispatch
from runner.training.evaluate import Evaluator
from runner.training.finiteness import Finiteness
from runner.training.rollback import Rollback, is_lost
from runner.training.state import TrainingState
from runner.training.step import StepResult, TrainingStep
from runner.training.watcher import Watcher
from tasks import Task

log = logging.getLogger(__name__)


class Observer:
    """Who looks into a training on its way, for histograms or a profile; here, at nothing.

    Nothing may be changed. Steps are computed a little later than they are asked for
    (`runner.training.dispatch`): `float(training.step.clipping.norm_mean)` waits for all so far.
    """

    def before_step(self, number: int, training: Training) -> None:
        """Step `number`, from 1, is the next one to be asked for."""

    def after_evaluation(self, number: int, training: Training) -> None:
        """The scheduled evaluation after a step is over; see `Training.weights`, `.gradients`."""

    def close(self, training: Training) -> None:
        """The training ends, in whatever way."""


class Training:
    """Trains a model as `config.trainer` says, from wherever its checkpoint left it.

    Args:
        config: the configuration.
        task: the task.
        step: the compiled training step.
        evaluator: scores the scheduled cases.
        directory: of the run; gets `checkpoints/` and `history.json`.
        observers: look into it.
    """

    def __init__(
        self,
        config: Any,
        task: Task,
        step: TrainingStep,
        evaluator: Evaluator,
        directory: Path,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.config = config
        self.task = task
        self.step = step
        self.evaluator = evaluator
        self.directory = directory
        self.observers = observers
        self.progress = TrainingState()
        self._pending: list[tuple[int, StepResult]] = []
        self._compiled = False
        self.finiteness = Finiteness(config, self.weights, self.gradients)
        self._rated = (0, 0.0)
        self.rollback = Rollback(step.lasting) if config.trainer.rollback else None

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ConfigError when it does not fit."""
        progress = checkpoint.restore(path, self._variables)
        try:
            self.progress = TrainingState(**progress)
        except TypeError as error:
            raise ConfigError(f"{path} is no checkpoint of this version ({error}).") from None
        self._rated = (self.progress.step, self.progress.seconds)
        self.step.reseed(self._seed(self.progress.restarts))

    def run(self, watcher: Watcher) -> TrainingState:
        """Train to the end of the budget, or until solved if the configuration says so.

        watcher: is told how it goes.

        Raises RunError when loss, gradient or weights are not finite any more. However it ends, a
        checkpoint of the last sound state is left.
        """
        self.watcher = watcher
        try:
            with async_dispatch():
                while self._attempt():
                    self._begin_again()
        except RunError as error:
            raise RunError(f"{error} {self._what_is_kept()}") from error
        except BaseException:
            self._keep()
            raise
        finally:
            for observer in self.observers:
                observer.close(self)
        if not self._keep():
            raise RunError(
                f"{self.finiteness.broken_by(self.progress.step)} {self._what_is_kept()}"
            )
        return self.progress

    def weights(self) -> dict[str, np.ndarray]:
        """All weights as they are now, by the path of their variable in the model."""
        step = self.step
        trainable = zip(
            step.model.trainable_variables, step.separate(step.weights.value), strict=True
        )
        named = [*trainable, *((v, v.value) for v in step.model.non_trainable_variables)]
        return {variable.path: value.numpy() for variable, value in named}

    def gradients(self, number: int) -> dict[str, np.ndarray]:
        """The gradient of the loss on the batch of a step, summed over its bits, by weight.

        It is taken at the weights as they are now, with the noise that step `number` adds.
        """
        step, trainer = self.step, self.config.trainer
        batch = data.training_batch(
            self.task,
            self.config.seed,
            number,
            trainer.batch_size,
            trainer.curriculum,
            self.progress.began,
        )
        updates = number - self.progress.began - 1
        at = step.noisy(step.weights.value, updates)
        constants = [v.value for v in step.model.non_trainable_variables]
        _, (gradient,), _ = step.gradients(at, constants, step.scalars(updates), *batch[:4])
        parts = zip(step.model.trainable_variables, step.separate(gradient), strict=True)
        return {variable.path: part.numpy() for variable, part in parts}

    @property
    def _variables(self) -> list[Any]:
        """What a checkpoint holds."""
        return [*self.step.variables, *(self.rollback.kept if self.rollback else [])]

    def _keep(self) -> bool:
        """Write a checkpoint of the updates made; whether there is something sound to write.

        An interrupt or an error may have come with steps on their way.
        """
        with interrupts.held():
            progress = self.progress
            progress.step = progress.began + int(self.step.optimizer.iterations.numpy())
            if not progress.step:
                return True
            made = [result for number, result in self._pending if number <= progress.step]
            self._pending = []
            rows = [result.numbers() for result in made]
            progress.unlogged += [row for row in rows if np.isfinite(row[0])]
            return self._write()

    def _write(self) -> bool:
        """Write `history.json` and a checkpoint; False for weights that are not finite."""
        progress = self.progress
        self.watcher.flush()
        history = {"training": progress.history, "evaluations": progress.evaluations}
        write_json(self.directory / HISTORY, history)
        path = checkpoint.save(
            self.directory / CHECKPOINTS,
            progress.step,
            self._variables,
            asdict(progress),
            OmegaConf.to_container(self.config, resolve=True),  # type: ignore[arg-type]
        )
        return path is not None

    def _what_is_kept(self) -> str:
        """A sentence on what can be gone on with after a run that could not."""
        self._keep()
        found = checkpoint.latest(self.directory / CHECKPOINTS)
        if found is None:
            return "No checkpoint was written: the weights were not finite when one was due."
        return f"The checkpoint of step {checkpoint.step_of(found)} holds the last finite weights."

    def _attempt(self) -> bool:
        """Train with the present weights to the end; whether to begin again with others."""
        trainer, progress = self.config.trainer, self.progress
        steps = range(progress.step + 1, self._end() + 1)
        if progress.step > progress.began:  # What an interrupt has kept from being done.
            ended = self._ends_after(progress.step)
            if ended is not None:
                return ended
        with data.prefetched(
            self.task,
            self.config.seed,
            steps,
            trainer.batch_size,
            trainer.curriculum,
            progress.began,
            self.step.on_device,
        ) as batches:
            for number, batch in zip(steps, batches, strict=True):
                for observer in self.observers:
                    observer.before_step(number, self)
                self._train(number, batch)
                ended = self._ends_after(number)
                if ended is not None:
                    return ended
                if number % trainer.checkpoint_every == 0:
                    self._collect()
                    if not self._write():
                        raise RunError(self.finiteness.broken_by(number))
        return False

    def _ends_after(self, number: int) -> bool | None:
        """Log and evaluate after a step if it is time; whether to begin again, None to train on.

        What was done after this step already is not done again.
        """
        trainer, evaluations = self.config.trainer, self.progress.evaluations
        judged = self._to_be_judged(number)
        if self._due(number, trainer.log_every):
            self._log()
        evaluated = bool(evaluations) and evaluations[-1]["step"] == number
        if not evaluated and (judged or self._due(number, trainer.evaluate_every)):
            self._evaluate()
            evaluated = True
        if evaluated and self._solved() and trainer.stop_when_solved:
            return False
        return True if judged and self._got_nowhere() else None

    def _end(self) -> int:
        """The last step of the present weights."""
        return self.progress.began + int(self.config.trainer.steps)

    def _due(self, number: int, every: int) -> bool:
        return number % every == 0 or number == self._end()

    def _to_be_judged(self, number: int) -> bool:
        """Whether this step's evaluation decides on beginning again."""
        trainer, progress = self.config.trainer, self.progress
        open_yet = not progress.judged and progress.restarts < trainer.restarts
        has_memory = self.config.model.name == "ntm"  # A guess without memory is no bar to others.
        return has_memory and open_yet and plateau.is_due(number - progress.began, trainer.steps)

    def _got_nowhere(self) -> bool:
        """Whether the evaluations of the present weights say to begin again."""
        progress = self.progress
        best = plateau.least_excess(self.task, progress.evaluations, progress.began)
        progress.judged = not plateau.is_stuck(best, self._without_memory)
        if progress.judged:
            return False
        log.info(
            "step %d: %.4g bits a sequence above the optimum at best, and a guess without memory "
            "is %.4g above it: beginning again with other weights (%d of at most %d times)",
            progress.step,
            best,
            self._without_memory,
            progress.restarts + 1,
            self.config.trainer.restarts,
        )
        return True

    def _begin_again(self) -> None:
        progress = self.progress
        seed = self._seed(progress.restarts + 1)
        config = OmegaConf.merge(self.config, {"seed": seed})
        model = build.model_from(config, self.task)  # An interrupt until here changes nothing.
        with interrupts.held():
            progress.restarts += 1
            progress.began = progress.step
            self.step.restart(model, seed)
            self.watcher.began_again(self._end())

    def _seed(self, restarts: int) -> int:
        """The seed of the weights, and their noise, after so many new beginnings."""
        seed = int(self.config.seed)
        if not restarts:
            return seed
        return int(np.random.SeedSequence([seed, restarts]).generate_state(1)[0])

    def _train(self, number: int, batch: Sequence[Any]) -> None:
        progress = self.progress
        start = time.perf_counter()
        with interrupts.held():  # A step that was made must be counted, with what it gave.
            self._pending.append((number, self.step(*batch)))
            progress.step = number
            ahead = AHEAD if self._compiled else 0
            if len(self._pending) > ahead:
                float(self._pending[-1 - ahead][1].loss_bits)  # Waits for the device.
        if self._compiled:
            progress.seconds += time.perf_counter() - start
            progress.timed_steps += 1
        else:
            progress.compile_seconds += time.perf_counter() - start
            self._compiled = True

    def _collect(self) -> None:
        """Read what the steps since the last time gave, and check it."""
        start = time.perf_counter()
        with interrupts.held():
            numbers = [number for number, _ in self._pending]
            rows = [result.numbers() for _, result in self._pending]
            self._pending = []
            self.progress.seconds += time.perf_counter() - start
            self.finiteness.check(numbers, rows)
            self.progress.unlogged += rows

    def _log(self) -> None:
        """Make a point of the curve of the steps since the last one, and tell the watcher."""
        self._collect()
        progress = self.progress
        if not progress.unlogged:
            return
        table = np.array(progress.unlogged)
        loss, errors, _, skipped = table.mean(axis=0)
        norms = table[:, 2][np.isfinite(table[:, 2])]
        batch_size = self.config.trainer.batch_size
        point = {
            "loss_bits": float(loss),
            "bit_errors": float(errors),
            "gradient_norm": float(norms.mean()) if norms.size else 0.0,
            "skipped_updates": float(skipped),
            "learning_rate": float(self.step.optimizer.learning_rate.numpy()),
            "sequences_per_second": self._rate(),
        }
        with interrupts.held():
            progress.unlogged = []
            progress.history.append(
                {"step": progress.step, "sequences": progress.step * batch_size, **point}
            )
            self.watcher.trained(progress.step, point)

    def _rate(self) -> float:
        """Sequences a second since the point before."""
        progress = self.progress
        steps, seconds = progress.step - self._rated[0], progress.seconds - self._rated[1]
        self._rated = (progress.step, progress.seconds)
        return steps * self.config.trainer.batch_size / seconds if seconds > 0 else 0.0

    def _evaluate(self) -> None:
        """Evaluate the present weights, tell all who look on, and go back if they are bad.

        What a checkpoint says was evaluated is not evaluated again, so all of it is done or none.
        """
        progress = self.progress
        self._log()
        results = self._results()
        numbers = {case: _numbers(summary) for case, summary in results.items()}
        with interrupts.held():
            progress.evaluations.append({"step": progress.step, "results": numbers})
            self.watcher.evaluated(progress.step, results)
            for observer in self.observers:
                observer.after_evaluation(progress.step, self)
            if self.rollback:
                self._go_back_if_lost(self.rollback)

    def _go_back_if_lost(self, rollback: Rollback) -> None:
        """Keep the weights that were just evaluated, or return to those that were kept."""
        progress = self.progress
        present = progress.evaluations[-1]["results"][self.task.solved_case()]
        excess = plateau.excess_bits(present)
        best = plateau.least_excess(self.task, progress.evaluations, progress.began)
        if plateau.is_stuck(best, self._without_memory) or not is_lost(excess, best):
            rollback.keep()
            progress.good = progress.step
            return
        log.info(
            "step %d: %.4g bits a sequence above the optimum after %.4g at best: going back to the "
            "weights of step %d",
            progress.step,
            excess,
            best,
            progress.good,
        )
        rollback.go_back()
        self.step.settle()
        progress.rollbacks += 1

    @cached_property
    def _without_memory(self) -> float:
        """The excess bits that can be had without a memory."""
        rng = data.generator(self.config.seed, data.PLATEAU)
        return plateau.without_memory(self.task, rng)

    def _solved(self) -> bool:
        """Whether the last evaluation found the task solved; notes when it was first."""
        progress = self.progress
        solved = self.task.solved(progress.evaluations[-1]["results"][self.task.solved_case()])
        if solved and progress.solved_at_sequences is None:
            progress.solved_at_sequences = progress.step * self.config.trainer.batch_size
            log.info("solved after %d sequences", progress.solved_at_sequences)
        return solved

    def _results(self) -> dict[str, dict[str, Any]]:
        """All sequences for the case that decides, one batch for each other: they are for show."""
        few, deciding = self.evaluator.predict.batch_size, self.task.solved_case()
        results: dict[str, dict[str, Any]] = {}
        for case in self.evaluator.cases:
            results |= self.evaluator(
                self.config.evaluate.sequences if case == deciding else few,
                data.SCHEDULED,
                self.progress.step,
                weights=self.step.evaluated_weights,
                cases=[case],
            )
        return results


def _numbers(summary: dict[str, Any]) -> dict[str, float]:
    """A summary without the arrays that `trainer.verbose` adds."""
    return {name: value for name, value in summary.items() if isinstance(value, float)}
