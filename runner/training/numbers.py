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


class Numbers:
    """Named numbers in one vector: an array for each would take 10 microseconds a call.

    Args:
        values: by name.
    """

    def __init__(self, values: Mapping[str, float]) -> None:
        self.names = tuple(values)
        self.vector = tf.Variable(self._array(values), trainable=False, name="numbers")

    def assign(self, values: Mapping[str, float]) -> None:
        """Take other values of the same names."""
        self.vector.assign(self._array(values))

    def named(self, vector: Any) -> dict[str, Any]:
        """Scalars by name, of a vector with these numbers."""
        return dict(zip(self.names, tf.unstack(vector, len(self.names)), strict=True))

    def _array(self, values: Mapping[str, float]) -> tf.Tensor:
        return tf.constant([values[name] for name in self.names], tf.float32)


def machines_in(model: keras.Model) -> list[NeuralTuringMachine]:
    """The layers of a model that are Neural Turing Machines."""
    return [layer for layer in model.layers if isinstance(layer, NeuralTuringMachine)]


def of_machines(model: keras.Model) -> dict[str, float]:
    """The numbers of a model's machines, by `<layer>/<number>`."""
    return {
        f"{layer.name}/{name}": value
        for layer in machines_in(model)
        for name, value in layer.cell.numbers.items()
    }


@contextmanager
def in_machines(
    machines: Sequence[NeuralTuringMachine],
    numbers: Mapping[str, Any],
    clip_scale: Any = 1.0,
    clutter_scale: Any = 1.0,
) -> Iterator[None]:
    """Calls of these layers inside of it take their numbers from here.

    numbers: as `of_machines` names them, among others; the scales are those of `ntm.Schedule`.
    """
    with ExitStack() as stack:
        for layer in machines:
            own = {name: numbers[f"{layer.name}/{name}"] for name in layer.cell.numbers}
            schedule = Schedule(clip_scale, clutter_scale, own)
            stack.enter_context(layer.scheduled(schedule))
        yield
