"""Several seeds trained in one program against one after another, sequences a second on one core.

Whether it would pay to train the seeds of a sweep in one program is measured on the machine written
by hand in JAX, where it takes one `vmap` over weights and batches. Every seed has weights and a
batch of its own: batches of 16, twenty steps, N 128, M 20, an LSTM of 100. The losses of the seeds
are checked to be those of the steps one after another before anything is timed.

    python benchmarks/seeds.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import _common as common
import _jax_machine
import jax
import numpy as np

SEEDS, BATCH, ROUNDS, STEPS_A_ROUND, RATE = (2, 8), 16, 5, 10, 3e-3


def main() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # before JAX makes its threads
    common.head(__doc__.splitlines()[0], "jax")
    trainer = common.Trainer(f"trainer.batch_size={BATCH}", *common.TWENTY_STEPS)
    rng = np.random.default_rng(0)
    several = jax.jit(jax.vmap(_jax_machine.train, in_axes=(0, 0, None)), donate_argnums=0)
    rows = []
    for seeds in SEEDS:
        weights = [
            [w + rng.normal(0, 0.1, w.shape).astype("float32") for w in trainer.model.get_weights()]
            for _ in range(seeds)
        ]
        batches = [jax.tree.map(np.asarray, trainer.batch(1 + n)) for n in range(seeds)]
        one, alone = _one_after_another(weights, batches)
        together, at_once = _together(several, weights, batches)
        if not np.allclose(alone, at_once, rtol=1e-3):
            sys.exit(f"other losses in one program: {at_once}, not {alone}")
        medians = common.alternate({"alone": one, "together": together}, ROUNDS)
        rates = [seeds * BATCH * STEPS_A_ROUND / medians[name] for name in ("alone", "together")]
        rows.append((seeds, *(f"{rate:.0f}" for rate in rates), rates[1] / rates[0]))
    print(f"median of {ROUNDS} rounds of {STEPS_A_ROUND} steps; one core")
    common.table(("seeds", "sequences/s, one by one", "in one program", "ratio"), rows)


def _one_after_another(weights: Any, batches: Any) -> tuple[Callable[[], Any], np.ndarray]:
    """Steps of all seeds in turn, and the losses of the first step of each."""
    states = [_jax_machine.new_state(w) for w in weights]

    def step() -> list[Any]:
        losses = []
        for seed, batch in enumerate(batches):
            states[seed], loss = _jax_machine.train(states[seed], batch, RATE)
            losses.append(loss)
        return losses

    return lambda: [_read(step) for _ in range(STEPS_A_ROUND)], _read(step)


def _together(
    several: Callable[..., Any], weights: Any, batches: Any
) -> tuple[Callable[[], Any], np.ndarray]:
    """Steps of all seeds in one program, and the losses of the first."""
    states = [_jax_machine.new_state(w) for w in weights]
    state = jax.tree.map(lambda *parts: jax.numpy.stack(parts), *states)
    batch = jax.tree.map(lambda *parts: np.stack(parts), *batches)

    def step() -> Any:
        nonlocal state
        state, losses = several(state, batch, RATE)
        return losses

    return lambda: [_read(step) for _ in range(STEPS_A_ROUND)], _read(step)


def _read(step: Callable[[], Any]) -> np.ndarray:
    """The losses of a step, as numbers: the step has ended."""
    return np.array(step())


if __name__ == "__main__":
    main()
