"""What is a number to a compiled program, and so one of its inputs: jobs that differ in nothing
else share the program.

What is off (0 or None) needs no code: whether a number is given belongs to the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

from ntm import NeuralTuringMachine, Schedule


def vector_of(values: Mapping[str, float]) -> tf.Tensor:
    """Numbers as one vector: an array for each would take 10 microseconds a call."""
    return tf.constant([*values.values()], tf.float32)


def named(names: Sequence[str], vector: Any) -> dict[str, Any]:
    """Such a vector as scalars by name."""
    return dict(zip(names, tf.unstack(vector, len(names)), strict=True))


def of_machines(model: keras.Model) -> dict[str, float]:
    """The numbers of the Neural Turing Machines in a model, by `<layer>/<number>`."""
    return {
        f"{layer.name}/{name}": value
        for layer in _machines(model)
        for name, value in layer.cell.numbers.items()
    }


@contextmanager
def in_machines(
    model: keras.Model,
    numbers: Mapping[str, Any],
    clip_scale: Any = 1.0,
    clutter_scale: Any = 1.0,
) -> Iterator[None]:
    """Calls of a model inside of it take the machines' numbers from here.

    numbers: as `of_machines` names them; the scales are those of `ntm.Schedule`.
    """
    with ExitStack() as stack:
        for layer in _machines(model):
            own = {name: numbers[f"{layer.name}/{name}"] for name in layer.cell.numbers}
            stack.enter_context(layer.scheduled(Schedule(clip_scale, clutter_scale, own)))
        yield


def _machines(model: keras.Model) -> list[NeuralTuringMachine]:
    return [layer for layer in model.layers if isinstance(layer, NeuralTuringMachine)]
