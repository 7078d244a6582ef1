"""A training step of this project against the same machine written by hand in JAX and PyTorch.

Compared: this project's own training path (`runner.training.step.TrainingStep` on batches that a
thread draws, with noise, the numbers it reports, clipping and the average of weights) against the
gradient and an Adam update of the same loss alone, on one constant batch. All are at batch 32, 20
steps, N 128, M 20, an LSTM of 100. Losses and gradients at the same weights, without noise and
bounds on the gradients of states, are checked before anything is timed.
PyTorch runs on one thread unless told otherwise: its operations are so small here that a second one
costs more than it brings.

    python benchmarks/references.py
    python benchmarks/references.py --torch-threads 2
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import _common as common
import _jax_machine
import _torch_machine
import jax
import numpy as np
import torch

ROUNDS, STEPS_A_ROUND = 7, 20
RATE = 3e-3
# Steps that PyTorch compiles as one program: all twenty take many minutes to compile.
STEPS_COMPILED = 5
# What the references do without, for the check.
BARE = (
    "ntm.perturbation.state_noise=0",
    "ntm.perturbation.state_drift=0",
    "ntm.perturbation.memory_noise=0",
    "ntm.perturbation.memory_clutter=0",
    "ntm.perturbation.weighting_leak=0",
    "ntm.perturbation.weighting_drift=0",
    "ntm.state_clip_norm=null",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch-threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().torch_threads)
    common.head(__doc__.splitlines()[0], "jax", "torch")
    sizes = (f"trainer.batch_size={common.BATCH}", *common.TWENTY_STEPS)
    ours, quiet = common.Trainer(*sizes), common.Trainer(*sizes, *BARE)
    weights, batch = _moving_weights(quiet), quiet.batch()
    loss, gradients = _our_gradients(quiet, batch)

    contestants: dict[str, Callable[[], Any]] = {}
    for name, make in {"JAX": _jax, "PyTorch eager": _torch, "PyTorch compiled": _compiled}.items():
        start = time.perf_counter()
        try:
            made = make(weights, batch)
        except NoCompilerError as error:
            print(f"{name}: left out, {error}")
            continue
        check, contestants[name] = made
        _check_same(name, check(), (loss, gradients))
        print(f"{name}: same loss and gradients; ready after {time.perf_counter() - start:.0f} s")

    with ours.prefetched() as batches:
        contestants = {"this project": lambda: ours.train(batches, STEPS_A_ROUND), **contestants}
        medians = common.alternate(contestants, ROUNDS)
    base = medians["this project"]
    print(f"{ours.step.shards} shards; median of {ROUNDS} rounds of {STEPS_A_ROUND} steps")
    common.table(
        ("training step", "ms", "times this project's"),
        [
            (name, common.milliseconds(seconds / STEPS_A_ROUND), seconds / base)
            for name, seconds in medians.items()
        ],
    )


class NoCompilerError(RuntimeError):
    """PyTorch has no C++ compiler to work with."""


def _moving_weights(trainer: common.Trainer) -> list[np.ndarray]:
    """Larger weights than a new model's, so that the heads move, blur and sharpen in the check."""
    rng = np.random.default_rng(0)
    values = [w + rng.normal(0, 0.1, w.shape) for w in trainer.model.get_weights()]
    trainer.model.set_weights(values)
    trainer.step.restart(trainer.model, seed=0)
    return trainer.model.get_weights()


def _our_gradients(trainer: common.Trainer, batch: Any) -> tuple[float, list[np.ndarray]]:
    step = trainer.step
    constants = [v.value for v in step.model.non_trainable_variables]
    weights = step.weights.value
    (loss, _, bits), (gradient,), _ = step.gradients(weights, constants, step.scalars(0), *batch)
    return float(loss / bits), [np.asarray(g / bits) for g in step.separate(gradient)]


def _check_same(name: str, found: Any, expected: Any) -> None:
    (loss, gradients), (our_loss, our_gradients) = found, expected
    if not np.isclose(loss, our_loss, rtol=1e-4, atol=0):
        sys.exit(f"{name} computes the loss {loss}, this project {our_loss}: nothing to compare")
    for index, (one, other) in enumerate(zip(gradients, our_gradients, strict=True)):
        if np.abs(one - other).max() > 1e-3 * np.abs(other).max():
            sys.exit(f"{name} computes another gradient of weight {index} than this project")


def _jax(weights: list[np.ndarray], batch: Any) -> tuple[Any, Callable[[], Any]]:
    arrays = [jax.numpy.asarray(array) for array in batch]
    state = _jax_machine.new_state(weights)

    def run() -> float:
        nonlocal state
        for _ in range(STEPS_A_ROUND):
            state, loss = _jax_machine.train(state, arrays, RATE)
        return float(loss)

    def check() -> Any:
        loss, gradients = _jax_machine.loss_and_gradients(state.weights, arrays)
        return float(loss), [np.asarray(g) for g in gradients]

    return check, run


def _torch(weights: list[np.ndarray], batch: Any, compiled: bool = False) -> Any:
    arrays = [torch.from_numpy(np.ascontiguousarray(array)) for array in batch[:3]]
    training = _torch_machine.Training(weights, RATE, STEPS_COMPILED, compiled)

    def run() -> float:
        for _ in range(STEPS_A_ROUND):
            loss = training.update(arrays)
        return loss.item()

    def check() -> Any:
        return training.gradients(arrays).item(), [p.grad.numpy() for p in training.parameters]

    return check, run


def _compiled(weights: list[np.ndarray], batch: Any) -> Any:
    try:
        subprocess.run(["g++", "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoCompilerError(f"torch.compile needs the C++ compiler g++ ({error})") from None
    return _torch(weights, batch, compiled=True)


if __name__ == "__main__":
    main()
